/* hash.h - XXH3 under the names of FORMAT.md, inlined from the system's header. */
#ifndef ATLAS_HASH_H
#define ATLAS_HASH_H

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <xxhash.h>
#pragma GCC diagnostic pop

static inline uint64_t hash64(const void *bytes, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, size, seed);
}

#endif
