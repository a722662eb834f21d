/* footer.c - trailer and footer of a shard, read and written. Its tables are used in place. */
#include "atlas.h"
#include "bytes.h"
#include "error.h"
#include "frame.h"
#include "layout.h"
#include "read.h"

#define AT(p) ((uint64_t)((p) - shard->base))

static int trailer_read(atlas_shard *shard, uint64_t *footer_bytes, atlas_error *error) {
    const uint64_t bytes = shard->bytes;
    ATLAS_REQUIRE(bytes >= ATLAS_HEADER_SIZE + ATLAS_TRAILER_SIZE, TRUNCATED, bytes, "file is too short for a shard");
    ATLAS_REQUIRE(bytes <= ATLAS_MAX_FILE, LIMIT, 0, "file is longer than 2^63 - 1");
    const uint64_t at = bytes - ATLAS_TRAILER_SIZE;
    const uint8_t *t = shard->base + at;
    ATLAS_REQUIRE(memcmp(t + ATLAS_TRAILER_MAGIC, ATLAS_END_MAGIC, 8) == 0, TRUNCATED, at + ATLAS_TRAILER_MAGIC, "trailer.magic is missing: the file was truncated, extended, or never finished");
    ATLAS_REQUIRE(load_u64(t + ATLAS_TRAILER_HASH) == hash64(t, ATLAS_TRAILER_HASH, 0), CORRUPT, at + ATLAS_TRAILER_HASH, "trailer.hash does not match");
    const uint64_t file_bytes = load_u64(t + ATLAS_TRAILER_FILE_BYTES);
    ATLAS_REQUIRE(file_bytes <= ATLAS_MAX_FILE, LIMIT, at + ATLAS_TRAILER_FILE_BYTES, "trailer.file_bytes > limit");
    ATLAS_REQUIRE(file_bytes <= bytes, TRUNCATED, at + ATLAS_TRAILER_FILE_BYTES, "trailer.file_bytes is more than the file's length: the file was truncated");
    ATLAS_REQUIRE(file_bytes == bytes, CORRUPT, at + ATLAS_TRAILER_FILE_BYTES, "trailer.file_bytes is less than the file's length: the file was extended");
    shard->rows = load_u64(t + ATLAS_TRAILER_ROW_COUNT);
    shard->nonce = load_u64(t + ATLAS_TRAILER_NONCE);
    shard->root = load_u64(t + ATLAS_TRAILER_FOOTER_HASH);
    shard->footer_offset = load_u64(t + ATLAS_TRAILER_FOOTER_OFFSET);
    *footer_bytes = load_u64(t + ATLAS_TRAILER_FOOTER_BYTES);
    ATLAS_REQUIRE(*footer_bytes <= ATLAS_MAX_FOOTER, LIMIT, at + ATLAS_TRAILER_FOOTER_BYTES, "trailer.footer_bytes > limit");
    ATLAS_REQUIRE(shard->footer_offset >= ATLAS_HEADER_SIZE && shard->footer_offset % ATLAS_CHUNK_ALIGN == 0 && shard->footer_offset < at, CORRUPT, at + ATLAS_TRAILER_FOOTER_OFFSET, "trailer.footer_offset is out of place");
    ATLAS_REQUIRE(at - shard->footer_offset == pad_to(*footer_bytes, ATLAS_CHUNK_ALIGN), CORRUPT, at + ATLAS_TRAILER_FOOTER_BYTES, "trailer: the footer does not end at the trailer");
    return ATLAS_OK;
}

