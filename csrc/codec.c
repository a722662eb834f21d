/* codec.c - the one file that includes zstd and lz4. */
#include "codec.h"

#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>
#include <string.h>
#include <zdict.h>
#define ZSTD_STATIC_LINKING_ONLY /* for ZSTD_createDDict_byReference */
#include <zstd.h>

#include "bytes.h"
#include "error.h"
#include "layout.h"
#include "literals.h"

/* A copy of a dictionary with room for a result right behind it. To zstd that is one piece of memory, so that what a result
 * takes from the dictionary is copied as fast as what it takes from itself: a third of the time of short texts. One thread at a
 * time uses a bench; who finds none free decodes as usual. */
#define BENCHES 8u
#define BENCH_ROOM 65536u

typedef struct {
    uint8_t *bytes; /* NULL: not made yet */
    ZSTD_DDict *decode;
    bool busy;
} bench;

struct atlas_dict {
    bench *benches;
    ZSTD_DDict *decode;
    ZSTD_CDict *encode; /* NULL if opened to read only */
    size_t size;
    atlas_huffman literals; /* to encode */
    uint8_t bytes[];
};

#define LZ4_WINDOW 65536u
/* Literals from which four streams are read faster than one. Of tokens, with a dictionary: 128 take 1.2 times as long, 256 take
 * 0.8 of the time, 1,000 take 0.4, and 7 bytes more: docs/decisions/2026-11-30-cells-of-several-values.md. */
#define FOUR_STREAMS_LEAST 256u

int atlas_dict_open(
    const uint8_t *bytes,
    size_t size,
    int level,
    atlas_dict **out,
    atlas_error *error
) {
    *out = NULL;
    ATLAS_REQUIRE(size >= ATLAS_MIN_DICTIONARY && size <= ATLAS_MAX_DICTIONARY, LIMIT, 0, "dictionary.bytes is not in 8 .. 2^20");
    atlas_dict *dict = calloc(1, sizeof *dict + size);
    ATLAS_REQUIRE(dict != NULL, MEMORY, 0, "out of memory");
    memcpy(dict->bytes, bytes, size);
    dict->size = size;
    dict->benches = calloc(BENCHES, sizeof *dict->benches);
    dict->decode = ZSTD_createDDict(dict->bytes, size);
    if (level != 0) dict->encode = ZSTD_createCDict(dict->bytes, size, level);
    if (dict->benches == NULL || dict->decode == NULL || (level != 0 && dict->encode == NULL)) {
        atlas_dict_close(dict);
        return atlas_fail(error, ATLAS_CODEC, 0, "dictionary: zstd rejects it");
    }
    if (level != 0) atlas_huffman_of_dictionary(&dict->literals, dict->bytes, size);
    *out = dict;
    return ATLAS_OK;
}

void atlas_dict_close(atlas_dict *dict) {
    if (dict == NULL) return;
    for (unsigned i = 0; dict->benches != NULL && i < BENCHES; i++) {
        ZSTD_freeDDict(dict->benches[i].decode);
        free(dict->benches[i].bytes);
    }
    free(dict->benches);
    ZSTD_freeDDict(dict->decode);
    ZSTD_freeCDict(dict->encode);
    free(dict);
}

int atlas_dict_train(
    const uint8_t *samples,
    const size_t *sizes,
    uint32_t count,
    uint8_t *out,
    size_t capacity,
    size_t *size,
    atlas_error *error
) {
    ATLAS_REQUIRE(capacity <= ATLAS_MAX_DICTIONARY, ARG, 0, "dictionary capacity over the limit");
    const size_t trained = ZDICT_trainFromBuffer(out, capacity, samples, sizes, count);
    *size = ZDICT_isError(trained) ? 0 : trained;
    return ATLAS_OK;
}

int atlas_reader_open(atlas_reader *reader, atlas_error *error) {
    memset(reader, 0, sizeof *reader);
    reader->max_page = 256u << 20;
    reader->zstd = ZSTD_createDCtx();
    ATLAS_REQUIRE(reader->zstd != NULL, MEMORY, 0, "out of memory");
    return ATLAS_OK;
}

void atlas_reader_close(atlas_reader *reader) {
    ZSTD_freeDCtx(reader->zstd);
    reader->zstd = NULL;
}

