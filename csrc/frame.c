/* frame.c - what frames a shard: header, chunk headers, trailer. Knows nothing of what a chunk holds. */
#include "atlas.h"
#include "bytes.h"
#include "error.h"
#include "frame.h"
#include "hash.h"
#include "layout.h"

void atlas_header_write(uint8_t out[64], uint64_t nonce) {
    memset(out, 0, ATLAS_HEADER_SIZE);
    memcpy(out, ATLAS_MAGIC, 8);
    store_u16(out + ATLAS_HEADER_MAJOR, ATLAS_VERSION_MAJOR);
    store_u16(out + ATLAS_HEADER_MINOR, ATLAS_VERSION_MINOR);
    store_u32(out + ATLAS_HEADER_HEADER_BYTES, ATLAS_HEADER_SIZE);
    store_u64(out + ATLAS_HEADER_NONCE, nonce);
    store_u64(out + ATLAS_HEADER_HASH, hash64(out, ATLAS_HEADER_HASH, 0));
}

int atlas_header_fields_check(const uint8_t *header, uint64_t at, atlas_error *error) {
    ATLAS_REQUIRE(memcmp(header, ATLAS_MAGIC, 8) == 0, CORRUPT, at, "header.magic is not that of an Atlas shard");
    ATLAS_REQUIRE(load_u64(header + ATLAS_HEADER_HASH) == hash64(header, ATLAS_HEADER_HASH, 0), CORRUPT, at + ATLAS_HEADER_HASH, "header.hash does not match");
    ATLAS_REQUIRE(load_u16(header + ATLAS_HEADER_MAJOR) == ATLAS_VERSION_MAJOR, UNSUPPORTED, at + ATLAS_HEADER_MAJOR, "header.major is not 2: a newer Atlas wrote this file");
    ATLAS_REQUIRE(load_u64(header + ATLAS_HEADER_INCOMPAT) == 0, UNSUPPORTED, at + ATLAS_HEADER_INCOMPAT, "header.incompat names a feature this version does not know");
    ATLAS_REQUIRE(load_u32(header + ATLAS_HEADER_HEADER_BYTES) == ATLAS_HEADER_SIZE, CORRUPT, at + ATLAS_HEADER_HEADER_BYTES, "header.header_bytes != 64");
    ATLAS_REQUIRE(all_zero(header + ATLAS_HEADER_RESERVED, 16), CORRUPT, at + ATLAS_HEADER_RESERVED, "header.reserved is not zero");
    return ATLAS_OK;
}

int atlas_header_check(const uint8_t *base, uint64_t bytes, atlas_error *error) {
    ATLAS_REQUIRE(bytes >= ATLAS_HEADER_SIZE, TRUNCATED, bytes, "file ends inside the header");
    return atlas_header_fields_check(base, 0, error);
}

uint64_t atlas_chunk_seal(
    uint8_t *chunk,
    const char kind[4],
    uint64_t body_bytes,
    uint32_t head_bytes,
    uint64_t nonce,
    uint64_t offset
) {
    memcpy(chunk + ATLAS_CHUNK_KIND, kind, 4);
    store_u32(chunk + ATLAS_CHUNK_FLAGS, 0);
    store_u64(chunk + ATLAS_CHUNK_BODY_BYTES, body_bytes);
    store_u32(chunk + ATLAS_CHUNK_HEAD_BYTES, head_bytes);
    store_u32(chunk + ATLAS_CHUNK_RESERVED, 0);
    const uint64_t hash = chunk_hash(chunk, head_bytes, nonce, offset);
    store_u64(chunk + ATLAS_CHUNK_HASH, hash);
    return hash;
}

int atlas_chunk_open(
    const uint8_t *base,
    uint64_t limit,
    uint64_t offset,
    uint64_t nonce,
    atlas_chunk *chunk,
    atlas_error *error
) {
    ATLAS_REQUIRE(offset % ATLAS_CHUNK_ALIGN == 0, CORRUPT, offset, "chunk does not start at a multiple of 64");
    ATLAS_REQUIRE(offset <= limit && limit - offset >= ATLAS_CHUNK_BODY, TRUNCATED, offset, "file ends inside a chunk header");
    const uint8_t *p = base + offset;
    const uint64_t body = load_u64(p + ATLAS_CHUNK_BODY_BYTES);
    const uint32_t head = load_u32(p + ATLAS_CHUNK_HEAD_BYTES);
    ATLAS_REQUIRE(body <= limit - offset - ATLAS_CHUNK_BODY, TRUNCATED, offset + ATLAS_CHUNK_BODY_BYTES, "chunk.body_bytes reaches past the end");
    ATLAS_REQUIRE(head <= body, CORRUPT, offset + ATLAS_CHUNK_HEAD_BYTES, "chunk.head_bytes > body_bytes");
    memcpy(chunk->kind, p + ATLAS_CHUNK_KIND, 4);
    chunk->body_bytes = body;
    chunk->head_bytes = head;
    chunk->hash = load_u64(p + ATLAS_CHUNK_HASH);
    chunk->next = offset + pad_to(ATLAS_CHUNK_BODY + body, ATLAS_CHUNK_ALIGN);
    ATLAS_REQUIRE(chunk->hash == chunk_hash(p, head, nonce, offset), CORRUPT, offset, "chunk.hash does not match");
    ATLAS_REQUIRE(load_u32(p + ATLAS_CHUNK_FLAGS) == 0 && load_u32(p + ATLAS_CHUNK_RESERVED) == 0, CORRUPT, offset + ATLAS_CHUNK_FLAGS, "chunk.flags or reserved is not zero");
    return ATLAS_OK;
}

int atlas_chunk_check(
    const uint8_t *base,
    uint64_t limit,
    uint64_t offset,
    uint64_t nonce,
    atlas_chunk *chunk,
    atlas_error *error
) {
    ATLAS_TRY(atlas_chunk_open(base, limit, offset, nonce, chunk, error));
    const uint64_t end = offset + ATLAS_CHUNK_BODY + chunk->body_bytes;
    ATLAS_REQUIRE(chunk->next <= limit, TRUNCATED, end, "file ends inside a chunk's padding");
    ATLAS_REQUIRE(all_zero(base + end, chunk->next - end), CORRUPT, end, "padding after a chunk is not zero");
    return ATLAS_OK;
}

void atlas_trailer_write(
    uint8_t out[64],
    uint64_t footer_offset,
    uint64_t footer_bytes,
    uint64_t row_count,
    uint64_t nonce,
    uint64_t footer_hash
) {
    store_u64(out + ATLAS_TRAILER_FOOTER_OFFSET, footer_offset);
    store_u64(out + ATLAS_TRAILER_FOOTER_BYTES, footer_bytes);
    store_u64(out + ATLAS_TRAILER_FILE_BYTES, footer_offset + pad_to(footer_bytes, ATLAS_CHUNK_ALIGN) + ATLAS_TRAILER_SIZE);
    store_u64(out + ATLAS_TRAILER_ROW_COUNT, row_count);
    store_u64(out + ATLAS_TRAILER_NONCE, nonce);
    store_u64(out + ATLAS_TRAILER_FOOTER_HASH, footer_hash);
    store_u64(out + ATLAS_TRAILER_HASH, hash64(out, ATLAS_TRAILER_HASH, 0));
    memcpy(out + ATLAS_TRAILER_MAGIC, ATLAS_END_MAGIC, 8);
}
