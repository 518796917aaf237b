/* stage: the names of stages and drop reasons, from the tables. */
#include "run/worker.h"

const char *const stage_name[N_STAGES] = {
#define STAGE(name, text) [STAGE_##name] = text,
#include "run/stage.def"
#undef STAGE
};

const char *const drop_name[N_DROPS] = {
#define DROP(name, text) [DROP_##name] = #name,
#include "run/drop.def"
#undef DROP
};

const char *const drop_text[N_DROPS] = {
#define DROP(name, text) [DROP_##name] = text,
#include "run/drop.def"
#undef DROP
};
