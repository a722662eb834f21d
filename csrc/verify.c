/* verify.c - section 15 of FORMAT.md: every byte of a shard, used or not. */
#include "codec.h"
#include "error.h"
#include "frame.h"
#include "read.h"

static int offsets_check(
    const content *c,
    const uint8_t *offsets,
    uint64_t count,
    bool is_short,
    atlas_error *error
) {
    uint32_t last = 0;
    for (uint64_t i = 0; i <= count; i++) {
        const uint32_t offset = is_short ? load_u16(offsets + 2 * i) : load_u32(offsets + 4 * i);
        ATLAS_REQUIRE(i == 0 ? offset == 0 : offset >= last, CORRUPT, c->at, "offsets do not start at 0 or decrease");
        last = offset;
    }
    ATLAS_REQUIRE(last == c->values_bytes, CORRUPT, c->at, "offsets do not end at the end of the data");
    return ATLAS_OK;
}

/* Padding and unused bits inside the raw form; the number of nulls. */
static int content_check(const page *p, const content *c, atlas_error *error) {
    uint32_t nulls = 0;
    if (c->validity != NULL) {
        const uint64_t bits = pad_to(((uint64_t)c->rows + 7) / 8, 64) * 8;
        for (uint64_t i = 0; i < c->rows; i++) nulls += !bit_at(c->validity, i);
        for (uint64_t i = c->rows; i < bits; i++) ATLAS_REQUIRE(!bit_at(c->validity, i), CORRUPT, c->at, "unused validity bits are not zero");
    }
    ATLAS_REQUIRE(nulls == p->nulls, CORRUPT, c->at, "page.nulls is not the number of nulls");
    if (has_offsets(c->kind, c->layout, p->flags)) {
        const uint32_t count = offsets_count(c->rows, c->cell_rows);
        const uint64_t used = ((uint64_t)count + 1) * (c->short_offsets ? 2 : 4);
        ATLAS_REQUIRE(all_zero(c->offsets + used, pad_to(used, 64) - used), CORRUPT, c->at, "padding after the offsets is not zero");
        ATLAS_TRY(offsets_check(c, c->offsets, count, c->short_offsets != 0, error));
        const uint64_t ends = 2 * (uint64_t)c->rows;
        if (c->ends != NULL) ATLAS_REQUIRE(all_zero(c->ends + ends, pad_to(ends, 64) - ends), CORRUPT, c->at, "padding after the ends is not zero");
    }
    if (c->layout == ATLAS_ENUM) {
        const uint64_t used = (uint64_t)c->rows * c->code_bytes;
        ATLAS_REQUIRE(all_zero(c->codes + used, pad_to(used, 8) - used), CORRUPT, c->at, "padding after the codes is not zero");
        if (c->kind == ATLAS_KIND_VARIABLE) ATLAS_TRY(offsets_check(c, c->offsets, c->count, false, error));
    }
    return ATLAS_OK;
}

typedef struct { /* where the values of a page are made: memory for one, then memory for a cell and its frame */
    uint8_t *value;
    uint8_t *cell;
    decoded_cell last;
} workplace;

/* The cell of a coded value, decoded. */
static int cell_bytes(atlas_reader *reader, const page *p, const stored_value *v, workplace *work, atlas_error *error) {
    if (cell_is(&work->last, v)) return ATLAS_OK;
    uint8_t *bytes = work->cell + cell_room(v);
    work->last.body = NULL;
    ATLAS_TRY(atlas_cell_decode(reader->zstd, p, v, work->cell, bytes, error));
    work->last = (decoded_cell){v->body, v->body_bytes, v->cell, bytes};
    return ATLAS_OK;
}

static int null_check(atlas_reader *reader, const page *p, const content *c, uint32_t i, workplace *work, atlas_error *error) {
    const uint8_t *bytes;
    uint64_t size;
    if (c->layout == ATLAS_CONST) return ATLAS_OK;
    if (c->layout == ATLAS_ENUM) {
        bytes = c->codes + (size_t)i * c->code_bytes;
        size = c->code_bytes;
    } else if (c->cell_rows > 1) {
        stored_value v;
        ATLAS_TRY(atlas_value_find(p, c, i, &v, error));
        if (value_coded(&v)) ATLAS_TRY(cell_bytes(reader, p, &v, work, error));
        bytes = (value_coded(&v) ? work->last.bytes : v.body) + v.skip;
        size = v.form == CELL_EMPTY ? 0 : v.stored;
    } else {
        ATLAS_TRY(atlas_content_stored(c, i, &bytes, &size, error));
    }
    const bool is_empty = c->kind == ATLAS_KIND_VARIABLE ? c->layout != ATLAS_ENUM : c->cell_rows == 1;
    ATLAS_REQUIRE(is_empty ? size == 0 : all_zero(bytes, size), CORRUPT, c->at, "a null is not stored as zero");
    return ATLAS_OK;
}

