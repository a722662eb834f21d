/* block_write.c - one block: its pages one after another, and their table. */
#include <stdlib.h>

#include "codec.h"
#include "error.h"
#include "hash.h"
#include "page_write.h"

int atlas_encoder_open(atlas_encoder **out, atlas_error *error) {
    *out = NULL;
    atlas_encoder *encoder = calloc(1, sizeof *encoder);
    ATLAS_REQUIRE(encoder != NULL, MEMORY, 0, "out of memory");
    encoder->codecs = atlas_codec_encoder_open();
    if (encoder->codecs == NULL) {
        free(encoder);
        return atlas_fail(error, ATLAS_MEMORY, 0, "out of memory");
    }
    *out = encoder;
    return ATLAS_OK;
}

void atlas_encoder_close(atlas_encoder *encoder) {
    if (encoder == NULL) return;
    atlas_codec_encoder_close(encoder->codecs);
    free(encoder->scratch);
    free(encoder);
}

uint8_t *atlas_encoder_scratch(atlas_encoder *encoder, size_t size) {
    if (size > encoder->scratch_bytes) {
        free(encoder->scratch);
        encoder->scratch_bytes = 0;
        encoder->scratch = malloc(size + size / 4);
        if (encoder->scratch != NULL) encoder->scratch_bytes = size + size / 4;
    }
    return encoder->scratch;
}

uint64_t atlas_block_bound(const atlas_page_in *pages, uint32_t page_count, uint32_t rows) {
    uint64_t raw = 0, spare = 0;
    if (rows == 0 || rows > ATLAS_MAX_ROWS || page_count > ATLAS_MAX_LEAVES) return 0;
    for (uint32_t i = 0; i < page_count; i++) {
        const source s = source_of(&pages[i], rows);
        raw += validity_of(&s) + content_bytes(&s);
        if (raw > ATLAS_MAX_PAGE) return 0;
        /* padding, and what a head and cells need while it is not clear whether they pay */
        spare += 256 + CELL_SPARE + (pages[i].cell_rows != 0 && s.kind == ATLAS_KIND_FIXED ? pad_to(4 * ((uint64_t)rows + 1), 64) : 0);
    }
    return ATLAS_BLOCK_TABLE + raw + spare + (uint64_t)page_count * ATLAS_PAGE_SIZE;
}

int atlas_block_write(
    atlas_encoder *encoder,
    atlas_page_in *pages,
    uint32_t page_count,
    uint64_t first_row,
    uint32_t rows,
    uint16_t group,
    uint8_t *out,
    uint64_t capacity,
    uint64_t *size,
    uint32_t *raw,
    atlas_error *error
) {
    const uint64_t bound = atlas_block_bound(pages, page_count, rows);
    ATLAS_REQUIRE(bound != 0, LIMIT, 0, "block > limit of 2^30 bytes or 2^20 rows");
    ATLAS_REQUIRE(bound <= capacity && page_count >= 1 && page_count <= ATLAS_MAX_LEAVES, ARG, 0, "capacity < atlas_block_bound");
    uint64_t end = ATLAS_BLOCK_TABLE + (uint64_t)page_count * ATLAS_PAGE_SIZE;
    uint64_t raw_sum = 0;
    memset(out, 0, end);
    store_u64(out + ATLAS_BLOCK_FIRST_ROW, first_row);
    store_u32(out + ATLAS_BLOCK_ROWS, rows);
    store_u16(out + ATLAS_BLOCK_GROUP, group);
    store_u16(out + ATLAS_BLOCK_PAGES, (uint16_t)page_count);
    for (uint32_t i = 0; i < page_count; i++) {
        atlas_page_in *to = &pages[i];
        ATLAS_REQUIRE(to->kind == ATLAS_KIND_FIXED || to->kind == ATLAS_KIND_VARIABLE, ARG, 0, "page.kind is not 1 or 2");
        ATLAS_REQUIRE(to->element <= 1 || ((to->element == 2 || to->element == 4 || to->element == 8) && to->width % to->element == 0), ARG, 0, "page.element is not 2, 4 or 8, or does not divide width");
        ATLAS_REQUIRE(to->dict == NULL || to->dictionary != 0, ARG, 0, "page.dict without its number");
        const source s = source_of(to, rows);
        uint64_t start = pad_to(end, 64);
        memset(out + end, 0, start - end);
        ATLAS_TRY(atlas_page_write(encoder, to, rows, out + start, error));
        const bool whole = to->out_codec != ATLAS_CODEC_NONE && (to->out_flags & ATLAS_PAGE_CELLS) == 0;
        if (whole && pad_to(end, 8) != start) {
            memmove(out + pad_to(end, 8), out + start, to->out_stored);
            start = pad_to(end, 8);
        }
        uint8_t *e = out + ATLAS_BLOCK_TABLE + (size_t)i * ATLAS_PAGE_SIZE;
        store_u16(e + ATLAS_PAGE_LEAF, to->leaf);
        e[ATLAS_PAGE_LAYOUT] = to->out_layout;
        e[ATLAS_PAGE_CODEC] = to->out_codec;
        e[ATLAS_PAGE_FLAGS] = to->out_flags;
        store_u16(e + ATLAS_PAGE_CELL_ROWS, to->out_cell_rows);
        e[ATLAS_PAGE_DICTIONARY] = to->dict != NULL && to->out_codec != ATLAS_CODEC_NONE ? to->dictionary : 0;
        store_u32(e + ATLAS_PAGE_OFFSET, (uint32_t)start);
        store_u32(e + ATLAS_PAGE_STORED, to->out_stored);
        store_u32(e + ATLAS_PAGE_RAW, to->out_raw);
        store_u32(e + ATLAS_PAGE_NULLS, s.nulls);
        store_u64(e + ATLAS_PAGE_HASH, hash64(out + start, to->out_stored, 0));
        end = start + to->out_stored;
        raw_sum += to->out_raw;
    }
    *size = end;
    *raw = (uint32_t)raw_sum;
    return ATLAS_OK;
}
