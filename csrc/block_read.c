/* block_read.c - from (leaf, block) to a checked page. */
#include "codec.h"
#include "error.h"
#include "frame.h"
#include "read.h"

uint32_t atlas_block_rows(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block) {
    const uint64_t first = (uint64_t)block * leaf->rows_per_block;
    const uint64_t left = shard->rows - first;
    return left < leaf->rows_per_block ? (uint32_t)left : leaf->rows_per_block;
}

static const uint8_t *index_entry(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block) {
    return shard->index + ((size_t)leaf->first_block + block) * ATLAS_INDEX_SIZE;
}

/* The place of a block: a mapped footer can change, so it is checked at each use. */
static int chunk_find(
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    const uint8_t **chunk,
    uint32_t *bytes,
    atlas_error *error
) {
    const uint8_t *entry = index_entry(shard, leaf, block);
    const uint64_t offset = load_u64(entry + ATLAS_INDEX_OFFSET);
    *bytes = load_u32(entry + ATLAS_INDEX_BYTES);
    ATLAS_REQUIRE(offset % ATLAS_CHUNK_ALIGN == 0 && offset < shard->footer_offset && *bytes <= shard->footer_offset - offset && *bytes >= ATLAS_BLOCK_TABLE + (uint64_t)ATLAS_PAGE_SIZE * leaf->group_leaves, CORRUPT, (uint64_t)(entry - shard->base), "index entry is out of bounds");
    *chunk = shard->base + offset;
    return ATLAS_OK;
}

static int page_table_check(
    const uint8_t *chunk,
    uint64_t chunk_bytes,
    uint32_t pages,
    uint32_t stated_raw,
    uint64_t at,
    atlas_error *error
) {
    uint64_t end = ATLAS_BLOCK_TABLE + (uint64_t)pages * ATLAS_PAGE_SIZE;
    uint64_t raw = 0;
    for (uint32_t i = 0; i < pages; i++) {
        const uint8_t *e = chunk + ATLAS_BLOCK_TABLE + (size_t)i * ATLAS_PAGE_SIZE;
        const bool coded = e[ATLAS_PAGE_CODEC] != ATLAS_CODEC_NONE && (e[ATLAS_PAGE_FLAGS] & ATLAS_PAGE_CELLS) == 0;
        const uint32_t offset = load_u32(e + ATLAS_PAGE_OFFSET), stored_bytes = load_u32(e + ATLAS_PAGE_STORED), raw_bytes = load_u32(e + ATLAS_PAGE_RAW);
        ATLAS_REQUIRE(stored_bytes <= 2 * ATLAS_MAX_PAGE && raw_bytes <= ATLAS_MAX_PAGE, LIMIT, at + ATLAS_BLOCK_TABLE + (uint64_t)i * ATLAS_PAGE_SIZE + ATLAS_PAGE_STORED, "page.stored or raw > limit");
        ATLAS_REQUIRE(offset == pad_to(end, coded ? 8 : 64), CORRUPT, at + ATLAS_BLOCK_TABLE + (uint64_t)i * ATLAS_PAGE_SIZE + ATLAS_PAGE_OFFSET, "page.offset does not follow the page before");
        end = (uint64_t)offset + stored_bytes;
        raw += raw_bytes;
    }
    ATLAS_REQUIRE(raw <= ATLAS_MAX_PAGE, LIMIT, at + ATLAS_BLOCK_TABLE, "block: the sum of its pages' raw > limit");
    ATLAS_REQUIRE(end == chunk_bytes, CORRUPT, at + ATLAS_CHUNK_BODY_BYTES, "chunk does not end where its last page ends");
    ATLAS_REQUIRE(raw == stated_raw, CORRUPT, at + ATLAS_BLOCK_TABLE, "index.raw_bytes is not the sum of the pages' raw");
    return ATLAS_OK;
}

