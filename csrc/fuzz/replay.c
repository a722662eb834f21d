/* replay.c - runs one target over files and folders, without libFuzzer: `replay FILE|FOLDER ...`. Prints how many inputs it ran. */
#include <dirent.h>

#include "common.h"

static unsigned long ran;

static void replay_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    uint8_t *bytes = malloc(MOST_INPUT + 1);
    MUST(bytes != NULL);
    const size_t size = fread(bytes, 1, MOST_INPUT + 1, f);
    fclose(f);
    uint8_t *exact = malloc(size + (size == 0));
    MUST(exact != NULL);
    memcpy(exact, bytes, size);
    free(bytes);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    ran++;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            replay_file(argv[i]);
            continue;
        }
        for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
            char path[4096];
            if (entry->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            replay_file(path);
        }
        closedir(folder);
    }
    printf("%lu\n", ran);
    return 0;
}
