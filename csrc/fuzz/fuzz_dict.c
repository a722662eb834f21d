/* fuzz_dict.c - any bytes as a dictionary; what can be opened then compresses cells that must come back, and decodes any bytes as cells. */
#include "../codec.h"
#include "common.h"

static void decode_any(const atlas_dict *dict, const uint8_t *data, size_t size) {
    static void *zstd;
    atlas_error error;
    atlas_reader reader;
    if (zstd == NULL) {
        MUST(atlas_reader_open(&reader, &error) == ATLAS_OK);
        zstd = reader.zstd;
    }
    uint64_t content = 0;
    for (int codec = ATLAS_CODEC_LZ4; codec <= ATLAS_CODEC_ZSTD; codec++) {
        size_t raw = size > 2 ? (size_t)(data[0] | data[1] << 8) % 4096 : 0;
        if (codec == ATLAS_CODEC_ZSTD && size > ZSTD_MAGIC_BYTES && atlas_frame_content_size(data + 4, size - 4, &content) && content < MOST_PAGE) raw = (size_t)content;
        uint8_t *out = malloc(raw + (raw == 0));
        MUST(out != NULL);
        (void)atlas_codec_decode(zstd, codec, dict, data, size, out, raw);
        free(out);
    }
    static codec_encoder *encoder;
    if (encoder == NULL) encoder = atlas_codec_encoder_open();
    uint8_t *packed = malloc(size + 512), *back = malloc(size + 1);
    MUST(encoder != NULL && packed != NULL && back != NULL);
    const size_t got = atlas_codec_encode(encoder, ATLAS_CODEC_ZSTD, dict, 1, ATLAS_LITERALS_AUTO, data, size, packed, size + 512);
    if (got != 0) {
        MUST(atlas_codec_decode(zstd, ATLAS_CODEC_ZSTD, dict, packed, got, back, size));
        MUST(memcmp(back, data, size) == 0);
        MUST(!atlas_codec_decode(zstd, ATLAS_CODEC_ZSTD, dict, packed, got - 1, back, size));
        if (size != 0) MUST(!atlas_codec_decode(zstd, ATLAS_CODEC_ZSTD, dict, packed, got, back, size - 1));
    }
    free(packed);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    atlas_error error = {0};
    atlas_dict *dict = NULL;
    if (size < 4 || size > MOST_INPUT) return 0;
    size_t length = load_u16(data) % (size - 1);
    const uint8_t *rest = data + 2 + (length <= size - 2 ? length : (length = size - 2));
    const size_t left = (size_t)(data + size - rest);
    uint8_t *exact = malloc(length + (length == 0)), *tail = malloc(left + (left == 0));
    MUST(exact != NULL && tail != NULL);
    memcpy(exact, data + 2, length);
    memcpy(tail, rest, left);
    const int status = atlas_dict_open(exact, length, 1, &dict, &error);
    MUST((status == ATLAS_OK) == (dict != NULL));
    free(exact); /* it has its own copy */
    decode_any(dict, tail, left);
    atlas_dict_close(dict);
    free(tail);
    return 0;
}
