/* views.c - rows of leaves over any number of shards, as views: of the shard where a value lies there as it is, else of the arena. */
#include "codec.h"
#include "cursor.h"

static void prefetch_place(const place *at) {
    if ((at->word & WORD_PLAIN) != 0) {
        prefetch_bytes(plain_value(at), at->leaf->width);
        return;
    }
    if ((at->word & WORD_OPEN) == 0) return;
    const uint8_t *stored = at->shard->base + (at->word & WORD_OFFSET);
    const uint64_t kinds = memo_word(at->memo, 3);
    const uint8_t layout = (uint8_t)kinds, unit = (uint8_t)(kinds >> 32);
    const uint8_t flags = (uint8_t)(kinds >> 16);
    const uint32_t together = (flags & ATLAS_PAGE_CELLS) != 0 ? (uint32_t)(kinds >> 48) : 1;
    uint64_t near = 0; /* where row i is looked up first, as if nothing were null */
    if (has_offsets(at->leaf->kind, layout, flags)) near = (uint64_t)(at->i / together) * ((flags & ATLAS_PAGE_SHORT) != 0 ? 2 : 4);
    else if (layout == ATLAS_ENUM) near = ATLAS_ENUM_HEAD + (uint64_t)at->i * unit;
    else if (layout == ATLAS_NARROW) near = ATLAS_NARROW_HEAD + (uint64_t)at->i * (at->leaf->width / unit) * (uint8_t)(kinds >> 40);
    __builtin_prefetch(stored + near, 0, 3);
}

typedef struct { /* a value whose decoding waits until its bytes have come */
    page p;
    content c;
    stored_value v;
    atlas_view *view;
    uint32_t shard_number;
} waiting;

typedef struct {
    waiting values[TILE];
    size_t count;
    decoded_cell cell; /* the last that has several values; it stays in the arena. bytes NULL: there was no room, only counting */
    const uint8_t *page; /* whose rows first .. first + rows - 1 are in it; NULL: not known */
    uint32_t first;
    uint32_t rows;
} queue;

/* The view of a value whose cell is decoded. */
static void view_of_cell(atlas_reader *reader, const content *c, const stored_value *v, const decoded_cell *cell, atlas_view *view) {
    const bool narrow = c->layout == ATLAS_NARROW;
    uint8_t *out = narrow ? arena_take(reader, v->size) : NULL;
    *view = (atlas_view){out, v->size};
    if (cell->bytes == NULL) return;
    if (!narrow) view->data = cell->bytes + v->skip;
    else if (out != NULL) atlas_value_take(c, v, cell->bytes, out);
}

static int cell_to_arena(atlas_reader *reader, const waiting *w, decoded_cell *cell, atlas_error *error) {
    const uint64_t room = cell_room(&w->v);
    *cell = (decoded_cell){w->v.body, w->v.body_bytes, w->v.cell, arena_take(reader, w->v.cell)};
    uint8_t *temp = arena_lend(reader, room);
    if (temp == NULL) cell->bytes = NULL;
    if (cell->bytes == NULL) return ATLAS_OK;
    reader->need -= room;
    return atlas_cell_decode(reader->zstd, &w->p, &w->v, temp, cell->bytes, error);
}

static int view_write(atlas_reader *reader, const waiting *w, queue *later, atlas_error *error) {
    if (w->c.cell_rows > 1 && value_coded(&w->v)) {
        if (!cell_is(&later->cell, &w->v)) {
            later->page = NULL;
            ATLAS_TRY(cell_to_arena(reader, w, &later->cell, error));
        }
        view_of_cell(reader, &w->c, &w->v, &later->cell, w->view);
        return ATLAS_OK;
    }
    uint8_t *out = arena_take(reader, w->v.size), *temp = NULL;
    const uint64_t room = value_room(&w->c, &w->v);
    if (room != 0) temp = arena_lend(reader, room);
    *w->view = (atlas_view){out, w->v.size};
    if (out == NULL || (room != 0 && temp == NULL)) return ATLAS_OK;
    if (room != 0) reader->need -= pad_to(room, 64);
    return atlas_value_write(reader->zstd, &w->p, &w->c, &w->v, temp, out, error);
}