static int footer_sections(atlas_shard *shard, uint64_t body_bytes, atlas_error *error) {
    const uint8_t *f = shard->footer;
    ATLAS_REQUIRE(body_bytes >= ATLAS_FOOT_LAYOUT, CORRUPT, AT(f), "footer is too short");
    ATLAS_TRY(atlas_header_fields_check(f, AT(f), error));
    ATLAS_REQUIRE(load_u64(f + ATLAS_HEADER_NONCE) == shard->nonce, CORRUPT, AT(f) + ATLAS_HEADER_NONCE, "footer: nonce is not the trailer's");
    ATLAS_REQUIRE(load_u64(f + ATLAS_FOOT_ROW_COUNT) == shard->rows, CORRUPT, AT(f) + ATLAS_FOOT_ROW_COUNT, "footer.row_count is not the trailer's");
    ATLAS_REQUIRE(all_zero(f + ATLAS_FOOT_RESERVED, 16), CORRUPT, AT(f) + ATLAS_FOOT_RESERVED, "footer.reserved is not zero");
    shard->raw_bytes = load_u64(f + ATLAS_FOOT_RAW_BYTES);
    shard->layout_bytes = load_u32(f + ATLAS_FOOT_LAYOUT_BYTES);
    shard->dictionary_count = load_u32(f + ATLAS_FOOT_DICTIONARY_COUNT);
    shard->block_count = load_u32(f + ATLAS_FOOT_BLOCK_COUNT);
    shard->stats_bytes = load_u32(f + ATLAS_FOOT_STATS_BYTES);
    ATLAS_REQUIRE(shard->dictionary_count <= ATLAS_MAX_DICTIONARIES, LIMIT, AT(f) + ATLAS_FOOT_DICTIONARY_COUNT, "footer.dictionary_count > 255");
    const uint64_t layout_end = ATLAS_FOOT_LAYOUT + pad_to(shard->layout_bytes, 8);
    const uint64_t index_at = layout_end + (uint64_t)ATLAS_DICTIONARY_SIZE * shard->dictionary_count;
    const uint64_t stats_at = index_at + (uint64_t)ATLAS_INDEX_SIZE * shard->block_count;
    ATLAS_REQUIRE(stats_at + shard->stats_bytes == body_bytes, CORRUPT, AT(f) + ATLAS_FOOT_LAYOUT_BYTES, "footer: its sections do not fill it exactly");
    shard->layout = f + ATLAS_FOOT_LAYOUT;
    ATLAS_REQUIRE(all_zero(shard->layout + shard->layout_bytes, layout_end - ATLAS_FOOT_LAYOUT - shard->layout_bytes), CORRUPT, AT(shard->layout) + shard->layout_bytes, "footer: padding after the layout is not zero");
    shard->dictionaries = f + layout_end;
    shard->index = f + index_at;
    shard->stats = f + stats_at;
    return ATLAS_OK;
}

static int layout_read(atlas_shard *shard, atlas_error *error) {
    const uint8_t *p = shard->layout;
    const uint64_t at = AT(p);
    ATLAS_REQUIRE(shard->layout_bytes >= ATLAS_LAYOUT_TABLES, CORRUPT, at, "layout is too short");
    shard->leaf_count = load_u32(p + ATLAS_LAYOUT_LEAF_COUNT);
    shard->group_count = load_u32(p + ATLAS_LAYOUT_GROUP_COUNT);
    shard->schema_bytes = load_u32(p + ATLAS_LAYOUT_SCHEMA_BYTES);
    ATLAS_REQUIRE(shard->leaf_count >= 1, CORRUPT, at, "layout.leaf_count is 0");
    ATLAS_REQUIRE(shard->leaf_count <= ATLAS_MAX_LEAVES, LIMIT, at, "layout.leaf_count is not in 1 .. 4096");
    ATLAS_REQUIRE(shard->group_count >= 1, CORRUPT, at + ATLAS_LAYOUT_GROUP_COUNT, "layout.group_count is 0");
    ATLAS_REQUIRE(shard->group_count <= ATLAS_MAX_GROUPS, LIMIT, at + ATLAS_LAYOUT_GROUP_COUNT, "layout.group_count is not in 1 .. 64");
    ATLAS_REQUIRE(shard->schema_bytes <= ATLAS_MAX_SCHEMA, LIMIT, at + ATLAS_LAYOUT_SCHEMA_BYTES, "layout.schema_bytes > limit");
    ATLAS_REQUIRE(load_u32(p + ATLAS_LAYOUT_RESERVED) == 0, CORRUPT, at + ATLAS_LAYOUT_RESERVED, "layout.reserved is not zero");
    const uint64_t schema_at = ATLAS_LAYOUT_TABLES + (uint64_t)ATLAS_LEAF_SIZE * shard->leaf_count + (uint64_t)ATLAS_GROUP_SIZE * shard->group_count;
    ATLAS_REQUIRE(schema_at + shard->schema_bytes == shard->layout_bytes, CORRUPT, at, "layout: its tables do not fill it exactly");
    shard->schema = p + schema_at;
    return ATLAS_OK;
}

