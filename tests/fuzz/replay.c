// SPDX-License-Identifier: AGPL-3.0-or-later
// Runs a target of libFuzzer on the files of a folder, without libFuzzer.
//
//   PROGRAM FOLDER
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"

#define INPUT_MAX 65536

static void run_file(const char *path)
{
    static uint8_t data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, sizeof data, file);
    (void)fclose(file);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char *argv[])
{
    struct dirent **files;
    int count = argc == 2 ? scandir(argv[1], &files, NULL, alphasort) : -1;
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 0; i < count; i++) {
        auto_free char *path = mem_printf("%s/%s", argv[1], files[i]->d_name);
        if (files[i]->d_name[0] != '.')
            run_file(path);
        free(files[i]);
    }
    if (count <= 2) {
        fprintf(stderr, "no files\n");
        return 1;
    }
    free(files);
    return 0;
}
