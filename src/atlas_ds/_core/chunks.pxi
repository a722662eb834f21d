# The bytes of chunks, header and trailer.

def header_bytes(uint64_t nonce):
    cdef uint8_t out[64]
    atlas_header_write(out, nonce)
    return PyBytes_FromStringAndSize(<char *>out, 64)


def seal_chunk(bytes kind, bytes body, uint64_t nonce, uint64_t offset):
    """A whole chunk whose hash covers all of its body, padded to 64 bytes; and its hash."""
    cdef size_t size = ATLAS_CHUNK_BODY + len(body)
    cdef bytearray out = bytearray((size + 63) & ~<size_t>63)
    cdef uint8_t *p = <uint8_t *><char *>out
    cdef uint64_t hash
    memcpy(p + ATLAS_CHUNK_BODY, <char *>body, len(body))
    hash = atlas_chunk_seal(p, kind, len(body), <uint32_t>len(body), nonce, offset)
    return bytes(out), hash


def layout_bytes(list leaves, list rows_per_block, bytes schema_json):
    """The body of SCHM. leaves: (id, kind, group, dictionary, flags, width)."""
    cdef atlas_leaf leaf
    cdef uint8_t out[16]
    parts = [len(leaves).to_bytes(4, "little"), len(rows_per_block).to_bytes(4, "little"), len(schema_json).to_bytes(4, "little"), bytes(4)]
    for leaf.id, leaf.kind, leaf.group, leaf.dictionary, leaf.flags, leaf.width in leaves:
        atlas_leaf_write(out, &leaf)
        parts.append(PyBytes_FromStringAndSize(<char *>out, 16))
    for rows in rows_per_block:
        parts.append(int(rows).to_bytes(4, "little") + bytes(4))
    parts.append(schema_json)
    return b"".join(parts)


def footer_bytes(bytes header, uint64_t rows, uint64_t raw_bytes, bytes digest, bytes layout, list dictionaries, list index, bytes stats):
    """The body of FOOT. dictionaries: (offset, length, digest); index: (offset, bytes, raw_bytes, hash), group after group."""
    cdef atlas_shard facts
    cdef uint8_t fixed[128]
    cdef uint8_t entry[24]
    cdef bytearray table = bytearray(24 * len(index))
    cdef uint8_t *p = <uint8_t *><char *>table
    memset(&facts, 0, sizeof(facts))
    facts.rows, facts.raw_bytes, facts.layout_bytes = rows, raw_bytes, len(layout)
    facts.dictionary_count, facts.block_count, facts.stats_bytes = len(dictionaries), len(index), len(stats)
    atlas_footer_write(fixed, <const uint8_t *><char *>header, &facts, <const uint8_t *><char *>digest)
    for offset, size, raw, hash in index:
        atlas_index_write(p, offset, size, raw, hash)
        p += 24
    parts = [PyBytes_FromStringAndSize(<char *>fixed, 128), layout, bytes((8 - len(layout) % 8) % 8)]
    for offset, length, key in dictionaries:
        parts.append(int(offset).to_bytes(8, "little") + int(length).to_bytes(4, "little") + bytes(4) + key)
    parts += [bytes(table), stats]
    return b"".join(parts)


def trailer_bytes(uint64_t footer_offset, uint64_t body_bytes, uint64_t rows, uint64_t nonce, uint64_t footer_hash):
    cdef uint8_t out[64]
    atlas_trailer_write(out, footer_offset, ATLAS_CHUNK_BODY + body_bytes, rows, nonce, footer_hash)
    return PyBytes_FromStringAndSize(<char *>out, 64)