/* One value of a page, added to the digest. */
static int digest_value(
    atlas_reader *reader,
    const page *p,
    const content *c,
    uint32_t i,
    uint32_t leaf,
    workplace *work,
    atlas_digest *digest,
    uint64_t *stored,
    uint64_t *made,
    atlas_error *error
) {
    stored_value v;
    ATLAS_TRY(atlas_value_find(p, c, i, &v, error));
    *stored += v.stored; /* before decoding: a page can make no more than it may */
    *made += v.size;
    ATLAS_REQUIRE(*made <= ATLAS_MAX_PAGE, LIMIT, p->at, "page: its values are more than 2^30 bytes");
    ATLAS_REQUIRE(c->cell_rows == 0 || *stored <= p->raw, CORRUPT, p->at, "page.raw of CELLS is not the sum of the values");
    if (value_coded(&v)) ATLAS_TRY(cell_bytes(reader, p, &v, work, error));
    const uint8_t *bytes = (value_coded(&v) ? work->last.bytes : v.body) + v.skip;
    if (c->layout == ATLAS_NARROW || v.form == CELL_EMPTY) {
        atlas_value_take(c, &v, work->last.bytes, work->value);
        bytes = work->value;
    }
    const uint32_t length = (uint32_t)v.size;
    if (c->kind == ATLAS_KIND_VARIABLE) atlas_digest_lengths(digest, leaf, &length, 4);
    atlas_digest_values(digest, leaf, bytes, v.size);
    return ATLAS_OK;
}

static int digest_page(
    atlas_reader *reader,
    const page *p,
    const content *c,
    uint32_t leaf,
    bool nullable,
    workplace *work,
    atlas_digest *digest,
    atlas_error *error
) {
    const bool fixed = c->kind == ATLAS_KIND_FIXED, plain = c->layout == ATLAS_FIXED && c->cell_rows == 0;
    uint64_t stored = 0, made = 0;
    if (plain) atlas_digest_values(digest, leaf, c->values, (size_t)c->rows * c->width);
    for (uint32_t i = 0; (!plain || nullable) && i < c->rows; i++) {
        const bool null = content_null(c, i);
        const uint8_t valid = !null;
        const uint32_t no_length = UINT32_MAX;
        if (fixed && nullable) atlas_digest_lengths(digest, leaf, &valid, 1);
        if (!fixed && null) atlas_digest_lengths(digest, leaf, &no_length, 4);
        if (null) ATLAS_TRY(null_check(reader, p, c, i, work, error));
        if (plain) continue;
        if (!null) {
            ATLAS_TRY(digest_value(reader, p, c, i, leaf, work, digest, &stored, &made, error));
        } else if (fixed) {
            memset(work->value, 0, c->width);
            atlas_digest_values(digest, leaf, work->value, c->width);
        }
    }
    if (fixed || c->cell_rows == 0) return ATLAS_OK;
    const uint64_t head = (c->validity != NULL ? validity_bytes(c->rows) : 0) + (c->layout == ATLAS_NARROW ? ATLAS_NARROW_HEAD : 0);
    ATLAS_REQUIRE(head + offsets_bytes(c->rows, false) + stored == p->raw, CORRUPT, p->at, "page.raw of CELLS is not the sum of the values");
    return ATLAS_OK;
}

/* The largest value of a page; a narrowed one may be widened eightfold. */
static uint64_t value_most(const page *p, const atlas_leaf *leaf) {
    return leaf->kind == ATLAS_KIND_FIXED ? leaf->width : p->layout == ATLAS_NARROW ? 8 * (uint64_t)p->raw : p->raw;
}

/* The decoded page; then one value, a cell's frame and the cell. */
static uint64_t page_room(const page *p, const atlas_leaf *leaf) {
    return (page_whole_codec(p) ? pad_to(p->raw, 64) : 0) + pad_to(value_most(p, leaf), 64) + pad_to((uint64_t)p->raw + p->stored_bytes, 64) + 4 * VALUE_ROOM;
}