int atlas_head_check(
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    bool hash,
    atlas_error *error
) {
    const uint8_t *entry = index_entry(shard, leaf, block);
    const uint8_t *chunk;
    uint32_t bytes;
    ATLAS_TRY(chunk_find(shard, leaf, block, &chunk, &bytes, error));
    const uint64_t at = (uint64_t)(chunk - shard->base);
    const uint32_t head_bytes = ATLAS_BLOCK_HEAD + leaf->group_leaves * ATLAS_PAGE_SIZE;
    const uint32_t rows = load_u32(chunk + ATLAS_BLOCK_ROWS), expected = atlas_block_rows(shard, leaf, block);
    ATLAS_REQUIRE(memcmp(chunk + ATLAS_CHUNK_KIND, ATLAS_KIND_DATA, 4) == 0, CORRUPT, at + ATLAS_CHUNK_KIND, "chunk.kind is not DATA where the index says so");
    ATLAS_REQUIRE(load_u64(chunk + ATLAS_CHUNK_BODY_BYTES) == bytes - ATLAS_CHUNK_BODY, CORRUPT, at + ATLAS_CHUNK_BODY_BYTES, "chunk.body_bytes is not the index's");
    ATLAS_REQUIRE(load_u32(chunk + ATLAS_CHUNK_HEAD_BYTES) == head_bytes, CORRUPT, at + ATLAS_CHUNK_HEAD_BYTES, "chunk.head_bytes does not match the page table");
    ATLAS_REQUIRE(load_u32(chunk + ATLAS_CHUNK_FLAGS) == 0 && load_u32(chunk + ATLAS_CHUNK_RESERVED) == 0, CORRUPT, at + ATLAS_CHUNK_FLAGS, "chunk.flags or reserved is not zero");
    if (hash) {
        const uint64_t stated = load_u64(chunk + ATLAS_CHUNK_HASH);
        ATLAS_REQUIRE(stated == load_u64(entry + ATLAS_INDEX_HASH), CORRUPT, at, "chunk.hash is not the index's");
        ATLAS_REQUIRE(stated == chunk_hash(chunk, head_bytes, shard->nonce, at), CORRUPT, at, "chunk.hash does not match");
    }
    ATLAS_REQUIRE(load_u64(chunk + ATLAS_BLOCK_FIRST_ROW) == (uint64_t)block * leaf->rows_per_block, CORRUPT, at + ATLAS_BLOCK_FIRST_ROW, "block.first_row is not the index's");
    ATLAS_REQUIRE(rows == expected || (shard->cut != 0 && rows > expected && rows <= leaf->rows_per_block), CORRUPT, at + ATLAS_BLOCK_ROWS, "block.rows does not match row_count");
    ATLAS_REQUIRE(load_u16(chunk + ATLAS_BLOCK_GROUP) == leaf->group, CORRUPT, at + ATLAS_BLOCK_GROUP, "block.group is not the index's");
    ATLAS_REQUIRE(load_u16(chunk + ATLAS_BLOCK_PAGES) == leaf->group_leaves, CORRUPT, at + ATLAS_BLOCK_PAGES, "block.pages is not the group's number of leaves");
    return page_table_check(chunk, bytes, leaf->group_leaves, load_u32(entry + ATLAS_INDEX_RAW_BYTES), at, error);
}

int atlas_page_find(
    const atlas_reader *reader,
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    page *out,
    atlas_error *error
) {
    uint64_t *memo = page_memo(shard, leaf, block);
    uint8_t *head = &shard->heads[leaf->first_block + block];
    const bool known = (word_load(memo) & WORD_KNOWN) != 0;
    const uint8_t seen = __atomic_load_n(head, __ATOMIC_ACQUIRE);
    const bool hash = reader->verify == ATLAS_VERIFY_ALWAYS || (reader->verify == ATLAS_VERIFY_FIRST && !known);
    if (seen == HEAD_UNKNOWN || reader->verify == ATLAS_VERIFY_ALWAYS || (seen != HEAD_KNOWN && reader->verify == ATLAS_VERIFY_FIRST)) {
        ATLAS_TRY(atlas_head_check(shard, leaf, block, reader->verify != ATLAS_VERIFY_NEVER, error));
        __atomic_store_n(head, reader->verify != ATLAS_VERIFY_NEVER ? HEAD_KNOWN : HEAD_UNHASHED, __ATOMIC_RELEASE);
    }
    const uint8_t *chunk;
    uint32_t bytes;
    ATLAS_TRY(chunk_find(shard, leaf, block, &chunk, &bytes, error));
    const uint32_t rows = shard->cut != 0 ? load_u32(chunk + ATLAS_BLOCK_ROWS) : atlas_block_rows(shard, leaf, block);
    ATLAS_REQUIRE(rows >= atlas_block_rows(shard, leaf, block) && rows <= leaf->rows_per_block, CORRUPT, (uint64_t)(chunk - shard->base), "block.rows out of range");
    ATLAS_TRY(atlas_page_read(shard, leaf, chunk, bytes, rows, reader->max_page, out, error));
    if (hash) ATLAS_REQUIRE(hash64(out->stored, out->stored_bytes, 0) == out->hash, CORRUPT, out->at, "page.hash does not match");
    if (hash) __atomic_fetch_or(memo, WORD_KNOWN, __ATOMIC_RELEASE);
    return ATLAS_OK;
}

static void word_store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }

void atlas_memo_store(uint64_t *memo, const page *p, const content *c, uint8_t dictionary) {
    const bool narrow = c->layout == ATLAS_NARROW, choice = c->layout == ATLAS_ENUM;
    const uint64_t offsets = c->offsets != NULL ? (uint64_t)(c->offsets - p->stored) : 0;
    uint64_t flags = WORD_OPEN;
    if (c->layout == ATLAS_FIXED && c->validity == NULL && c->cell_rows == 0) flags |= WORD_PLAIN;
    if ((__atomic_fetch_or(memo, WORD_BUSY, __ATOMIC_ACQ_REL) & WORD_BUSY) != 0) return;
    word_store(memo + 1, (uint64_t)p->raw | c->values_bytes << 32);
    word_store(memo + 2, narrow ? c->base : offsets);
    word_store(memo + 3, (uint64_t)p->layout | (uint64_t)p->codec << 8 | (uint64_t)p->flags << 16 | (uint64_t)dictionary << 24 |
                             (uint64_t)(narrow ? c->element : choice ? c->code_bytes : 0) << 32 | (uint64_t)(narrow ? c->stored : 0) << 40 |
                             (uint64_t)(choice ? c->count - 1 : c->cell_rows) << 48);
    __atomic_fetch_or(memo, (p->at & WORD_OFFSET) | flags, __ATOMIC_RELEASE);
}

