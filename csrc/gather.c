/* gather.c - batches: rows of leaves over any number of shards, as views or copied to columns. */
#include "codec.h"
#include "error.h"
#include "read.h"

typedef struct { /* where a row is */
    atlas_shard *shard;
    const atlas_leaf *leaf;
    uint32_t shard_number;
    uint32_t block;
    uint32_t i; /* in the block */
} place;

typedef struct { /* the page that the row before was in */
    const atlas_shard *shard;
    uint32_t block;
    bool usable; /* c is open; false only while counting what the arena would need */
    page p;
    content c;
} cursor;

static int place_find(const atlas_set *set, uint32_t leaf, int64_t row, size_t *hint, place *out, atlas_error *error) {
    size_t k = *hint;
    if (row < set->starts[k] || row >= set->starts[k + 1]) {
        ATLAS_REQUIRE(row >= 0 && row < set->starts[set->count], ARG, 0, "row out of range");
        size_t low = 0, high = set->count - 1;
        while (low < high) {
            const size_t middle = low + (high - low + 1) / 2;
            if (set->starts[middle] <= row) low = middle;
            else high = middle - 1;
        }
        *hint = k = low;
    }
    atlas_shard *shard = set->shards[k];
    const uint64_t local = (uint64_t)(row - set->starts[k]);
    error->shard = (uint32_t)k;
    ATLAS_REQUIRE(shard != NULL, ARG, 0, "shard is not open");
    ATLAS_REQUIRE(leaf < shard->leaf_count && local < shard->rows, ARG, 0, "leaf or row out of range");
    out->shard = shard;
    out->leaf = &shard->leaves[leaf];
    out->shard_number = (uint32_t)k;
    out->block = block_of(out->leaf, local);
    out->i = (uint32_t)(local - (uint64_t)out->block * out->leaf->rows_per_block);
    return ATLAS_OK;
}

/* Bytes of the arena at a multiple of 64, or NULL if it is too small; need grows in either case. */
static uint8_t *arena_take(atlas_reader *reader, uint64_t size) {
    const uint64_t room = pad_to(size, 64);
    reader->need += room;
    if (reader->need > reader->arena_bytes) return NULL;
    uint8_t *p = reader->arena + reader->used;
    reader->used += room;
    return p;
}

static int cursor_move(atlas_reader *reader, const place *at, cursor *cur, atlas_error *error) {
    if (cur->shard == at->shard && cur->block == at->block && reader->verify != ATLAS_VERIFY_ALWAYS) return ATLAS_OK;
    cur->shard = NULL;
    ATLAS_TRY(page_find(reader, at->shard, at->leaf, at->block, &cur->p, NULL, error));
    const uint8_t *bytes = cur->p.stored;
    uint64_t size = cur->p.stored_bytes;
    cur->usable = true;
    if (page_whole_codec(&cur->p)) {
        uint8_t *room = arena_take(reader, cur->p.raw);
        cur->usable = room != NULL;
        if (room != NULL) ATLAS_TRY(page_decode(reader, &cur->p, room, error));
        bytes = room;
        size = cur->p.raw;
    }
    if (cur->usable) ATLAS_TRY(content_open(&cur->p, at->leaf, bytes, size, &cur->c, error));
    cur->shard = at->shard;
    cur->block = at->block;
    return ATLAS_OK;
}

static int view_cell(atlas_reader *reader, const cursor *cur, const uint8_t *cell, uint64_t cell_bytes, atlas_view *view, atlas_error *error) {
    uint64_t size = 0;
    ATLAS_TRY(cell_size(&cur->p, cell, cell_bytes, &size, error));
    if (cell_bytes == 0 || cell[0] == 0) {
        *view = (atlas_view){cell + (cell_bytes != 0), size};
        return ATLAS_OK;
    }
    uint8_t *out = arena_take(reader, size);
    /* room for the frame with its magic number, given back at once but counted in need */
    uint8_t *temp = arena_take(reader, cell_bytes + ZSTD_MAGIC_BYTES);
    if (temp == NULL || out == NULL) return ATLAS_OK;
    ATLAS_TRY(cell_decode(reader->zstd, &cur->p, cell, cell_bytes, temp, out, size, error));
    reader->used -= pad_to(cell_bytes + ZSTD_MAGIC_BYTES, 64);
    reader->need -= pad_to(cell_bytes + ZSTD_MAGIC_BYTES, 64);
    *view = (atlas_view){out, size};
    return ATLAS_OK;
}

static int view_value(atlas_reader *reader, const place *at, const cursor *cur, atlas_view *view, atlas_error *error) {
    const content *c = &cur->c;
    *view = (atlas_view){NULL, 0};
    if (content_null(c, at->i)) return ATLAS_OK;
    if (c->kind == ATLAS_KIND_VARIABLE) {
        const uint8_t *value;
        uint64_t size;
        ATLAS_TRY(content_variable(c, at->i, &value, &size, error));
        if ((cur->p.flags & ATLAS_PAGE_CELLS) != 0) return view_cell(reader, cur, value, size, view, error);
        *view = (atlas_view){value, size};
        return ATLAS_OK;
    }
    view->size = c->width;
    if (c->layout != ATLAS_NARROW) return content_fixed(c, at->i, &view->data, error);
    uint8_t *out = arena_take(reader, c->width);
    if (out != NULL) content_narrow(c, at->i, out);
    view->data = out;
    return ATLAS_OK;
}