/* Hash, entry and padding of a page that begins after end; grows reader->need to what its values take. */
static int page_outside(
    atlas_reader *reader,
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    uint64_t *end,
    atlas_error *error
) {
    page p;
    ATLAS_TRY(atlas_page_find(reader, shard, leaf, block, &p, error));
    ATLAS_REQUIRE(p.at >= *end && all_zero(shard->base + *end, p.at - *end), CORRUPT, *end, "padding before a page is not zero");
    *end = p.at + p.stored_bytes;
    if (page_room(&p, leaf) > reader->need) reader->need = page_room(&p, leaf);
    return ATLAS_OK;
}

static int page_inside(
    atlas_reader *reader,
    const atlas_shard *shard,
    uint32_t l,
    uint32_t block,
    atlas_digest *digest,
    atlas_error *error
) {
    const atlas_leaf *leaf = &shard->leaves[l];
    page p;
    content c;
    ATLAS_TRY(atlas_page_find(reader, shard, leaf, block, &p, error));
    const bool whole = page_whole_codec(&p);
    const uint64_t form = whole ? p.raw : 0;
    reader->need = page_room(&p, leaf);
    ATLAS_REQUIRE(reader->need <= reader->arena_bytes, MEMORY, p.at, "arena is too small");
    if (whole) ATLAS_TRY(atlas_page_decode(reader, &p, reader->arena, error));
    uint8_t *value = reader->arena + pad_to(form, 64);
    workplace work = {value, value + pad_to(value_most(&p, leaf), 64), {NULL, 0, 0, NULL}};
    ATLAS_TRY(atlas_content_open(&p, leaf, whole ? reader->arena : p.stored, whole ? p.raw : p.stored_bytes, &c, error));
    ATLAS_TRY(content_check(&p, &c, error));
    return digest_page(reader, &p, &c, l, (leaf->flags & ATLAS_LEAF_NULLABLE) != 0, &work, digest, error);
}

/* What is known of the block from earlier is forgotten, so that everything is hashed once, whatever reader->verify says. First
 * what takes no room, so that a caller may bring more and call again. */
static int block_pages(
    atlas_reader *reader,
    atlas_shard *shard,
    uint32_t group,
    uint64_t first,
    uint64_t offset,
    atlas_digest *digest,
    atlas_error *error
) {
    uint64_t end = 0, block = 0;
    reader->need = 0;
    for (uint32_t l = 0; l < shard->leaf_count; l++) {
        const atlas_leaf *leaf = &shard->leaves[l];
        if (leaf->group != group) continue;
        if (leaf->rank == 0) {
            block = first / leaf->rows_per_block;
            end = offset + ATLAS_BLOCK_TABLE + (uint64_t)leaf->group_leaves * ATLAS_PAGE_SIZE;
            const uint8_t *entry = shard->index + ((size_t)leaf->first_block + block) * ATLAS_INDEX_SIZE;
            ATLAS_REQUIRE(first % leaf->rows_per_block == 0 && load_u64(entry + ATLAS_INDEX_OFFSET) == offset, CORRUPT, offset, "block is not where the index says");
            atlas_shard_forget(shard, leaf->first_block + (uint32_t)block);
        }
        ATLAS_TRY(page_outside(reader, shard, leaf, (uint32_t)block, &end, error));
    }
    ATLAS_REQUIRE(reader->need <= reader->arena_bytes, MEMORY, offset, "arena is too small");
    for (uint32_t l = 0; l < shard->leaf_count; l++) {
        if (shard->leaves[l].group == group) ATLAS_TRY(page_inside(reader, shard, l, (uint32_t)block, digest, error));
    }
    return ATLAS_OK;
}

static int block_verify(
    atlas_reader *reader,
    atlas_shard *shard,
    uint64_t offset,
    const atlas_chunk *chunk,
    atlas_digest *digest,
    atlas_error *error
) {
    const uint8_t *p = shard->base + offset;
    ATLAS_REQUIRE(chunk->head_bytes >= ATLAS_BLOCK_HEAD, CORRUPT, offset + ATLAS_CHUNK_HEAD_BYTES, "DATA chunk is too short");
    const uint16_t group = load_u16(p + ATLAS_BLOCK_GROUP);
    const uint64_t first = load_u64(p + ATLAS_BLOCK_FIRST_ROW);
    ATLAS_REQUIRE(group < shard->group_count && first < shard->rows, CORRUPT, offset + ATLAS_BLOCK_FIRST_ROW, "block is not in the index");
    const int32_t verify = reader->verify;
    reader->verify = ATLAS_VERIFY_FIRST;
    const int status = block_pages(reader, shard, group, first, offset, digest, error);
    reader->verify = verify;
    return status;
}

