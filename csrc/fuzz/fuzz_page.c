/* fuzz_page.c - page entry, raw form and cells directly, without a shard and its hashes around them. The first 32 bytes are the page
 * table entry, the next 8 say what the leaf and the block are, the rest is the stored page (or, for a codec, its raw form). */
#include "../codec.h"
#include "../page.h"
#include "common.h"

static void read_value(void *zstd, const page *p, const content *c, uint32_t i, const uint8_t *bytes, uint64_t size) {
    atlas_error error;
    stored_value v;
    if (content_null(c, i) || atlas_value_find(p, c, i, &v, &error) != ATLAS_OK) return;
    if (v.form != CELL_EMPTY) MUST(v.body >= bytes && (uint64_t)(v.body - bytes) <= size && v.body_bytes <= size - (uint64_t)(v.body - bytes));
    MUST(v.skip + v.stored <= v.cell || v.stored == 0);
    MUST(v.size <= ATLAS_MAX_PAGE);
    if (v.size > MOST_PAGE) return;
    const uint64_t room = value_room(c, &v);
    uint8_t *out = malloc(v.size + (v.size == 0)), *temp = malloc(room + (room == 0));
    MUST(out != NULL && temp != NULL);
    (void)atlas_value_write(zstd, p, c, &v, temp, out, &error);
    free(out);
    free(temp);
}

/* What raw must be for a page of a fixed leaf with CELLS. */
static uint32_t cells_raw(const uint8_t *e, const uint8_t *content, uint64_t size, uint32_t rows, uint32_t width) {
    uint64_t head = (e[ATLAS_PAGE_FLAGS] & ATLAS_PAGE_VALIDITY) != 0 ? validity_bytes(rows) : 0;
    if (e[ATLAS_PAGE_LAYOUT] == ATLAS_NARROW) {
        const bool good = size >= head + ATLAS_NARROW_HEAD && content[head + 8] != 0;
        width = good ? width / content[head + 8] * content[head + 9] : 0;
        head += ATLAS_NARROW_HEAD;
    }
    return (uint32_t)(head + (uint64_t)rows * width);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void *zstd;
    atlas_error error = {0};
    if (size < 40 || size > MOST_INPUT) return 0;
    if (zstd == NULL) {
        atlas_reader reader;
        MUST(atlas_reader_open(&reader, &error) == ATLAS_OK);
        zstd = reader.zstd;
    }
    const uint8_t *how = data + 32;
    const uint64_t stored = size - 40;
    const atlas_leaf leaf = {.width = how[0] & 1 ? load_u16(how + 2) : 0, .rows_per_block = MOST_ROWS, .group_leaves = 1, .id = load_u16(data), .kind = how[0] & 1 ? ATLAS_KIND_FIXED : ATLAS_KIND_VARIABLE, .flags = how[1]};
    const uint32_t rows = 1u + load_u16(how + 4) % MOST_ROWS;
    uint8_t *chunk = calloc(1, 128 + stored), *bytes = malloc(stored + (stored == 0));
    MUST(chunk != NULL && bytes != NULL);
    memcpy(chunk + ATLAS_BLOCK_TABLE, data, 32);
    memcpy(chunk + 128, data + 40, stored);
    memcpy(bytes, data + 40, stored);
    uint8_t *e = chunk + ATLAS_BLOCK_TABLE;
    if (how[6] & 1) { /* an entry that fits, so that the content is reached */
        const bool plain = e[ATLAS_PAGE_CODEC] == ATLAS_CODEC_NONE;
        if ((e[ATLAS_PAGE_FLAGS] & ATLAS_PAGE_CELLS) == 0) store_u16(e + ATLAS_PAGE_CELL_ROWS, 0);
        store_u32(e + ATLAS_PAGE_OFFSET, 128);
        store_u32(e + ATLAS_PAGE_STORED, (uint32_t)stored);
        if (plain) store_u32(e + ATLAS_PAGE_RAW, (uint32_t)stored);
        e[ATLAS_PAGE_DICTIONARY] = 0;
        if ((e[ATLAS_PAGE_FLAGS] & ATLAS_PAGE_VALIDITY) == 0) store_u32(e + ATLAS_PAGE_NULLS, 0);
        if ((how[6] & 2) && leaf.kind == ATLAS_KIND_FIXED && (e[ATLAS_PAGE_FLAGS] & ATLAS_PAGE_CELLS) != 0) store_u32(e + ATLAS_PAGE_RAW, cells_raw(e, data + 40, stored, rows, leaf.width));
    }
    const atlas_dict *dicts[1] = {NULL};
    const atlas_shard shard = {.base = chunk, .bytes = 128 + stored, .dicts = dicts, .dictionary_count = 0};
    page p;
    content c;
    if (atlas_page_read(&shard, &leaf, chunk, 128 + stored, rows, MOST_PAGE, &p, &error) == ATLAS_OK) {
        MUST((uint64_t)(p.stored - chunk) + p.stored_bytes <= 128 + stored);
        if (atlas_content_open(&p, &leaf, bytes, stored, &c, &error) == ATLAS_OK) {
            for (uint32_t i = 0; i < rows; i += i < 64 ? 1 : rows / 16 + 1) read_value(zstd, &p, &c, i, bytes, stored);
            read_value(zstd, &p, &c, rows - 1, bytes, stored);
        }
    }
    free(chunk);
    free(bytes);
    return 0;
}