bool atlas_frame_content_size(const uint8_t *frame, size_t size, uint64_t *content) {
    if (size < 1) return false;
    const uint8_t descriptor = frame[0];
    const bool single_segment = (descriptor & 0x20) != 0;
    if ((descriptor & 0x1f) != 0) return false; /* dictionary ID, checksum, reserved bits */
    const uint8_t *field = frame + (single_segment ? 1 : 2);
    const size_t left = size > (size_t)(field - frame) ? size - (size_t)(field - frame) : 0;
    switch (descriptor >> 6) {
    case 0:
        if (!single_segment || left < 1) return false;
        *content = field[0];
        return true;
    case 1:
        if (left < 2) return false;
        *content = (uint64_t)load_u16(field) + 256;
        return true;
    case 2:
        if (left < 4) return false;
        *content = load_u32(field);
        return true;
    default:
        if (left < 8) return false;
        *content = load_u64(field);
        return true;
    }
}

size_t atlas_frame_head(uint32_t content, size_t body_bytes, uint8_t out[FRAME_HEAD]) {
    const bool rle = body_bytes == 1;
    const uint32_t block = 1u | (rle ? 1u : 2u) << 1 | (uint32_t)(rle ? content : body_bytes) << 3;
    size_t at = ZSTD_MAGIC_BYTES;
    store_u32(out, ZSTD_MAGICNUMBER);
    out[at++] = content < 256 ? 0x20 : 0x60; /* one segment; its size in one byte or, less 256, in two */
    if (content < 256) {
        out[at++] = (uint8_t)content;
    } else {
        store_u16(out + at, (uint16_t)(content - 256));
        at += 2;
    }
    out[at++] = (uint8_t)block;
    out[at++] = (uint8_t)(block >> 8);
    out[at++] = (uint8_t)(block >> 16);
    return at;
}

/* Whether a frame (after its magic number) is one last block that ends where the frame does: so it is with nearly every cell, and needs no walk. */
static bool is_one_block(const uint8_t *frame, size_t size) {
    static const uint8_t content_bytes[4] = {1, 2, 4, 8};
    const size_t header = ((frame[0] & 0x20) != 0 ? 1u : 2u) + content_bytes[frame[0] >> 6];
    if (size < header + 3) return false;
    const uint32_t block = (uint32_t)frame[header] | (uint32_t)frame[header + 1] << 8 | (uint32_t)frame[header + 2] << 16;
    return (block & 1) != 0 && (block >> 1 & 3) != 1 && header + 3 + (block >> 3) == size;
}

static bool bench_make(bench *b, const atlas_dict *dict) {
    uint8_t *bytes = malloc(dict->size + BENCH_ROOM);
    if (bytes == NULL) return false;
    memcpy(bytes, dict->bytes, dict->size);
    b->decode = ZSTD_createDDict_byReference(bytes, dict->size);
    if (b->decode == NULL) {
        free(bytes);
        return false;
    }
    b->bytes = bytes;
    return true;
}

/* A bench for this thread alone, until its busy is cleared; NULL if there is none. */
static bench *bench_take(const atlas_dict *dict) {
    for (unsigned i = 0; i < BENCHES; i++) {
        bench *b = &dict->benches[i];
        if (__atomic_exchange_n(&b->busy, true, __ATOMIC_ACQUIRE)) continue;
        if (b->bytes != NULL || bench_make(b, dict)) return b;
        __atomic_store_n(&b->busy, false, __ATOMIC_RELEASE);
        return NULL;
    }
    return NULL;
}

static size_t decode_with_dict(ZSTD_DCtx *zstd, const atlas_dict *dict, const uint8_t *src, size_t size, uint8_t *out, size_t raw) {
    bench *b = raw <= BENCH_ROOM ? bench_take(dict) : NULL;
    if (b == NULL) return ZSTD_decompress_usingDDict(zstd, out, raw, src, size, dict->decode);
    const size_t got = ZSTD_decompress_usingDDict(zstd, b->bytes + dict->size, raw, src, size, b->decode);
    if (got == raw) memcpy(out, b->bytes + dict->size, raw);
    __atomic_store_n(&b->busy, false, __ATOMIC_RELEASE);
    return got;
}