static int leaves_check(atlas_shard *shard, uint32_t group_leaves[ATLAS_MAX_GROUPS], atlas_error *error) {
    uint8_t seen[65536 / 8];
    memset(seen, 0, sizeof seen);
    memset(group_leaves, 0, ATLAS_MAX_GROUPS * sizeof group_leaves[0]);
    for (uint32_t i = 0; i < shard->leaf_count; i++) {
        const uint8_t *leaf = shard->layout + ATLAS_LAYOUT_TABLES + (size_t)i * ATLAS_LEAF_SIZE;
        const uint16_t id = load_u16(leaf + ATLAS_LEAF_ID);
        const uint8_t kind = leaf[ATLAS_LEAF_KIND], group = leaf[ATLAS_LEAF_GROUP];
        const uint32_t width = load_u32(leaf + ATLAS_LEAF_WIDTH);
        ATLAS_REQUIRE(!bit_at(seen, id), CORRUPT, AT(leaf), "leaf.id is used twice");
        seen[id >> 3] = (uint8_t)(seen[id >> 3] | (1u << (id & 7)));
        ATLAS_REQUIRE(kind == ATLAS_KIND_FIXED || kind == ATLAS_KIND_VARIABLE, CORRUPT, AT(leaf) + ATLAS_LEAF_KIND, "leaf.kind is not 1 or 2");
        ATLAS_REQUIRE(group < shard->group_count, CORRUPT, AT(leaf) + ATLAS_LEAF_GROUP, "leaf.group >= group_count");
        ATLAS_REQUIRE(leaf[ATLAS_LEAF_DICTIONARY] <= shard->dictionary_count, CORRUPT, AT(leaf) + ATLAS_LEAF_DICTIONARY, "leaf.dictionary > dictionary_count");
        ATLAS_REQUIRE((leaf[ATLAS_LEAF_FLAGS] & ~(ATLAS_LEAF_NULLABLE | ATLAS_LEAF_PAGE_CODED)) == 0, CORRUPT, AT(leaf) + ATLAS_LEAF_FLAGS, "leaf.flags has unknown bits");
        ATLAS_REQUIRE(load_u16(leaf + ATLAS_LEAF_RESERVED) == 0 && load_u32(leaf + ATLAS_LEAF_RESERVED2) == 0, CORRUPT, AT(leaf) + ATLAS_LEAF_RESERVED, "leaf.reserved is not zero");
        ATLAS_REQUIRE(kind == ATLAS_KIND_FIXED || width == 0, CORRUPT, AT(leaf) + ATLAS_LEAF_WIDTH, "leaf.width of a variable leaf is not zero");
        ATLAS_REQUIRE(width <= ATLAS_MAX_PAGE, LIMIT, AT(leaf) + ATLAS_LEAF_WIDTH, "leaf.width > limit");
        group_leaves[group]++;
    }
    return ATLAS_OK;
}

static const uint8_t *group_entry(const atlas_shard *shard, uint32_t group) {
    return shard->layout + ATLAS_LAYOUT_TABLES + (size_t)shard->leaf_count * ATLAS_LEAF_SIZE + (size_t)group * ATLAS_GROUP_SIZE;
}

/* Read once, checked, and from then on only the copy is used: a mapped file can change under us. */
static int group_read(
    const atlas_shard *shard,
    uint32_t g,
    uint32_t *rows_per_block,
    uint64_t *count,
    atlas_error *error
) {
    const uint8_t *group = group_entry(shard, g);
    *rows_per_block = load_u32(group + ATLAS_GROUP_ROWS_PER_BLOCK);
    ATLAS_REQUIRE(*rows_per_block >= 1, CORRUPT, AT(group), "group.rows_per_block is 0");
    ATLAS_REQUIRE(*rows_per_block <= ATLAS_MAX_ROWS, LIMIT, AT(group), "group.rows_per_block is not in 1 .. 2^20");
    *count = shard->rows / *rows_per_block + (shard->rows % *rows_per_block != 0);
    return ATLAS_OK;
}