/* Notes which rows the decoded cell has, so that the next of them are found without looking for it. */
static void cell_note(queue *later, const content *c, uint32_t i) {
    if (later->cell.bytes == NULL) return;
    later->page = c->values;
    later->first = i - i % c->cell_rows;
    later->rows = cell_count(c, later->first);
}

static int view_noted(atlas_reader *reader, const queue *later, const content *c, uint32_t i, atlas_view *view, atlas_error *error) {
    stored_value v = {.body = later->cell.body, .cell = later->cell.size, .form = CELL_BLOCK};
    ATLAS_REQUIRE(place_in_cell(c, later->first, i, &v) && v.skip + v.stored <= v.cell, CORRUPT, c->at, "ends decrease within a cell");
    ATLAS_REQUIRE(value_sized(c, &v), CORRUPT, c->at, "NARROW: value is not a multiple of its stored numbers");
    view_of_cell(reader, c, &v, &later->cell, view);
    return ATLAS_OK;
}

static int queue_write(atlas_reader *reader, queue *later, atlas_error *error) {
    for (size_t t = 0; t < later->count; t++) {
        error->shard = later->values[t].shard_number;
        ATLAS_TRY(view_write(reader, &later->values[t], later, error));
    }
    later->count = 0;
    return ATLAS_OK;
}

static int view_value(
    atlas_reader *reader,
    const place *at,
    const cursor *cur,
    atlas_view *view,
    queue *later,
    atlas_error *error
) {
    stored_value v;
    *view = (atlas_view){NULL, 0};
    if (content_null(&cur->c, at->i)) return ATLAS_OK;
    if (later->page == cur->c.values && at->i - later->first < later->rows) return view_noted(reader, later, &cur->c, at->i, view, error);
    ATLAS_TRY(atlas_value_find(&cur->p, &cur->c, at->i, &v, error));
    *view = (atlas_view){v.body + v.skip, v.size};
    if (value_in_place(&cur->c, &v)) return ATLAS_OK;
    if (cur->c.cell_rows > 1 && value_coded(&v)) { /* rows that follow each other wait for their cell once */
        if (later->count != 0 && later->values[later->count - 1].v.body == v.body) ATLAS_TRY(queue_write(reader, later, error));
        if (cell_is(&later->cell, &v)) {
            view_of_cell(reader, &cur->c, &v, &later->cell, view);
            cell_note(later, &cur->c, at->i);
            return ATLAS_OK;
        }
    }
    prefetch_bytes(v.body, v.body_bytes);
    later->values[later->count++] = (waiting){cur->p, cur->c, v, view, at->shard_number};
    return ATLAS_OK;
}

static int view_row(
    atlas_reader *reader,
    const place *at,
    cursor *cur,
    atlas_view *view,
    queue *later,
    atlas_error *error
) {
    if (word_serves(at->word, WORD_PLAIN, reader->verify)) {
        *view = (atlas_view){plain_value(at), at->leaf->width};
        return ATLAS_OK;
    }
    ATLAS_TRY(atlas_cursor_move(reader, at, cur, error));
    if (cur->usable) return view_value(reader, at, cur, view, later, error);
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
    queue later;
    later.count = 0;
    later.cell.body = later.page = NULL;
    while (next_leaf < leaf_count && count != 0) {
        place at[TILE];
        size_t leaf[TILE], row[TILE], filled = 0;
        while (filled < TILE && next_leaf < leaf_count) {
            const size_t r = order != NULL ? (size_t)order[next_row] : next_row;
            ATLAS_REQUIRE(r < stride, ARG, 0, "order is not a permutation");
            ATLAS_TRY(atlas_place_find(set, leaves[next_leaf], rows[r], &hint, &at[filled], error));
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
            ATLAS_TRY(view_row(reader, &at[t], &cur, &views[leaf[t] * stride + row[t]], &later, error));
        }
        ATLAS_TRY(queue_write(reader, &later, error));
    }
    ATLAS_REQUIRE(reader->need <= reader->arena_bytes, MEMORY, 0, "arena is too small");
    return ATLAS_OK;
}