static int view_row(atlas_reader *reader, const place *at, cursor *cur, atlas_view *view, atlas_error *error) {
    const uint64_t word = word_load(page_word(at->shard, at->leaf, at->block));
    if ((word & WORD_PLAIN) != 0 && reader->verify != ATLAS_VERIFY_ALWAYS) {
        *view = (atlas_view){at->shard->base + (word & ~(uint64_t)63) + (uint64_t)at->i * at->leaf->width, at->leaf->width};
        return ATLAS_OK;
    }
    ATLAS_TRY(cursor_move(reader, at, cur, error));
    if (cur->usable) return view_value(reader, at, cur, view, error);
    /* counting: a NARROW value would take room beside the decoded page */
    if (cur->p.layout == ATLAS_NARROW) (void)arena_take(reader, at->leaf->width);
    return ATLAS_OK;
}

int atlas_views(atlas_reader *reader, const atlas_set *set, const int64_t *rows, size_t count, const int64_t *order, const uint32_t *leaves, size_t leaf_count, atlas_view *views, atlas_error *error) {
    reader->need = reader->used;
    size_t hint = 0;
    for (size_t l = 0; l < leaf_count; l++) {
        cursor cur;
        cur.shard = NULL;
        for (size_t k = 0; k < count; k++) {
            const size_t r = order != NULL ? (size_t)order[k] : k;
            ATLAS_REQUIRE(r < count, ARG, 0, "order is not a permutation");
            place at;
            ATLAS_TRY(place_find(set, leaves[l], rows[r], &hint, &at, error));
            ATLAS_TRY(view_row(reader, &at, &cur, &views[l * count + r], error));
        }
    }
    ATLAS_REQUIRE(reader->need <= reader->arena_bytes, MEMORY, 0, "arena is too small");
    return ATLAS_OK;
}

static int copy_value(const place *at, const cursor *cur, uint8_t *out, uint8_t *null, atlas_error *error) {
    const content *c = &cur->c;
    if (content_null(c, at->i)) {
        memset(out, 0, c->width);
        if (null != NULL) *null = 1;
        return ATLAS_OK;
    }
    if (c->layout == ATLAS_NARROW) {
        content_narrow(c, at->i, out);
        return ATLAS_OK;
    }
    const uint8_t *value;
    ATLAS_TRY(content_fixed(c, at->i, &value, error));
    memcpy(out, value, c->width);
    return ATLAS_OK;
}

static inline void copy_small(uint8_t *out, const uint8_t *src, uint32_t width) {
    switch (width) {
    case 1: *out = *src; break;
    case 2: memcpy(out, src, 2); break;
    case 4: memcpy(out, src, 4); break;
    case 8: memcpy(out, src, 8); break;
    default: memcpy(out, src, width);
    }
}

/* Rows whose source is found and asked for before the first of them is copied: hides the memory's latency. */
#define AHEAD 16u
#define PREFETCH_LINES 8u

static int gather_column(atlas_reader *reader, const atlas_set *set, const int64_t *rows, size_t count, const int64_t *order, const atlas_column *column, atlas_error *error) {
    size_t hint = 0;
    cursor cur;
    cur.shard = NULL;
    const size_t keep = reader->used;
    for (size_t start = 0; start < count; start += AHEAD) {
        const uint8_t *source[AHEAD];
        size_t target[AHEAD];
        size_t found = 0;
        uint32_t width = 0;
        const size_t stop = count - start < AHEAD ? count : start + AHEAD;
        for (size_t k = start; k < stop; k++) {
            const size_t r = order != NULL ? (size_t)order[k] : k;
            ATLAS_REQUIRE(r < count, ARG, 0, "order is not a permutation");
            place at;
            ATLAS_TRY(place_find(set, column->leaf, rows[r], &hint, &at, error));
            ATLAS_REQUIRE(at.leaf->kind == ATLAS_KIND_FIXED && at.leaf->width <= column->stride, ARG, 0, "column is not one of a fixed leaf");
            if (column->nulls != NULL) column->nulls[r] = 0;
            uint64_t word = word_load(page_word(at.shard, at.leaf, at.block));
            if ((word & WORD_PLAIN) == 0 || reader->verify == ATLAS_VERIFY_ALWAYS) {
                if (cur.shard != at.shard || cur.block != at.block) { /* one decoded page at a time */
                    reader->used = reader->need = keep;
                }
                ATLAS_TRY(cursor_move(reader, &at, &cur, error));
                ATLAS_REQUIRE(cur.usable, MEMORY, 0, "arena is too small");
                ATLAS_TRY(copy_value(&at, &cur, column->out + r * column->stride, column->nulls != NULL ? &column->nulls[r] : NULL, error));
                continue;
            }
            width = at.leaf->width;
            const uint8_t *p = at.shard->base + (word & ~(uint64_t)63) + (uint64_t)at.i * width;
            const uint32_t lines = (width + 63) / 64 < PREFETCH_LINES ? (width + 63) / 64 : PREFETCH_LINES;
            for (uint32_t line = 0; line < lines; line++) __builtin_prefetch(p + (size_t)line * 64, 0, 0);
            source[found] = p;
            target[found++] = r;
        }
        for (size_t k = 0; k < found; k++) copy_small(column->out + target[k] * column->stride, source[k], width);
    }
    reader->used = keep;
    return ATLAS_OK;
}

int atlas_gather(atlas_reader *reader, const atlas_set *set, const int64_t *rows, size_t count, const int64_t *order, const atlas_column *columns, size_t column_count, atlas_error *error) {
    reader->need = reader->used;
    for (size_t c = 0; c < column_count; c++) ATLAS_TRY(gather_column(reader, set, rows, count, order, &columns[c], error));
    return ATLAS_OK;
}