static int groups_check(atlas_shard *shard, const uint32_t group_leaves[ATLAS_MAX_GROUPS], atlas_error *error) {
    uint64_t blocks = 0, pages = 0, least = 0;
    for (uint32_t g = 0; g < shard->group_count; g++) {
        const uint8_t *group = group_entry(shard, g);
        uint32_t rows_per_block;
        uint64_t count;
        ATLAS_TRY(group_read(shard, g, &rows_per_block, &count, error));
        ATLAS_REQUIRE(load_u32(group + ATLAS_GROUP_RESERVED) == 0, CORRUPT, AT(group) + ATLAS_GROUP_RESERVED, "group.reserved is not zero");
        ATLAS_REQUIRE(group_leaves[g] >= 1, CORRUPT, AT(group), "group has no leaf");
        ATLAS_REQUIRE(count <= shard->block_count - blocks, CORRUPT, AT(group), "footer.block_count does not match row_count and rows_per_block");
        blocks += count;
        pages += count * group_leaves[g];
        least += count * (ATLAS_BLOCK_TABLE + (uint64_t)ATLAS_PAGE_SIZE * group_leaves[g]);
    }
    ATLAS_REQUIRE(blocks == shard->block_count, CORRUPT, AT(shard->footer) + ATLAS_FOOT_BLOCK_COUNT, "footer.block_count does not match row_count and rows_per_block");
    /* bounds what the caller allocates for pages by the length of the file */
    ATLAS_REQUIRE(least <= shard->footer_offset, CORRUPT, AT(shard->footer) + ATLAS_FOOT_BLOCK_COUNT, "footer names more blocks than the file has room for");
    shard->page_count = pages * MEMO_WORDS;
    return ATLAS_OK;
}

static int index_check(atlas_shard *shard, const uint32_t group_leaves[ATLAS_MAX_GROUPS], atlas_error *error) {
    uint64_t raw_sum = 0;
    uint32_t block = 0;
    shard->max_block_raw = 0;
    for (uint32_t g = 0; g < shard->group_count; g++) {
        uint32_t rows_per_block;
        uint64_t count;
        ATLAS_TRY(group_read(shard, g, &rows_per_block, &count, error));
        ATLAS_REQUIRE(count <= shard->block_count - block, CORRUPT, AT(shard->index), "the footer changed while it was read");
        uint64_t end = ATLAS_HEADER_SIZE;
        for (uint64_t i = 0; i < count; i++, block++) {
            const uint8_t *entry = shard->index + (size_t)block * ATLAS_INDEX_SIZE;
            const uint64_t offset = load_u64(entry + ATLAS_INDEX_OFFSET);
            const uint32_t bytes = load_u32(entry + ATLAS_INDEX_BYTES), raw = load_u32(entry + ATLAS_INDEX_RAW_BYTES);
            ATLAS_REQUIRE(bytes <= 2 * ATLAS_MAX_PAGE && raw <= ATLAS_MAX_PAGE, LIMIT, AT(entry) + ATLAS_INDEX_BYTES, "index: block > limit");
            ATLAS_REQUIRE(offset % ATLAS_CHUNK_ALIGN == 0 && offset >= end && offset < shard->footer_offset, CORRUPT, AT(entry), "index.offset is out of order or out of bounds");
            ATLAS_REQUIRE(bytes >= ATLAS_BLOCK_TABLE + (uint64_t)ATLAS_PAGE_SIZE * group_leaves[g] && pad_to(bytes, ATLAS_CHUNK_ALIGN) <= shard->footer_offset - offset, CORRUPT, AT(entry) + ATLAS_INDEX_BYTES, "index.bytes is out of bounds");
            end = offset + bytes;
            raw_sum += raw;
            if (raw > shard->max_block_raw) shard->max_block_raw = raw;
        }
    }
    ATLAS_REQUIRE(raw_sum == shard->raw_bytes, CORRUPT, AT(shard->footer) + ATLAS_FOOT_RAW_BYTES, "footer.raw_bytes is not the sum of the blocks'");
    return ATLAS_OK;
}

static int dictionaries_check(const atlas_shard *shard, atlas_error *error) {
    uint64_t end = ATLAS_HEADER_SIZE;
    for (uint32_t i = 0; i < shard->dictionary_count; i++) {
        const uint8_t *entry = shard->dictionaries + (size_t)i * ATLAS_DICTIONARY_SIZE;
        const uint64_t offset = load_u64(entry + ATLAS_DICTIONARY_OFFSET);
        const uint32_t bytes = load_u32(entry + ATLAS_DICTIONARY_BYTES);
        ATLAS_REQUIRE(bytes <= ATLAS_MAX_DICTIONARY, LIMIT, AT(entry) + ATLAS_DICTIONARY_BYTES, "dictionary.bytes > 2^20");
        ATLAS_REQUIRE(bytes >= ATLAS_MIN_DICTIONARY, CORRUPT, AT(entry) + ATLAS_DICTIONARY_BYTES, "dictionary.bytes < 8");
        ATLAS_REQUIRE(offset % ATLAS_CHUNK_ALIGN == 0 && offset >= end && offset < shard->footer_offset && ATLAS_CHUNK_BODY + pad_to(bytes, ATLAS_CHUNK_ALIGN) <= shard->footer_offset - offset, CORRUPT, AT(entry), "dictionary.offset is out of order or out of bounds");
        ATLAS_REQUIRE(load_u32(entry + ATLAS_DICTIONARY_RESERVED) == 0, CORRUPT, AT(entry) + ATLAS_DICTIONARY_RESERVED, "dictionary.reserved is not zero");
        end = offset + ATLAS_CHUNK_BODY + bytes;
    }
    return ATLAS_OK;
}

