/* codec.h - lz4 and zstd behind four calls. Knows nothing of pages. */
#ifndef ATLAS_CODEC_H
#define ATLAS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atlas.h"

#define ZSTD_MAGIC_BYTES 4

/* What a zstd frame without its magic number announces; false if it announces nothing or more than FORMAT.md allows. */
bool atlas_frame_content_size(const uint8_t *frame, size_t size, uint64_t *content);

/* The frame and block headers (magic number included) of a frame without dictionary ID and checksum
 * whose content is one block; at most FRAME_HEAD bytes. body_bytes 1 means one byte repeated.
 * content is at most CELL_BLOCK_MOST. */
#define FRAME_HEAD 16
#define CELL_BLOCK_MOST 65535u
size_t atlas_frame_head(uint32_t content, size_t body_bytes, uint8_t out[FRAME_HEAD]);

/* Exactly one frame or block that yields exactly raw bytes. frame includes its magic number. */
bool atlas_codec_decode(
    void *zstd,
    int codec,
    const atlas_dict *dict,
    const uint8_t *src,
    size_t size,
    uint8_t *out,
    size_t raw);

/* What compresses, one thread at a time; NULL if there is no memory. */
typedef struct codec_encoder codec_encoder;
codec_encoder *atlas_codec_encoder_open(void);
void atlas_codec_encoder_close(codec_encoder *encoder);

/* Bytes written, or 0 if they would be more than capacity (or the codec fails). level, literals: as in
 * atlas_page_in. */
size_t atlas_codec_encode(
    codec_encoder *encoder,
    int codec,
    const atlas_dict *dict,
    int level,
    int literals,
    const uint8_t *src,
    size_t size,
    uint8_t *out,
    size_t capacity);

#endif
