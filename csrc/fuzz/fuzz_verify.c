/* fuzz_verify.c - section 15 over a shard of any bytes. What verifies with the right digest must also be readable, every row of it. */
#include "mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    atlas_error error = {0};
    atlas_reader reader;
    opened o;
    uint8_t digest[16];
    uint8_t *copy = copy_shard(data, size);
    if (copy == NULL) return 0;
    memset(digest, 0, sizeof digest);
    if (opened_open(&o, copy, size - 1, &error) == ATLAS_OK && o.shard.rows <= MOST_ROWS) {
        reader_make(&reader, data[0]);
        int status = opened_verify(&o, &reader, digest, &error);
        if (status == ATLAS_CORRUPT && (data[0] & DO_RESEAL) && error.at == (uint64_t)(o.shard.footer - o.shard.base) + ATLAS_FOOT_DIGEST) {
            memcpy(o.bytes + (o.shard.footer - o.shard.base) + ATLAS_FOOT_DIGEST, digest, 16); /* all was good but the digest: now it is */
            status = opened_verify(&o, &reader, digest, &error);
            MUST(status != ATLAS_OK); /* the footer's hash sees it */
            reseal(o.bytes, o.size, false);
            memcpy(copy, o.bytes, o.size);
            opened_close(&o);
            MUST(opened_open(&o, copy, size - 1, &error) == ATLAS_OK);
            status = opened_verify(&o, &reader, digest, &error);
            MUST(status == ATLAS_OK);
        }
        if (status == ATLAS_OK) {
            status = opened_read(&o, &reader, size, 64, false, &error);
            MUST(status == ATLAS_OK || status == ATLAS_MEMORY);
        }
        reader_free(&reader);
    }
    opened_close(&o);
    free(copy);
    return 0;
}