int atlas_shard_open(const uint8_t *base, uint64_t bytes, atlas_shard *shard, atlas_error *error) {
    uint64_t footer_bytes = 0;
    uint32_t group_leaves[ATLAS_MAX_GROUPS];
    atlas_chunk chunk;
    memset(shard, 0, sizeof *shard);
    shard->base = base;
    shard->bytes = bytes;
    ATLAS_TRY(trailer_read(shard, &footer_bytes, error));
    ATLAS_TRY(atlas_chunk_open(base, bytes - ATLAS_TRAILER_SIZE, shard->footer_offset, shard->nonce, &chunk, error));
    ATLAS_REQUIRE(memcmp(chunk.kind, ATLAS_KIND_FOOTER, 4) == 0, CORRUPT, shard->footer_offset + ATLAS_CHUNK_KIND, "chunk.kind is not FOOT");
    ATLAS_REQUIRE(chunk.hash == shard->root, CORRUPT, shard->footer_offset, "trailer.footer_hash is not the footer's");
    ATLAS_REQUIRE(chunk.body_bytes + ATLAS_CHUNK_BODY == footer_bytes && chunk.head_bytes == chunk.body_bytes, CORRUPT, shard->footer_offset + ATLAS_CHUNK_BODY_BYTES, "chunk.body_bytes is not the trailer's");
    shard->footer = base + shard->footer_offset + ATLAS_CHUNK_BODY;
    ATLAS_TRY(footer_sections(shard, chunk.body_bytes, error));
    ATLAS_TRY(layout_read(shard, error));
    ATLAS_TRY(leaves_check(shard, group_leaves, error));
    ATLAS_TRY(groups_check(shard, group_leaves, error));
    ATLAS_TRY(index_check(shard, group_leaves, error));
    return dictionaries_check(shard, error);
}

int atlas_shard_bind(
    atlas_shard *shard,
    atlas_leaf *leaves,
    uint64_t *pages,
    uint8_t *heads,
    const atlas_dict *const *dicts,
    atlas_error *error
) {
    uint32_t group_leaves[ATLAS_MAX_GROUPS];
    uint32_t first_block[ATLAS_MAX_GROUPS], rows_per_block[ATLAS_MAX_GROUPS];
    uint64_t first_page[ATLAS_MAX_GROUPS];
    ATLAS_TRY(leaves_check(shard, group_leaves, error));
    uint32_t blocks = 0;
    uint64_t words = 0;
    for (uint32_t g = 0; g < shard->group_count; g++) {
        uint64_t count;
        ATLAS_TRY(group_read(shard, g, &rows_per_block[g], &count, error));
        ATLAS_REQUIRE(count <= shard->block_count - blocks, CORRUPT, AT(shard->layout), "the footer changed while it was read");
        first_block[g] = blocks;
        first_page[g] = words;
        blocks += (uint32_t)count;
        words += count * group_leaves[g] * MEMO_WORDS;
    }
    ATLAS_REQUIRE(words == shard->page_count, CORRUPT, AT(shard->layout), "the footer changed while it was read");
    uint16_t rank[ATLAS_MAX_GROUPS] = {0};
    for (uint32_t i = 0; i < shard->leaf_count; i++) {
        const uint8_t *entry = shard->layout + ATLAS_LAYOUT_TABLES + (size_t)i * ATLAS_LEAF_SIZE;
        const uint8_t g = entry[ATLAS_LEAF_GROUP];
        ATLAS_REQUIRE(g < shard->group_count, CORRUPT, AT(entry), "the footer changed while it was read");
        leaves[i] = (atlas_leaf){
            .first_page = first_page[g],
            .width = load_u32(entry + ATLAS_LEAF_WIDTH),
            .rows_per_block = rows_per_block[g],
            .first_block = first_block[g],
            .group_leaves = group_leaves[g],
            .id = load_u16(entry + ATLAS_LEAF_ID),
            .rank = rank[g]++,
            .kind = entry[ATLAS_LEAF_KIND],
            .group = g,
            .dictionary = entry[ATLAS_LEAF_DICTIONARY],
            .flags = entry[ATLAS_LEAF_FLAGS],
        };
        ATLAS_REQUIRE(leaves[i].rank < group_leaves[g] && leaves[i].dictionary <= shard->dictionary_count && leaves[i].width <= ATLAS_MAX_PAGE, CORRUPT, AT(entry), "the footer changed while it was read");
    }
    shard->leaves = leaves;
    shard->pages = pages;
    shard->heads = heads;
    shard->dicts = dicts;
    return ATLAS_OK;
}

