/*
 * replay: runs a fuzz target without a fuzzer: each file of tests/fuzz/NAME (a crash that was
 * mended, an input worth keeping), then inputs made from a seed: enough to see on every machine
 * that the target stands, not a search. `make fuzz` searches.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

#define INPUTS	  300
#define INPUT_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned files(const char *folder)
{
	static uint8_t data[1 << 20];
	char path[4096];
	DIR *dir = opendir(folder);
	struct dirent *e;
	unsigned n = 0;

	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!f)
			continue;
		size_t len = fread(data, 1, sizeof(data), f);
		fclose(f);
		LLVMFuzzerTestOneInput(data, len);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	uint8_t data[INPUT_MAX];
	struct rng g;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	unsigned n = files(argv[1]);
	rng_seed(&g, 1);
	for (unsigned i = 0; i < INPUTS; i++) {
		size_t len = rng_below(&g, INPUT_MAX);
		for (size_t j = 0; j < len; j++)
			data[j] = (uint8_t)(rng_below(&g, 3) ? rng_below(&g, 32) : rng_u32(&g));
		LLVMFuzzerTestOneInput(data, len);
	}
	printf("%u files, %d made inputs\n", n, INPUTS);
	return 0;
}
