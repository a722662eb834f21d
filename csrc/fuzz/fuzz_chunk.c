/* fuzz_chunk.c - a repairer's walk: chunk after chunk while they are good, from any offset, with any limit. */
#include "mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    atlas_error error = {0};
    if (size < 2 || size > MOST_INPUT) return 0;
    const size_t length = size - 1;
    uint8_t *copy = malloc(length);
    MUST(copy != NULL);
    memcpy(copy, data + 1, length);
    if (data[0] & DO_RESEAL) reseal(copy, length, false);
    const uint64_t nonce = length >= 64 ? load_u64(copy + ATLAS_HEADER_NONCE) : 0;
    uint64_t offset = (data[0] & DO_NEVER) ? 0 : ATLAS_HEADER_SIZE;
    for (int i = 0; i < 1024; i++) {
        atlas_chunk chunk;
        const int status = atlas_chunk_check(copy, length, offset, nonce, &chunk, &error);
        MUST(status == ATLAS_OK || (status == error.status && error.why != NULL));
        if (status != ATLAS_OK) break;
        MUST(chunk.next > offset && chunk.next <= length && chunk.head_bytes <= chunk.body_bytes);
        offset = chunk.next;
    }
    static const uint64_t wild[] = {0, 1, 63, 64, 1u << 20, UINT64_MAX - 63, UINT64_MAX, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        atlas_chunk chunk;
        (void)atlas_chunk_check(copy, length, wild[i], nonce, &chunk, &error);
    }
    free(copy);
    return 0;
}
