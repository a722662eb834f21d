/* frame.h - shared by the files that read frames. */
#ifndef ATLAS_FRAME_H
#define ATLAS_FRAME_H

#include "atlas.h"
#include "hash.h"
#include "layout.h"

/* The rules for the 64 header bytes, wherever they stand (at: their place, for the message). */
int atlas_header_fields_check(const uint8_t *header, uint64_t at, atlas_error *error);
/* As atlas_chunk_check, without looking at the padding. */
int atlas_chunk_open(
    const uint8_t *base,
    uint64_t limit,
    uint64_t offset,
    uint64_t nonce,
    atlas_chunk *chunk,
    atlas_error *error);

static inline uint64_t chunk_hash(const uint8_t *chunk, uint32_t head_bytes, uint64_t nonce, uint64_t offset) {
    return hash64(chunk + ATLAS_CHUNK_KIND, ATLAS_CHUNK_BODY - ATLAS_CHUNK_KIND + (size_t)head_bytes, nonce ^ offset);
}

#endif
