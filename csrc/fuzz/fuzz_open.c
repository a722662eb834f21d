/* fuzz_open.c - header check, open, bind and the dictionaries of any bytes. */
#include "mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    atlas_error error = {0};
    opened o;
    uint8_t *copy = copy_shard(data, size);
    if (copy == NULL) return 0;
    int status = atlas_header_check(copy, size - 1, &error);
    MUST(status == ATLAS_OK || (status == error.status && error.why != NULL));
    status = opened_open(&o, copy, size - 1, &error);
    MUST(status == ATLAS_OK || (status == error.status && error.why != NULL && error.at <= size));
    if (status == ATLAS_OK) {
        for (uint32_t l = 0; l < o.shard.leaf_count; l++) {
            uint8_t entry[16];
            atlas_leaf_write(entry, &o.leaves[l]);
            MUST(memcmp(entry, o.shard.layout + 16 + l * 16, 16) == 0);
        }
        if (o.shard.block_count != 0) atlas_shard_forget(&o.shard, 0);
    }
    opened_close(&o);
    free(copy);
    return 0;
}