void atlas_memo_load(
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    const uint64_t *memo,
    uint64_t word,
    page *p,
    content *c
) {
    const uint64_t first = memo_word(memo, 1), second = memo_word(memo, 2), kinds = memo_word(memo, 3);
    const uint8_t dictionary = (uint8_t)(kinds >> 24);
    p->layout = (uint8_t)kinds;
    p->codec = (uint8_t)(kinds >> 8);
    p->flags = (uint8_t)(kinds >> 16);
    p->cell_rows = p->layout == ATLAS_ENUM ? 0 : (uint16_t)(kinds >> 48);
    p->dict = dictionary != 0 ? shard->dicts[dictionary - 1] : NULL;
    p->at = word & WORD_OFFSET;
    p->stored = shard->base + p->at;
    p->raw = (uint32_t)first;
    p->rows = atlas_block_rows(shard, leaf, block);
    c->at = p->at;
    c->rows = p->rows;
    c->width = c->stored_width = leaf->width;
    c->kind = leaf->kind;
    c->layout = p->layout;
    c->short_offsets = (p->flags & ATLAS_PAGE_SHORT) != 0;
    c->cell_rows = p->cell_rows;
    const uint8_t *at = p->stored;
    c->validity = NULL;
    if ((p->flags & ATLAS_PAGE_VALIDITY) != 0) {
        c->validity = at;
        at += validity_bytes(p->rows);
    }
    c->values_bytes = first >> 32;
    c->offsets = NULL;
    c->ends = NULL;
    if (c->layout == ATLAS_ENUM) {
        c->codes = at + ATLAS_ENUM_HEAD;
        c->code_bytes = (uint8_t)(kinds >> 32);
        c->count = (uint32_t)(kinds >> 48) + 1;
        at = c->codes + pad_to((uint64_t)p->rows * c->code_bytes, 8);
        if (c->kind == ATLAS_KIND_VARIABLE) {
            c->offsets = at;
            at += 4 * ((uint64_t)c->count + 1);
        }
        c->values = at;
        return;
    }
    if (c->layout == ATLAS_NARROW) {
        c->base = second;
        c->element = (uint8_t)(kinds >> 32);
        c->stored = (uint8_t)(kinds >> 40);
        c->stored_width = c->width / c->element * c->stored;
        at += ATLAS_NARROW_HEAD;
    }
    if (has_offsets(c->kind, c->layout, p->flags)) {
        c->offsets = at;
        at += offsets_bytes(offsets_count(p->rows, p->cell_rows), c->short_offsets != 0);
        if (has_ends(c->kind, p->cell_rows)) {
            c->ends = at;
            at += ends_bytes(p->rows);
        }
    }
    c->values = at;
}

int atlas_page_decode(const atlas_reader *reader, const page *p, uint8_t *out, atlas_error *error) {
    ATLAS_REQUIRE(atlas_codec_decode(reader->zstd, p->codec, p->dict, p->stored, p->stored_bytes, out, p->raw), CODEC, p->at, "page does not decode to its raw size");
    return ATLAS_OK;
}

/* Whether a leaf has a page in a block of the index; if so, the block's number among those of its group. */
static bool leaf_in_block(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block, uint32_t *number) {
    if (block < leaf->first_block) return false;
    *number = block - leaf->first_block;
    return (uint64_t)*number * leaf->rows_per_block < shard->rows;
}

void atlas_shard_forget(atlas_shard *shard, uint32_t block) {
    for (uint32_t i = 0; i < shard->leaf_count; i++) {
        uint32_t number;
        if (!leaf_in_block(shard, &shard->leaves[i], block, &number)) continue;
        __atomic_store_n(page_memo(shard, &shard->leaves[i], number), 0, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&shard->heads[block], 0, __ATOMIC_RELEASE);
}

int atlas_block_check(atlas_shard *shard, uint32_t block, atlas_error *error) {
    const atlas_reader reader = {.max_page = UINT32_MAX, .verify = ATLAS_VERIFY_FIRST};
    atlas_error other, *first = error;
    int status = ATLAS_OK;
    ATLAS_REQUIRE(block < shard->block_count, ARG, 0, "block out of range");
    for (uint32_t i = 0; i < shard->leaf_count; i++) {
        uint32_t number;
        page p;
        if (!leaf_in_block(shard, &shard->leaves[i], block, &number)) continue;
        const int found = atlas_page_find(&reader, shard, &shard->leaves[i], number, &p, first);
        if (found == ATLAS_OK || status != ATLAS_OK) continue;
        status = found;
        first = &other;
    }
    return status;
}
