/* fuzz_read.c - views and gather over a shard of any bytes: all its leaves, some of its rows, twice (the second time pages are known). */
#include "mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    atlas_error error = {0};
    atlas_reader reader;
    opened o;
    uint8_t *copy = copy_shard(data, size);
    if (copy == NULL) return 0;
    if (opened_open(&o, copy, size - 1, &error) == ATLAS_OK) {
        reader_make(&reader, data[0]);
        (void)opened_read(&o, &reader, size, 6, (data[0] & DO_ORDER) != 0, &error);
        (void)opened_read(&o, &reader, size + 1, 3, (data[0] & DO_ORDER) == 0, &error);
        reader_free(&reader);
    }
    opened_close(&o);
    free(copy);
    return 0;
}