int atlas_shard_dict(
    const atlas_shard *shard,
    uint32_t k,
    const uint8_t **bytes,
    size_t *size,
    atlas_error *error
) {
    ATLAS_REQUIRE(k >= 1 && k <= shard->dictionary_count, ARG, 0, "dictionary number out of range");
    const uint8_t *entry = shard->dictionaries + (size_t)(k - 1) * ATLAS_DICTIONARY_SIZE;
    const uint64_t offset = load_u64(entry + ATLAS_DICTIONARY_OFFSET);
    atlas_chunk chunk;
    ATLAS_TRY(atlas_chunk_open(shard->base, shard->footer_offset, offset, shard->nonce, &chunk, error));
    *size = load_u32(entry + ATLAS_DICTIONARY_BYTES);
    ATLAS_REQUIRE(memcmp(chunk.kind, ATLAS_KIND_DICTIONARY, 4) == 0 && chunk.body_bytes == *size && chunk.head_bytes == *size, CORRUPT, offset, "chunk is not the dictionary that the footer names");
    *bytes = shard->base + offset + ATLAS_CHUNK_BODY;
    uint8_t digest[16];
    atlas_hash128(*bytes, *size, digest);
    ATLAS_REQUIRE(memcmp(digest, entry + ATLAS_DICTIONARY_DIGEST, 16) == 0, CORRUPT, AT(entry) + ATLAS_DICTIONARY_DIGEST, "dictionary.digest does not match");
    return ATLAS_OK;
}

void atlas_leaf_write(uint8_t out[16], const atlas_leaf *leaf) {
    memset(out, 0, ATLAS_LEAF_SIZE);
    store_u16(out + ATLAS_LEAF_ID, leaf->id);
    out[ATLAS_LEAF_KIND] = leaf->kind;
    out[ATLAS_LEAF_GROUP] = leaf->group;
    out[ATLAS_LEAF_DICTIONARY] = leaf->dictionary;
    out[ATLAS_LEAF_FLAGS] = leaf->flags;
    store_u32(out + ATLAS_LEAF_WIDTH, leaf->width);
}

void atlas_footer_write(uint8_t out[128], const uint8_t header[64], const atlas_shard *facts, const uint8_t digest[16]) {
    memset(out, 0, ATLAS_FOOT_LAYOUT);
    memcpy(out + ATLAS_FOOT_HEADER, header, ATLAS_HEADER_SIZE);
    store_u64(out + ATLAS_FOOT_ROW_COUNT, facts->rows);
    store_u64(out + ATLAS_FOOT_RAW_BYTES, facts->raw_bytes);
    memcpy(out + ATLAS_FOOT_DIGEST, digest, 16);
    store_u32(out + ATLAS_FOOT_LAYOUT_BYTES, facts->layout_bytes);
    store_u32(out + ATLAS_FOOT_DICTIONARY_COUNT, facts->dictionary_count);
    store_u32(out + ATLAS_FOOT_BLOCK_COUNT, facts->block_count);
    store_u32(out + ATLAS_FOOT_STATS_BYTES, facts->stats_bytes);
}

void atlas_index_write(
    uint8_t out[24],
    uint64_t offset,
    uint32_t bytes,
    uint32_t raw_bytes,
    uint64_t hash
) {
    store_u64(out + ATLAS_INDEX_OFFSET, offset);
    store_u32(out + ATLAS_INDEX_BYTES, bytes);
    store_u32(out + ATLAS_INDEX_RAW_BYTES, raw_bytes);
    store_u64(out + ATLAS_INDEX_HASH, hash);
}
