/* gather.c - batches: rows of leaves over any number of shards, copied to columns. */
#include "codec.h"
#include "cursor.h"

/* Opened pages that a column keeps at hand: random rows hop between the few pages of a small column. */
#define KEPT 32u

typedef struct {
    cursor kept[KEPT];
    cursor decoded;    /* the one page that lies decoded in the arena */
    decoded_cell cell; /* or the one cell */
} cursors;

static int copy_value(
    atlas_reader *reader,
    const place *at,
    const cursor *cur,
    cursors *all,
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
    stored_value v;
    ATLAS_TRY(atlas_value_find(&cur->p, c, at->i, &v, error));
    const bool shared = c->cell_rows > 1 && value_coded(&v);
    if (shared && cell_is(&all->cell, &v)) {
        atlas_value_take(c, &v, all->cell.bytes, out);
        return ATLAS_OK;
    }
    const uint64_t room = value_room(c, &v);
    uint8_t *temp = room != 0 ? arena_lend(reader, room) : NULL;
    ATLAS_REQUIRE(room == 0 || temp != NULL, MEMORY, 0, "arena is too small");
    if (room != 0) reader->need -= pad_to(room, 64);
    if (room != 0) all->cell.body = NULL; /* it lay there */
    ATLAS_TRY(atlas_value_write(reader->zstd, &cur->p, c, &v, temp, out, error));
    if (shared) all->cell = (decoded_cell){v.body, v.body_bytes, v.cell, temp + cell_room(&v)};
    return ATLAS_OK;
}

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
        if ((*out)->shard != at->shard || (*out)->block != at->block) {
            reader->used = reader->need = keep;
            all->cell.body = NULL;
        }
    } else {
        *out = &all->kept[at->block % KEPT];
    }
    ATLAS_TRY(atlas_cursor_move(reader, at, *out, error));
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
    ATLAS_TRY(atlas_place_find(set, column->leaf, row, hint, &at, error));
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
    ATLAS_TRY(atlas_place_find(set, column->leaf, row, hint, &at, error));
    ATLAS_TRY(cursor_find(reader, &at, all, keep, &cur, error));
    return copy_value(reader, &at, cur, all, column->out + r * column->stride, column->nulls != NULL ? &column->nulls[r] : NULL, error);
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
    all->cell.body = NULL;
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
