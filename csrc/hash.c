/* hash.c - the hashes for callers, and the content digest. */
#include "hash.h"

#include <stdlib.h>

#include "atlas.h"
#include "bytes.h"
#include "error.h"

struct atlas_digest {
    uint32_t leaf_count;
    XXH3_state_t *states; /* lengths and values of leaf 0, of leaf 1, ... */
};

uint64_t atlas_hash64(const void *bytes, size_t size, uint64_t seed) { return hash64(bytes, size, seed); }

static void store_hash128(uint8_t out[16], XXH128_hash_t hash) {
    store_u64(out, hash.low64);
    store_u64(out + 8, hash.high64);
}

void atlas_hash128(const void *bytes, size_t size, uint8_t out[16]) { store_hash128(out, XXH3_128bits(bytes, size)); }

int atlas_digest_open(uint32_t leaf_count, atlas_digest **out, atlas_error *error) {
    *out = NULL;
    ATLAS_REQUIRE(leaf_count >= 1 && leaf_count <= 4096, ARG, 0, "digest.leaf_count out of range");
    atlas_digest *digest = malloc(sizeof *digest);
    ATLAS_REQUIRE(digest != NULL, MEMORY, 0, "out of memory");
    digest->leaf_count = leaf_count;
    digest->states = aligned_alloc(64, pad_to(2u * leaf_count * sizeof *digest->states, 64));
    if (digest->states == NULL) {
        free(digest);
        return atlas_fail(error, ATLAS_MEMORY, 0, "out of memory");
    }
    for (uint32_t i = 0; i < 2 * leaf_count; i++) {
        XXH3_INITSTATE(&digest->states[i]);
        XXH3_128bits_reset(&digest->states[i]);
    }
    *out = digest;
    return ATLAS_OK;
}

void atlas_digest_close(atlas_digest *digest) {
    if (digest == NULL) return;
    free(digest->states);
    free(digest);
}

void atlas_digest_lengths(atlas_digest *digest, uint32_t leaf, const void *bytes, size_t size) {
    if (size != 0) XXH3_128bits_update(&digest->states[2 * leaf], bytes, size);
}

void atlas_digest_values(atlas_digest *digest, uint32_t leaf, const void *bytes, size_t size) {
    if (size != 0) XXH3_128bits_update(&digest->states[2 * leaf + 1], bytes, size);
}

void atlas_digest_finish(const atlas_digest *digest, uint8_t out[16]) {
    XXH3_state_t *whole = &(XXH3_state_t){0};
    XXH3_INITSTATE(whole);
    XXH3_128bits_reset(whole);
    for (uint32_t i = 0; i < 2 * digest->leaf_count; i++) {
        uint8_t one[16];
        store_hash128(one, XXH3_128bits_digest(&digest->states[i]));
        XXH3_128bits_update(whole, one, sizeof one);
    }
    store_hash128(out, XXH3_128bits_digest(whole));
}
