/* block_read.c - from (leaf, block) to a checked page. */
#include "codec.h"
#include "error.h"
#include "frame.h"
#include "read.h"

uint32_t block_rows(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block) {
    const uint64_t first = (uint64_t)block * leaf->rows_per_block;
    const uint64_t left = shard->rows - first;
    return left < leaf->rows_per_block ? (uint32_t)left : leaf->rows_per_block;
}

static const uint8_t *index_entry(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block) {
    return shard->index + ((size_t)leaf->first_block + block) * ATLAS_INDEX_SIZE;
}

static int page_table_check(const uint8_t *chunk, uint64_t chunk_bytes, uint32_t pages, uint32_t raw_bytes, uint64_t at, atlas_error *error) {
    uint64_t end = ATLAS_BLOCK_TABLE + (uint64_t)pages * ATLAS_PAGE_SIZE;
    uint64_t raw = 0;
    for (uint32_t i = 0; i < pages; i++) {
        const uint8_t *e = chunk + ATLAS_BLOCK_TABLE + (size_t)i * ATLAS_PAGE_SIZE;
        const bool coded = e[ATLAS_PAGE_CODEC] != ATLAS_CODEC_NONE && (e[ATLAS_PAGE_FLAGS] & ATLAS_PAGE_CELLS) == 0;
        const uint32_t offset = load_u32(e + ATLAS_PAGE_OFFSET);
        ATLAS_REQUIRE(offset == pad_to(end, coded ? 8 : 64), CORRUPT, at + ATLAS_BLOCK_TABLE + (uint64_t)i * ATLAS_PAGE_SIZE + ATLAS_PAGE_OFFSET, "page.offset does not follow the page before");
        end = (uint64_t)offset + load_u32(e + ATLAS_PAGE_STORED);
        raw += load_u32(e + ATLAS_PAGE_RAW);
    }
    ATLAS_REQUIRE(end == chunk_bytes, CORRUPT, at + ATLAS_CHUNK_BODY_BYTES, "chunk does not end where its last page ends");
    ATLAS_REQUIRE(raw == raw_bytes, CORRUPT, at + ATLAS_BLOCK_TABLE, "index.raw_bytes is not the sum of the pages' raw");
    return ATLAS_OK;
}

int head_check(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block, bool hash, atlas_error *error) {
    const uint8_t *entry = index_entry(shard, leaf, block);
    const uint64_t at = load_u64(entry + ATLAS_INDEX_OFFSET);
    const uint32_t bytes = load_u32(entry + ATLAS_INDEX_BYTES);
    const uint8_t *chunk = shard->base + at;
    const uint32_t head_bytes = ATLAS_BLOCK_HEAD + leaf->group_leaves * ATLAS_PAGE_SIZE;
    const uint32_t rows = load_u32(chunk + ATLAS_BLOCK_ROWS), expected = block_rows(shard, leaf, block);
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

int page_find(const atlas_reader *reader, const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block, page *out, uint64_t *word, atlas_error *error) {
    uint64_t *slot = page_word(shard, leaf, block);
    uint8_t *head = &shard->heads[leaf->first_block + block];
    const bool known = word_load(slot) != 0;
    const bool hash = reader->verify == ATLAS_VERIFY_ALWAYS || (reader->verify == ATLAS_VERIFY_FIRST && !known);
    if (__atomic_load_n(head, __ATOMIC_ACQUIRE) == 0 || reader->verify == ATLAS_VERIFY_ALWAYS) {
        ATLAS_TRY(head_check(shard, leaf, block, reader->verify != ATLAS_VERIFY_NEVER, error));
        __atomic_store_n(head, 1, __ATOMIC_RELEASE);
    }
    const uint8_t *entry = index_entry(shard, leaf, block);
    const uint8_t *chunk = shard->base + load_u64(entry + ATLAS_INDEX_OFFSET);
    const uint32_t rows = shard->cut != 0 ? load_u32(chunk + ATLAS_BLOCK_ROWS) : block_rows(shard, leaf, block);
    ATLAS_REQUIRE(rows >= 1 && rows <= leaf->rows_per_block, CORRUPT, (uint64_t)(chunk - shard->base), "block.rows out of range");
    ATLAS_TRY(page_read(shard, leaf, chunk, load_u32(entry + ATLAS_INDEX_BYTES), rows, reader->max_page, out, error));
    if (hash) ATLAS_REQUIRE(hash64(out->stored, out->stored_bytes, 0) == out->hash, CORRUPT, out->at, "page.hash does not match");
    uint64_t value = WORD_KNOWN;
    if (out->layout == ATLAS_FIXED && out->codec == ATLAS_CODEC_NONE && (out->flags & ATLAS_PAGE_VALIDITY) == 0) {
        ATLAS_REQUIRE(out->stored_bytes == (uint64_t)rows * leaf->width, CORRUPT, out->at, "FIXED page has a wrong length");
        value = out->at | WORD_PLAIN;
    }
    if (!known) __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (word != NULL) *word = value;
    return ATLAS_OK;
}

int page_decode(const atlas_reader *reader, const page *p, uint8_t *out, atlas_error *error) {
    ATLAS_REQUIRE(codec_decode(reader->zstd, p->codec, p->dict, p->stored, p->stored_bytes, out, p->raw), CODEC, p->at, "page does not decode to its raw size");
    return ATLAS_OK;
}

void atlas_shard_forget(atlas_shard *shard, uint32_t group, uint32_t block) {
    for (uint32_t i = 0; i < shard->leaf_count; i++) {
        const atlas_leaf *leaf = &shard->leaves[i];
        if (leaf->group != group) continue;
        __atomic_store_n(page_word(shard, leaf, block), 0, __ATOMIC_RELEASE);
        __atomic_store_n(&shard->heads[leaf->first_block + block], 0, __ATOMIC_RELEASE);
    }
}
