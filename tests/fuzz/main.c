/* SPDX-License-Identifier: BSD-3-Clause */
/* main FILE|FOLDER ... - replay inputs that were found and kept, without libFuzzer */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned replayed;

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *bytes;
	size_t len;
	long size;

	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET)) {
		perror(path);
		return 1;
	}
	bytes = malloc((size_t)size + !size); /* of a length that tools can watch */
	len = bytes ? fread(bytes, 1, (size_t)size, file) : 0;
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, len);
	free(bytes);
	replayed++;
	return 0;
}

static int replay(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int failed = 0;

	if (!folder) {
		fprintf(stderr, "%s\n", path); /* the last one is what it died of */
		return replay_file(path);
	}
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.') {
			char file[4096];

			snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
			failed |= replay(file);
		}
	closedir(folder);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	printf("%s: %u inputs\n", argv[0], replayed);
	return failed || !replayed;
}