int atlas_verify_chunk(
    atlas_reader *reader,
    atlas_shard *shard,
    uint64_t offset,
    atlas_digest *digest,
    uint32_t *blocks,
    uint32_t *dicts,
    uint64_t *next,
    atlas_error *error
) {
    atlas_chunk chunk;
    ATLAS_REQUIRE(offset < shard->footer_offset, ARG, offset, "no chunk at this offset");
    ATLAS_TRY(atlas_chunk_check(shard->base, shard->footer_offset, offset, shard->nonce, &chunk, error));
    const uint8_t *body = shard->base + offset + ATLAS_CHUNK_BODY;
    *next = chunk.next;
    if (offset == ATLAS_HEADER_SIZE) {
        ATLAS_REQUIRE(memcmp(chunk.kind, ATLAS_KIND_LAYOUT, 4) == 0, CORRUPT, offset + ATLAS_CHUNK_KIND, "the first chunk is not SCHM");
        ATLAS_REQUIRE(chunk.head_bytes == chunk.body_bytes && chunk.body_bytes == shard->layout_bytes && memcmp(body, shard->layout, shard->layout_bytes) == 0, CORRUPT, offset, "SCHM is not the footer's layout");
        return ATLAS_OK;
    }
    if (memcmp(chunk.kind, ATLAS_KIND_DICTIONARY, 4) == 0) {
        ATLAS_REQUIRE(*dicts < shard->dictionary_count && *blocks == 0, CORRUPT, offset, "DICT chunk is not in the dictionary table, or after a DATA chunk");
        ATLAS_REQUIRE(load_u64(shard->dictionaries + (size_t)*dicts * ATLAS_DICTIONARY_SIZE) == offset, CORRUPT, offset, "DICT chunk is not where the dictionary table says");
        const uint8_t *bytes;
        size_t size;
        ++*dicts;
        return atlas_shard_dict(shard, *dicts, &bytes, &size, error);
    }
    if (memcmp(chunk.kind, ATLAS_KIND_DATA, 4) == 0) {
        ATLAS_TRY(block_verify(reader, shard, offset, &chunk, digest, error));
        ++*blocks;
        return ATLAS_OK;
    }
    ATLAS_REQUIRE(chunk.kind[0] >= 'a' && chunk.kind[0] <= 'z', UNSUPPORTED, offset + ATLAS_CHUNK_KIND, "chunk.kind is unknown to this version and may not be skipped");
    ATLAS_REQUIRE(chunk.head_bytes == chunk.body_bytes, CORRUPT, offset, "a skippable chunk whose hash does not cover it");
    return ATLAS_OK;
}

int atlas_verify_rest(
    const atlas_shard *shard,
    const atlas_digest *digest,
    uint32_t blocks,
    uint32_t dicts,
    atlas_error *error
) {
    const uint64_t at = (uint64_t)(shard->footer - shard->base);
    atlas_chunk chunk;
    ATLAS_TRY(atlas_header_check(shard->base, shard->bytes, error));
    ATLAS_REQUIRE(memcmp(shard->base, shard->footer, ATLAS_HEADER_SIZE) == 0, CORRUPT, 0, "header is not the footer's copy");
    ATLAS_REQUIRE(blocks == shard->block_count && dicts == shard->dictionary_count, CORRUPT, at, "the index or dictionary table names chunks that do not exist");
    ATLAS_TRY(atlas_chunk_check(shard->base, shard->bytes - ATLAS_TRAILER_SIZE, shard->footer_offset, shard->nonce, &chunk, error));
    uint8_t got[16];
    atlas_digest_finish(digest, got);
    ATLAS_REQUIRE(memcmp(got, shard->footer + ATLAS_FOOT_DIGEST, 16) == 0, CORRUPT, at + ATLAS_FOOT_DIGEST, "footer.digest is not that of the values");
    return ATLAS_OK;
}
