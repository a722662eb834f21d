/* gather.c - batches: rows of leaves over any number of shards, as views or copied to columns. Longer than
 * other files because both share how a row and its page are found. */
#include "codec.h"
#include "error.h"
#include "read.h"

typedef struct { /* where a row is */
    atlas_shard *shard;
    const atlas_leaf *leaf;
    const uint64_t *memo; /* what is known of its page */
    uint64_t word;        /* the memo's first word */
    uint32_t shard_number;
    uint32_t block;
    uint32_t i; /* in the block */
} place;

typedef struct { /* an opened page */
    const atlas_shard *shard;
    uint32_t block;
    bool usable; /* c is open; false only while counting what the arena would need */
    page p;
    content c;
} cursor;

/* Rows go through in tiles: first all of a tile are found and their memory is asked for, then they are read. That hides the memory's latency. */
#define TILE 16u
#define PREFETCH_LINES 16u

static int place_find(
    const atlas_set *set,
    uint32_t leaf,
    int64_t row,
    size_t *hint,
    place *out,
    atlas_error *error
) {
    size_t k = *hint;
    if (row < set->starts[k] || row >= set->starts[k + 1]) {
        ATLAS_REQUIRE(row >= 0 && row < set->starts[set->count], ARG, 0, "row out of range");
        *hint = k = set_find(set, row);
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
    out->memo = page_memo(shard, out->leaf, out->block);
    out->word = word_load(out->memo);
    return ATLAS_OK;
}

static inline const uint8_t *plain_value(const place *at) {
    return at->shard->base + (at->word & WORD_OFFSET) + (uint64_t)at->i * at->leaf->width;
}

static inline void prefetch_bytes(const uint8_t *p, uint64_t size) {
    const uint64_t lines = (size + 63) / 64 < PREFETCH_LINES ? (size + 63) / 64 : PREFETCH_LINES;
    for (uint64_t line = 0; line < lines; line++) __builtin_prefetch(p + line * 64, 0, 3);
}

static inline void prefetch_place(const place *at) {
    if ((at->word & WORD_PLAIN) != 0) {
        prefetch_bytes(plain_value(at), at->leaf->width);
        return;
    }
    if ((at->word & WORD_OPEN) == 0) return;
    const uint8_t *stored = at->shard->base + (at->word & WORD_OFFSET);
    const uint64_t kinds = memo_word(at->memo, 3);
    const uint8_t layout = (uint8_t)kinds, unit = (uint8_t)(kinds >> 32);
    const uint8_t flags = (uint8_t)(kinds >> 16);
    uint64_t near = 0; /* where row i is looked up first, as if nothing were null */
    if (has_offsets(at->leaf->kind, layout, flags)) near = (uint64_t)at->i * ((flags & ATLAS_PAGE_SHORT) != 0 ? 2 : 4);
    else if (layout == ATLAS_ENUM) near = ATLAS_ENUM_HEAD + (uint64_t)at->i * unit;
    else if (layout == ATLAS_NARROW) near = ATLAS_NARROW_HEAD + (uint64_t)at->i * (at->leaf->width / unit) * (uint8_t)(kinds >> 40);
    __builtin_prefetch(stored + near, 0, 3);
}

typedef struct { /* a shard, with all that its rows share in one leaf */
    int64_t low, high;
    const atlas_shard *shard;
    const uint8_t *base;
    const uint64_t *memos;
    uint64_t step; /* words from one block's memo to the next's */
    uint32_t rows_per_block;
    uint32_t width;
} run;

typedef struct { /* where a value is, if its memo says all there is to know; stored 0: it is copied, else a number to be widened */
    const uint8_t *from;
    uint64_t base;
    uint32_t stored;
} found;

static inline run run_of(const atlas_shard *shard, const atlas_leaf *leaf, int64_t low, int64_t high) {
    return (run){low, high, shard, shard->base, page_memo(shard, leaf, 0), (uint64_t)leaf->group_leaves * MEMO_WORDS, leaf->rows_per_block, leaf->width};
}

static inline found memo_value(const run *in, uint64_t local, int32_t verify) {
    const uint64_t block = local <= UINT32_MAX ? (uint32_t)local / in->rows_per_block : local / in->rows_per_block;
    const uint64_t i = local - block * in->rows_per_block;
    const uint64_t *memo = in->memos + block * in->step;
    const uint64_t word = word_load(memo);
    const uint8_t *stored = in->base + (word & WORD_OFFSET);
    if (word_serves(word, WORD_PLAIN, verify)) return (found){stored + i * in->width, 0, 0};
    const uint64_t kinds = memo_word(memo, 3);
    const bool number = (uint8_t)kinds == ATLAS_NARROW && (uint8_t)(kinds >> 16) == 0 && (uint8_t)(kinds >> 32) == in->width;
    if (!number || !word_serves(word, WORD_OPEN, verify)) return (found){NULL, 0, 0};
    const uint8_t bytes = (uint8_t)(kinds >> 40);
    return (found){stored + ATLAS_NARROW_HEAD + i * bytes, memo_word(memo, 2), bytes};
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

static inline void value_copy(uint8_t *out, const found *f, uint32_t width) {
    if (f->stored == 0) {
        copy_small(out, f->from, width);
        return;
    }
    const uint64_t value = f->base + (f->stored == 1 ? *f->from : f->stored == 2 ? load_u16(f->from) : load_u32(f->from));
    if (width == 8) store_u64(out, value);
    else if (width == 4) store_u32(out, (uint32_t)value);
    else store_u16(out, (uint16_t)value);
}

/* Bytes of the arena at a multiple of 64, or NULL if it is too small; need grows in either case. */
static uint8_t *arena_take(atlas_reader *reader, uint64_t size) {
    const uint64_t room = size != 0 ? pad_to(size, 64) : 64; /* something, so that NULL means too small and nothing else */
    reader->need += room;
    if (reader->need > reader->arena_bytes) return NULL;
    uint8_t *p = reader->arena + reader->used;
    reader->used += room;
    return p;
}

/* A page that no memo describes: checked, decoded if it is compressed as a whole, else noted in its memo. */
static int page_load(atlas_reader *reader, const place *at, cursor *cur, atlas_error *error) {
    page *p = &cur->p;
    ATLAS_TRY(atlas_page_find(reader, at->shard, at->leaf, at->block, p, error));
    if (page_whole_codec(p)) {
        uint8_t *room = arena_take(reader, p->raw);
        cur->usable = room != NULL;
        if (room == NULL) return ATLAS_OK;
        ATLAS_TRY(atlas_page_decode(reader, p, room, error));
        return atlas_content_open(p, at->leaf, room, p->raw, &cur->c, error);
    }
    ATLAS_TRY(atlas_content_open(p, at->leaf, p->stored, p->stored_bytes, &cur->c, error));
    if (at->shard->cut == 0) atlas_memo_store(page_memo(at->shard, at->leaf, at->block), p, &cur->c, p->dict != NULL ? at->leaf->dictionary : 0);
    return ATLAS_OK;
}

static int cursor_move(atlas_reader *reader, const place *at, cursor *cur, atlas_error *error) {
    if (cur->shard == at->shard && cur->block == at->block) return ATLAS_OK;
    cur->shard = NULL;
    cur->usable = true;
    if (word_serves(at->word, WORD_OPEN, reader->verify)) atlas_memo_load(at->shard, at->leaf, at->block, at->memo, at->word, &cur->p, &cur->c);
    else ATLAS_TRY(page_load(reader, at, cur, error));
    cur->shard = at->shard;
    cur->block = at->block;
    return ATLAS_OK;
}

typedef struct { /* a value whose decoding waits until its bytes have come */
    page p;
    content c;
    page_value v;
    atlas_view *view;
} waiting;

/* Bytes that a value takes while it is written, given back at once but counted in need. */
static uint8_t *arena_lend(atlas_reader *reader, uint64_t room) {
    uint8_t *temp = arena_take(reader, room);
    if (temp != NULL) reader->used -= pad_to(room, 64);
    return temp;
}

static int view_write(atlas_reader *reader, const waiting *w, atlas_error *error) {
    uint8_t *out = arena_take(reader, w->v.size), *temp = NULL;
    const uint64_t room = value_room(&w->c, &w->v);
    if (room != 0) temp = arena_lend(reader, room);
    *w->view = (atlas_view){out, w->v.size};
    if (out == NULL || (room != 0 && temp == NULL)) return ATLAS_OK;
    if (room != 0) reader->need -= pad_to(room, 64);
    return atlas_value_write(reader->zstd, &w->p, &w->c, &w->v, temp, out, error);
}

static int view_value(
    const place *at,
    const cursor *cur,
    atlas_view *view,
    waiting *later,
    size_t *waits,
    atlas_error *error
) {
    page_value v;
    *view = (atlas_view){NULL, 0};
    if (content_null(&cur->c, at->i)) return ATLAS_OK;
    ATLAS_TRY(atlas_value_find(&cur->p, &cur->c, at->i, &v, error));
    *view = (atlas_view){v.body, v.size};
    if (value_in_place(&cur->c, &v)) return ATLAS_OK;
    prefetch_bytes(v.body, v.body_bytes);
    later[(*waits)++] = (waiting){cur->p, cur->c, v, view};
    return ATLAS_OK;
}

static int view_row(
    atlas_reader *reader,
    const place *at,
    cursor *cur,
    atlas_view *view,
    waiting *later,
    size_t *waits,
    atlas_error *error
) {
    if (word_serves(at->word, WORD_PLAIN, reader->verify)) {
        *view = (atlas_view){plain_value(at), at->leaf->width};
        return ATLAS_OK;
    }
    ATLAS_TRY(cursor_move(reader, at, cur, error));
    if (cur->usable) return view_value(at, cur, view, later, waits, error);
    /* counting: a NARROW value would take room beside the decoded page (of a variable leaf: what it would is seen later) */
    if (cur->p.layout == ATLAS_NARROW) (void)arena_take(reader, at->leaf->width);
    return ATLAS_OK;
}

/* The views of one row that its memos alone can give (numbers and plain arrays); false if some leaf needs more. */
static bool row_views(
    atlas_reader *reader,
    const atlas_shard *shard,
    uint64_t local,
    const uint32_t *leaves,
    size_t leaf_count,
    atlas_view *views
) {
    size_t used = reader->used;
    for (size_t l = 0; l < leaf_count; l++) {
        if (leaves[l] >= shard->leaf_count || local >= shard->rows) return false;
        const atlas_leaf *leaf = &shard->leaves[leaves[l]];
        if (leaf->kind != ATLAS_KIND_FIXED) return false;
        const run in = run_of(shard, leaf, 0, 0);
        const found f = memo_value(&in, local, reader->verify);
        if (f.from == NULL || used + 8 > reader->arena_bytes) return false;
        views[l] = (atlas_view){f.from, leaf->width};
        prefetch_bytes(f.from, leaf->width);
        if (f.stored == 0) continue;
        value_copy(reader->arena + used, &f, leaf->width);
        views[l].data = reader->arena + used;
        used += 8;
    }
    reader->used = used;
    return true;
}

int atlas_views(
    atlas_reader *reader,
    const atlas_set *set,
    const int64_t *rows,
    size_t count,
    const int64_t *order,
    size_t stride,
    const uint32_t *leaves,
    size_t leaf_count,
    atlas_view *views,
    atlas_error *error
) {
    reader->need = reader->used;
    ATLAS_REQUIRE(set->count >= 1, ARG, 0, "set is empty");
    if (count == 1 && order == NULL && stride == 1 && rows[0] >= 0 && rows[0] < set->starts[set->count]) {
        const size_t k = set_find(set, rows[0]);
        if (set->shards[k] != NULL && row_views(reader, set->shards[k], (uint64_t)(rows[0] - set->starts[k]), leaves, leaf_count, views)) return ATLAS_OK;
    }
    size_t hint = 0, next_leaf = 0, next_row = 0; /* of the tile that is found next */
    cursor cur;
    cur.shard = NULL;
    size_t cur_leaf = 0;
    while (next_leaf < leaf_count && count != 0) {
        place at[TILE];
        size_t leaf[TILE], row[TILE], filled = 0, waits = 0;
        waiting later[TILE];
        while (filled < TILE && next_leaf < leaf_count) {
            const size_t r = order != NULL ? (size_t)order[next_row] : next_row;
            ATLAS_REQUIRE(r < stride, ARG, 0, "order is not a permutation");
            ATLAS_TRY(place_find(set, leaves[next_leaf], rows[r], &hint, &at[filled], error));
            prefetch_place(&at[filled]);
            leaf[filled] = next_leaf;
            row[filled++] = r;
            if (++next_row == count) {
                next_row = 0;
                next_leaf++;
            }
        }
        for (size_t t = 0; t < filled; t++) {
            if (leaf[t] != cur_leaf) cur.shard = NULL;
            cur_leaf = leaf[t];
            error->shard = at[t].shard_number;
            ATLAS_TRY(view_row(reader, &at[t], &cur, &views[leaf[t] * stride + row[t]], later, &waits, error));
        }
        for (size_t t = 0; t < waits; t++) ATLAS_TRY(view_write(reader, &later[t], error));
    }
    ATLAS_REQUIRE(reader->need <= reader->arena_bytes, MEMORY, 0, "arena is too small");
    return ATLAS_OK;
}

static int copy_value(
    atlas_reader *reader,
    const place *at,
    const cursor *cur,
    uint8_t *out,
    uint8_t *null,
    atlas_error *error
) {
    const content *c = &cur->c;
    if (content_null(c, at->i)) {
        memset(out, 0, c->width);
        if (null != NULL) *null = 1;
        return ATLAS_OK;
    }
    page_value v;
    ATLAS_TRY(atlas_value_find(&cur->p, c, at->i, &v, error));
    const uint64_t room = value_room(c, &v);
    uint8_t *temp = room != 0 ? arena_lend(reader, room) : NULL;
    ATLAS_REQUIRE(room == 0 || temp != NULL, MEMORY, 0, "arena is too small");
    if (room != 0) reader->need -= pad_to(room, 64);
    return atlas_value_write(reader->zstd, &cur->p, c, &v, temp, out, error);
}

/* Opened pages that a column keeps at hand: random rows hop between the few pages of a small column. */
#define KEPT 32u

typedef struct {
    cursor kept[KEPT];
    cursor decoded; /* the one page that lies decoded in the arena */
} cursors;

static int cursor_find(
    atlas_reader *reader,
    const place *at,
    cursors *all,
    const size_t keep,
    cursor **out,
    atlas_error *error
) {
    if ((at->leaf->flags & ATLAS_LEAF_PAGE_CODED) != 0) {
        *out = &all->decoded;
        if ((*out)->shard != at->shard || (*out)->block != at->block) reader->used = reader->need = keep;
    } else {
        *out = &all->kept[at->block % KEPT];
    }
    ATLAS_TRY(cursor_move(reader, at, *out, error));
    ATLAS_REQUIRE((*out)->usable, MEMORY, 0, "arena is too small");
    return ATLAS_OK;
}

static int run_find(
    const atlas_set *set,
    const atlas_column *column,
    int64_t row,
    size_t *hint,
    run *out,
    atlas_error *error
) {
    place at;
    ATLAS_TRY(place_find(set, column->leaf, row, hint, &at, error));
    ATLAS_REQUIRE(at.leaf->kind == ATLAS_KIND_FIXED && at.leaf->width <= column->stride, ARG, 0, "column is not one of a fixed leaf");
    /* as many rows as the shard has, whatever starts say: its memos are no more */
    const int64_t low = set->starts[*hint], high = set->starts[*hint + 1];
    *out = run_of(at.shard, at.leaf, low, (uint64_t)(high - low) <= at.shard->rows ? high : low + (int64_t)at.shard->rows);
    return ATLAS_OK;
}

/* A row whose memo does not say enough: not seen before, with nulls, compressed, or to be hashed again. */
static int value_slow(
    atlas_reader *reader,
    const atlas_set *set,
    int64_t row,
    const atlas_column *column,
    size_t r,
    size_t *hint,
    cursors *all,
    size_t keep,
    atlas_error *error
) {
    place at;
    cursor *cur;
    ATLAS_TRY(place_find(set, column->leaf, row, hint, &at, error));
    ATLAS_TRY(cursor_find(reader, &at, all, keep, &cur, error));
    return copy_value(reader, &at, cur, column->out + r * column->stride, column->nulls != NULL ? &column->nulls[r] : NULL, error);
}

/* How many rows, from the first on, follow each other in one block. */
static size_t run_length(const run *in, const int64_t *rows, size_t count) {
    const uint64_t local = (uint64_t)(rows[0] - in->low), rows_left = (uint64_t)(in->high - rows[0]);
    const uint64_t block_left = in->rows_per_block - local % in->rows_per_block;
    uint64_t most = block_left < rows_left ? block_left : rows_left;
    if (most > count) most = count;
    size_t length = 1;
    while (length < most && rows[length] == rows[0] + (int64_t)length) length++;
    return length;
}

static int gather_column(
    atlas_reader *reader,
    const atlas_set *set,
    const int64_t *rows,
    size_t count,
    const int64_t *order,
    const atlas_column *column,
    cursors *all,
    atlas_error *error
) {
    size_t hint = 0;
    const size_t keep = reader->used;
    run in = {0};
    for (uint32_t k = 0; k < KEPT; k++) all->kept[k].shard = NULL;
    all->decoded.shard = NULL;
    if (column->nulls != NULL) memset(column->nulls, 0, count);
    for (size_t start = 0, step = 0; start < count; start += step) {
        step = TILE;
        if (order == NULL && count - start > 1 && rows[start + 1] == rows[start] + 1) {
            if (rows[start] < in.low || rows[start] >= in.high) ATLAS_TRY(run_find(set, column, rows[start], &hint, &in, error));
            const size_t alike = run_length(&in, rows + start, count - start);
            const found first = memo_value(&in, (uint64_t)(rows[start] - in.low), reader->verify);
            if (first.from != NULL && first.stored == 0 && in.width == column->stride) {
                memcpy(column->out + start * column->stride, first.from, alike * in.width);
                step = alike;
                continue;
            }
        }
        found at[TILE];
        uint32_t width[TILE];
        const size_t filled = count - start < TILE ? count - start : TILE;
        for (size_t t = 0; t < filled; t++) {
            const size_t r = order != NULL ? (size_t)order[start + t] : start + t;
            ATLAS_REQUIRE(r < count, ARG, 0, "order is not a permutation");
            if (rows[r] < in.low || rows[r] >= in.high) ATLAS_TRY(run_find(set, column, rows[r], &hint, &in, error));
            at[t] = memo_value(&in, (uint64_t)(rows[r] - in.low), reader->verify);
            width[t] = in.width;
            if (at[t].from != NULL) prefetch_bytes(at[t].from, in.width);
        }
        for (size_t t = 0; t < filled; t++) {
            const size_t r = order != NULL ? (size_t)order[start + t] : start + t;
            if (at[t].from != NULL) value_copy(column->out + r * column->stride, &at[t], width[t]);
            else ATLAS_TRY(value_slow(reader, set, rows[r], column, r, &hint, all, keep, error));
        }
    }
    reader->used = keep;
    return ATLAS_OK;
}

int atlas_gather(
    atlas_reader *reader,
    const atlas_set *set,
    const int64_t *rows,
    size_t count,
    const int64_t *order,
    const atlas_column *columns,
    size_t column_count,
    atlas_error *error
) {
    reader->need = reader->used;
    ATLAS_REQUIRE(set->count >= 1, ARG, 0, "set is empty");
    cursors all;
    for (size_t c = 0; c < column_count; c++) ATLAS_TRY(gather_column(reader, set, rows, count, order, &columns[c], &all, error));
    return ATLAS_OK;
}
