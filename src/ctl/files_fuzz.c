/*
 * files_fuzz: text written to every file that takes it, and files of all names looked at: what a
 * program writes below /proc/sys and /sys may neither crash the instance nor make it keep memory.
 *
 * The input is a list of records: which file (of all there are when the namespace is new, or by a
 * path that is in the input), and the text. After each, files say what they hold, which is written
 * back at times: what a file says it must take, or refuse, as any other text.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "ctl/files.h"
#include "ctl/fuzz_bed.h"

enum wish {
	WISH_PATH = 1,	/* the path is from the input */
	WISH_BACK = 2,	/* what the file says is written to it */
	WISH_OTHER = 4, /* another file is shown afterwards */
	WISH_TIME = 8,	/* time passes */
};

#define N_PATHS 4096

static struct fuzz_bed f;
static char *paths[N_PATHS];
static unsigned n_paths;

struct walk {
	struct net *net;
	const char *dir;
};

static void visit(void *arg, const char *name, const struct file_stat *st)
{
	struct walk *w = arg, below = {w->net, NULL};
	char *path;

	if (asprintf(&path, "%s/%s", w->dir, name) < 0)
		abort();
	if (st->kind == FILE_REG && n_paths < N_PATHS) {
		paths[n_paths++] = path;
		return;
	}
	below.dir = path;
	if (st->kind == FILE_DIR)
		files_list(w->net, path, visit, &below);
	free(path);
}

/* What the file says, cut to what a write takes; the caller's. NULL: it cannot be read. */
static char *show(struct net *net, const char *path, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		abort();
	int err = files_show(net, path, out);
	fclose(out);
	if (!err)
		return text;
	free(text);
	return NULL;
}

static void show_only(struct net *net, const char *path)
{
	size_t len;

	free(show(net, path, &len));
}

static void ignore(void *arg, const char *name, const struct file_stat *st)
{
}

/* A path made of the input's bytes, absolute as the daemon's are. */
static char *path_in(struct view *v)
{
	size_t len, want = view_u8(v);
	char *raw = fuzz_bytes(v, want, &len), *path;

	if (asprintf(&path, "/%.*s", (int)len, raw) < 0)
		abort();
	free(raw);
	return path;
}

static void look(struct net *net, const char *path)
{
	struct file_stat st;

	files_stat(net, path, &st);
	files_list(net, path, ignore, NULL);
}

static void one(struct net *net, struct view *v)
{
	unsigned wish = view_u8(v);
	size_t len, want;
	char *named = wish & WISH_PATH ? path_in(v) : NULL;
	const char *path = named ? named : paths[view_be16(v) % n_paths];

	if (named)
		look(net, named);
	want = view_u8(v);
	char *text = wish & WISH_BACK ? show(net, path, &len) : fuzz_bytes(v, want, &len);
	if (text)
		files_store(net, path, text, len);
	free(text);
	show_only(net, path);
	if (wish & WISH_OTHER)
		show_only(net, paths[view_be16(v) % n_paths]);
	if (wish & WISH_TIME)
		fuzz_bed_pass(&f, NSEC_PER_SEC);
	free(named);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const roots[] = {"/proc/net", "/proc/sys/net", "/sys/class/net",
					    "/sys/devices/virtual/net"};

	fuzz_bed_init(&f);
	struct net *net = fuzz_bed_net(&f);
	for (unsigned i = 0; i < ARRAY_SIZE(roots); i++)
		files_list(net, roots[i], visit, &(struct walk){net, roots[i]});
	net_put(net);
	fuzz_bed_end(&f);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view v = view_of(data, size);
	struct net *net = fuzz_bed_net(&f);

	while (v.left && view_ok(&v))
		one(net, &v);
	net_put(net);
	fuzz_bed_end(&f);
	return 0;
}
