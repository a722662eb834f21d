/* cursor.h - how views.c and gather.c find a row, its page, and memory for its values. */
#ifndef ATLAS_CURSOR_H
#define ATLAS_CURSOR_H

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

int atlas_place_find(
    const atlas_set *set,
    uint32_t leaf,
    int64_t row,
    size_t *hint,
    place *out,
    atlas_error *error);

/* Opens the page of a place, unless the cursor is there. */
int atlas_cursor_move(atlas_reader *reader, const place *at, cursor *cur, atlas_error *error);

static inline const uint8_t *plain_value(const place *at) {
    return at->shard->base + (at->word & WORD_OFFSET) + (uint64_t)at->i * at->leaf->width;
}

static inline void prefetch_bytes(const uint8_t *p, uint64_t size) {
    const uint64_t lines = (size + 63) / 64 < PREFETCH_LINES ? (size + 63) / 64 : PREFETCH_LINES;
    for (uint64_t line = 0; line < lines; line++) __builtin_prefetch(p + line * 64, 0, 3);
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
static inline uint8_t *arena_take(atlas_reader *reader, uint64_t size) {
    const uint64_t room = size != 0 ? pad_to(size, 64) : 64; /* something, so that NULL means too small and nothing else */
    reader->need += room;
    if (reader->need > reader->arena_bytes) return NULL;
    uint8_t *p = reader->arena + reader->used;
    reader->used += room;
    return p;
}

/* Bytes that a value takes while it is written, given back at once but counted in need. */
static inline uint8_t *arena_lend(atlas_reader *reader, uint64_t room) {
    uint8_t *temp = arena_take(reader, room);
    if (temp != NULL) reader->used -= pad_to(room, 64);
    return temp;
}

#endif
