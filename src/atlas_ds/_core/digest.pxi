# The content digest of a shard being written.

cdef struct DigestPiece:
    uint32_t leaf
    bint nullable
    Buffer *b


cdef bint digest_add(atlas_digest *digest, const DigestPiece *piece) noexcept nogil:
    """A column of a block; False if there is no memory."""
    cdef Buffer *b = piece.b
    cdef uint32_t *lengths
    cdef uint8_t *ones
    cdef size_t r
    atlas_digest_values(digest, piece.leaf, b.values, b.size)
    if b.offsets != NULL:
        lengths = <uint32_t *>PyMem_RawMalloc(4 * b.rows)
        if lengths == NULL:
            return False
        for r in range(b.rows):
            lengths[r] = <uint32_t>0xffffffff if b.nulls and b.valid[r] == 0 else b.offsets[r + 1] - b.offsets[r]
        atlas_digest_lengths(digest, piece.leaf, lengths, 4 * b.rows)
        PyMem_RawFree(lengths)
    elif piece.nullable and b.valid != NULL:
        atlas_digest_lengths(digest, piece.leaf, b.valid, b.rows)
    elif piece.nullable:
        ones = <uint8_t *>PyMem_RawMalloc(b.rows)
        if ones == NULL:
            return False
        memset(ones, 1, b.rows)
        atlas_digest_lengths(digest, piece.leaf, ones, b.rows)
        PyMem_RawFree(ones)
    return True


@cython.final
cdef class Digest:
    """The content digest of a shard being written; blocks of a group must come in order."""
    cdef atlas_digest *c
    cdef list positions  # of each group: positions of its leaves
    cdef list nullable

    def __cinit__(self, list groups, list nullable):
        cdef atlas_error error
        error.status = ATLAS_OK
        self.positions = groups
        self.nullable = nullable
        atlas_digest_open(<uint32_t>len(nullable), &self.c, &error)
        check(&error, "digest")

    def __dealloc__(self):
        atlas_digest_close(self.c)

    def add(self, list blocks):
        cdef Block block
        cdef size_t i, k, count = 0
        cdef DigestPiece *pieces
        for block in blocks:
            count += block.count
        pieces = <DigestPiece *>PyMem_RawCalloc(count + 1, sizeof(DigestPiece))
        if pieces == NULL:
            raise MemoryError
        try:
            k = 0
            for block in blocks:
                for i in range(block.count):
                    pieces[k].leaf = self.positions[block.group][i]
                    pieces[k].nullable = self.nullable[pieces[k].leaf]
                    pieces[k].b = &block.buffers[i]
                    k += 1
            with nogil:
                for k in range(count):
                    if not digest_add(self.c, &pieces[k]):
                        break
                else:
                    k = count
        finally:
            PyMem_RawFree(pieces)
        if k < count:
            raise MemoryError

    def finish(self):
        cdef uint8_t out[16]
        atlas_digest_finish(self.c, out)
        return PyBytes_FromStringAndSize(<char *>out, 16)