static bool zstd_decode(
    void *zstd,
    const atlas_dict *dict,
    const uint8_t *src,
    size_t size,
    uint8_t *out,
    size_t raw
) {
    uint64_t content = 0;
    if (size <= ZSTD_MAGIC_BYTES || load_u32(src) != ZSTD_MAGICNUMBER) return false;
    if (!atlas_frame_content_size(src + ZSTD_MAGIC_BYTES, size - ZSTD_MAGIC_BYTES, &content) || content != raw) return false;
    if (!is_one_block(src + ZSTD_MAGIC_BYTES, size - ZSTD_MAGIC_BYTES) && ZSTD_findFrameCompressedSize(src, size) != size) return false;
    const size_t got = dict != NULL ? decode_with_dict(zstd, dict, src, size, out, raw)
                                    : ZSTD_decompressDCtx(zstd, out, raw, src, size);
    return got == raw; /* an error code is far above any raw */
}

static bool lz4_decode(
    const atlas_dict *dict,
    const uint8_t *src,
    size_t size,
    uint8_t *out,
    size_t raw
) {
    if (size > INT32_MAX || raw > INT32_MAX) return false;
    int got;
    if (dict == NULL) {
        got = LZ4_decompress_safe((const char *)src, (char *)out, (int)size, (int)raw);
    } else {
        const size_t window = dict->size < LZ4_WINDOW ? dict->size : LZ4_WINDOW;
        const uint8_t *start = dict->bytes + dict->size - window;
        got = LZ4_decompress_safe_usingDict((const char *)src, (char *)out, (int)size, (int)raw, (const char *)start, (int)window);
    }
    return got >= 0 && (size_t)got == raw;
}

bool atlas_codec_decode(
    void *zstd,
    int codec,
    const atlas_dict *dict,
    const uint8_t *src,
    size_t size,
    uint8_t *out,
    size_t raw
) {
    return codec == ATLAS_CODEC_ZSTD ? zstd_decode(zstd, dict, src, size, out, raw) : lz4_decode(dict, src, size, out, raw);
}

struct codec_encoder {
    ZSTD_CCtx *zstd;
    LZ4_streamHC_t *lz4; /* opened at its first use: 256 KiB that few need */
};

codec_encoder *atlas_codec_encoder_open(void) {
    codec_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL) return NULL;
    encoder->zstd = ZSTD_createCCtx();
    if (encoder->zstd == NULL) {
        free(encoder);
        return NULL;
    }
    ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_contentSizeFlag, 1);
    ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_dictIDFlag, 0);
    return encoder;
}

void atlas_codec_encoder_close(codec_encoder *encoder) {
    if (encoder == NULL) return;
    ZSTD_freeCCtx(encoder->zstd);
    if (encoder->lz4 != NULL) LZ4_freeStreamHC(encoder->lz4);
    free(encoder);
}

static size_t lz4_encode(codec_encoder *encoder, int level, const uint8_t *src, size_t size, uint8_t *out, size_t capacity) {
    if (size > LZ4_MAX_INPUT_SIZE) return 0;
    const int room = capacity > INT32_MAX ? INT32_MAX : (int)capacity;
    int got;
    if (level == 0) {
        got = LZ4_compress_default((const char *)src, (char *)out, (int)size, room);
    } else {
        if (encoder->lz4 == NULL) encoder->lz4 = LZ4_createStreamHC();
        if (encoder->lz4 == NULL) return 0;
        LZ4_resetStreamHC_fast(encoder->lz4, level);
        got = LZ4_compress_HC_continue(encoder->lz4, (const char *)src, (char *)out, (int)size, room);
    }
    return got > 0 ? (size_t)got : 0;
}

size_t atlas_codec_encode(
    codec_encoder *encoder,
    int codec,
    const atlas_dict *dict,
    int level,
    int literals,
    const uint8_t *src,
    size_t size,
    uint8_t *out,
    size_t capacity
) {
    if (codec == ATLAS_CODEC_LZ4) return dict == NULL ? lz4_encode(encoder, level, src, size, out, capacity) : 0;
    ZSTD_CCtx *zstd = encoder->zstd;
    /* one that failed for want of room is still under way; without the reset it would keep its dictionary, and the next frame use it */
    ZSTD_CCtx_reset(zstd, ZSTD_reset_session_only);
    if (ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level))) return 0;
    if (ZSTD_isError(ZSTD_CCtx_refCDict(zstd, dict != NULL ? dict->encode : NULL))) return 0;
    /* ZSTD_c_literalCompressionMode; a zstd that does not know it chooses for itself */
    (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_experimentalParam5, literals);
    const size_t got = ZSTD_compress2(zstd, out, capacity, src, size);
    return ZSTD_isError(got) ? 0 : atlas_literals_split(out, got, capacity, dict != NULL ? &dict->literals : NULL, FOUR_STREAMS_LEAST);
}
