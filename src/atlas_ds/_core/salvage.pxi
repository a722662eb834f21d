# For a repairer: a shard whose footer is gone.

def good_chunks(const uint8_t[::1] data, str path):
    """(nonce, chunks, end): the header's nonce; the good chunks after it, up to one that is damaged or the footer, each as
    (kind, offset, start of its body, end of its body, hash); and where they end."""
    cdef const uint8_t *base = &data[0] if data.shape[0] else NULL
    cdef atlas_error error
    cdef atlas_chunk chunk
    cdef uint64_t nonce, body, offset = ATLAS_HEADER_SIZE
    error.status = ATLAS_OK
    atlas_header_check(base, data.shape[0], &error)
    check(&error, path)
    memcpy(&nonce, base + ATLAS_HEADER_NONCE, 8)
    chunks = []
    while offset < <uint64_t>data.shape[0] and atlas_chunk_check(base, data.shape[0], offset, nonce, &chunk, &error) == ATLAS_OK:
        kind = PyBytes_FromStringAndSize(<char *>chunk.kind, 4)
        if kind == b"FOOT":
            break
        body = offset + ATLAS_CHUNK_BODY
        chunks.append((kind, offset, body, body + chunk.body_bytes, chunk.hash))
        offset = chunk.next
    return nonce, chunks, offset


def block_rows(const uint8_t[::1] layout, str path):
    """Rows of a block of each group, from the body of SCHM."""
    cdef uint32_t leaves, groups, rows
    cdef uint64_t at, end = 0
    if layout.shape[0] >= ATLAS_LAYOUT_TABLES:
        memcpy(&leaves, &layout[ATLAS_LAYOUT_LEAF_COUNT], 4)
        memcpy(&groups, &layout[ATLAS_LAYOUT_GROUP_COUNT], 4)
        at = ATLAS_LAYOUT_TABLES + <uint64_t>leaves * ATLAS_LEAF_SIZE
        end = at + <uint64_t>groups * ATLAS_GROUP_SIZE
    if end == 0 or end > <uint64_t>layout.shape[0]:
        raise errors.CorruptError(f"{path}: SCHM is too short for its tables (byte {ATLAS_HEADER_SIZE})")
    out = []
    while at < end:
        memcpy(&rows, &layout[at + ATLAS_GROUP_ROWS_PER_BLOCK], 4)
        if rows == 0:
            raise errors.CorruptError(f"{path}: group.rows_per_block is 0 (byte {ATLAS_HEADER_SIZE})")
        out.append(rows)
        at += ATLAS_GROUP_SIZE
    return out


def check_block(const uint8_t[::1] chunk):
    """(first row, rows, group, raw bytes) of a DATA chunk without its padding, or None where a page is not what its hash says."""
    cdef const uint8_t *base
    cdef const uint8_t *entry
    cdef uint64_t first, hash, size = chunk.shape[0], raw_bytes = 0
    cdef uint32_t rows, offset, stored, raw
    cdef uint16_t group, pages, k
    if size < ATLAS_BLOCK_TABLE:
        return None
    base = &chunk[0]
    memcpy(&first, base + ATLAS_BLOCK_FIRST_ROW, 8)
    memcpy(&rows, base + ATLAS_BLOCK_ROWS, 4)
    memcpy(&group, base + ATLAS_BLOCK_GROUP, 2)
    memcpy(&pages, base + ATLAS_BLOCK_PAGES, 2)
    if size < ATLAS_BLOCK_TABLE + <uint64_t>pages * ATLAS_PAGE_SIZE:
        return None
    for k in range(pages):
        entry = base + ATLAS_BLOCK_TABLE + <size_t>k * ATLAS_PAGE_SIZE
        memcpy(&offset, entry + ATLAS_PAGE_OFFSET, 4)
        memcpy(&stored, entry + ATLAS_PAGE_STORED, 4)
        memcpy(&raw, entry + ATLAS_PAGE_RAW, 4)
        memcpy(&hash, entry + ATLAS_PAGE_HASH, 8)
        raw_bytes += raw
        if <uint64_t>offset + stored > size or raw_bytes > ATLAS_MAX_PAGE or atlas_hash64(base + offset, stored, 0) != hash:
            return None
    return first, rows, group, raw_bytes
