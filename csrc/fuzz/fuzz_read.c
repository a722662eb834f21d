/* fuzz_read.c - views and gather over a shard of any bytes: all its leaves, some of its rows, twice (the second time pages are known). */
#include "mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    atlas_error error = {0};
    atlas_reader reader;
    opened o;
    if (size < 1 || size > MOST_INPUT) return 0;
    uint8_t *copy = malloc(size);
    MUST(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & DO_RESEAL) reseal(copy, size - 1, (data[0] & DO_REFIT) != 0);
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
