# One shard over a span of memory, and its verification.

# A process digests each distinct dictionary once, however many shards carry a copy of it.
cdef object _dictionaries = weakref.WeakValueDictionary()


cdef extern from *:
    """
    #define set_present(place, states) __atomic_store_n((place), (states), __ATOMIC_SEQ_CST)
    """
    void set_present(uint8_t **place, uint8_t *states) nogil


@cython.final
cdef class Shard:
    """One opened shard over a span of memory that holds all of it, or will (see `fill_by`).

    span: any object with a buffer; it is held for as long as anything points into it. whole: the
    first bytes are there too, so that the header can be checked. cut: a repairer's view, see
    atlas.h. bind: False where the bytes of dictionaries may be missing: bind_dictionaries follows.
    holes: set by fill_by; None: all bytes are there.
    """
    cdef atlas_shard c
    cdef Py_buffer buffer
    cdef bint has_buffer
    cdef readonly object span
    cdef readonly str path
    cdef readonly object holes
    cdef list present
    cdef list dictionaries
    cdef object __weakref__

    def __cinit__(self, span, str path, *, bint whole=True, bint cut=False, bint bind=True):
        cdef atlas_error error
        cdef const uint8_t *base
        error.status = ATLAS_OK
        self.path = path
        self.present = []
        PyObject_GetBuffer(span, &self.buffer, PyBUF_SIMPLE)
        self.has_buffer = True
        self.span = span
        base = <const uint8_t *>self.buffer.buf
        if whole:
            atlas_header_check(base, self.buffer.len, &error)
            check(&error, path)
        atlas_shard_open(base, self.buffer.len, &self.c, &error)
        check(&error, path)
        self.c.cut = cut
        self._bind()
        if bind:
            self.bind_dictionaries()

    cdef int _bind(self) except -1:
        cdef atlas_error error
        cdef atlas_leaf *leaves = <atlas_leaf *>PyMem_RawCalloc(self.c.leaf_count, sizeof(atlas_leaf))
        cdef uint64_t *pages = <uint64_t *>PyMem_RawCalloc(self.c.page_count + 1, 8)
        cdef uint8_t *heads = <uint8_t *>PyMem_RawCalloc(self.c.block_count + 1, 1)
        cdef const atlas_dict **dicts
        dicts = <const atlas_dict **>PyMem_RawCalloc(self.c.dictionary_count + 1, sizeof(void *))
        error.status = ATLAS_OK
        self.c.leaves, self.c.pages, self.c.heads, self.c.dicts = leaves, pages, heads, dicts
        if leaves == NULL or pages == NULL or heads == NULL or dicts == NULL:
            raise MemoryError
        atlas_shard_bind(&self.c, leaves, pages, heads, dicts, &error)
        check(&error, self.path)
        self.dictionaries = [_dictionaries.get(self._digest(k)) for k in range(1, self.c.dictionary_count + 1)]
        return 0

    cdef bytes _digest(self, uint32_t k):
        cdef const uint8_t *entry = self.c.dictionaries + (k - 1) * ATLAS_DICTIONARY_SIZE
        return PyBytes_FromStringAndSize(<char *>entry + ATLAS_DICTIONARY_DIGEST, 16)

    def unknown_dictionaries(self):
        """(number, offset, bytes) of the chunks of dictionaries that this process has not read yet;
        numbers begin at 0."""
        cdef uint64_t offset
        cdef uint32_t length, k
        cdef const uint8_t *entry
        out = []
        for k in range(self.c.dictionary_count):
            if self.dictionaries[k] is None:
                entry = self.c.dictionaries + k * ATLAS_DICTIONARY_SIZE
                memcpy(&offset, entry + ATLAS_DICTIONARY_OFFSET, 8)
                memcpy(&length, entry + ATLAS_DICTIONARY_BYTES, 4)
                out.append((k, offset, ATLAS_CHUNK_BODY + length))
        return out

    def bind_dictionaries(self):
        """Reads the dictionaries that this process has not read yet."""
        cdef const atlas_dict **dicts = <const atlas_dict **>self.c.dicts
        cdef uint32_t k
        for k in range(1, self.c.dictionary_count + 1):
            if self.dictionaries[k - 1] is None:
                self.dictionaries[k - 1] = self._dictionary(k)
            dicts[k - 1] = (<Dictionary>self.dictionaries[k - 1]).c

    cdef object _dictionary(self, uint32_t k):
        cdef const uint8_t *data
        cdef size_t size
        cdef atlas_error error
        error.status = ATLAS_OK
        atlas_shard_dict(&self.c, k, &data, &size, &error)
        check(&error, self.path)
        found = Dictionary(PyBytes_FromStringAndSize(<char *>data, size))
        _dictionaries[self._digest(k)] = found
        return found

    def fill_by(self, holes, States present):
        """From now on blocks are there only if `present` says so. holes: whom to ask for them. It may
        be called again: readers may still look at the states of before, which are kept."""
        if present.count < self.c.block_count:
            raise ValueError(f"{self.path}: {present.count} states for {self.c.block_count} blocks")
        self.holes = holes
        self.present.append(present)
        set_present(&self.c.present, present.at)

    def __dealloc__(self):
        PyMem_RawFree(self.c.leaves)
        PyMem_RawFree(self.c.pages)
        PyMem_RawFree(self.c.heads)
        PyMem_RawFree(<void *>self.c.dicts)
        if self.has_buffer:
            PyBuffer_Release(&self.buffer)

    cdef bint has_page_coded(self):
        cdef uint32_t i
        for i in range(self.c.leaf_count):
            if self.c.leaves[i].flags & ATLAS_LEAF_PAGE_CODED:
                return True
        return False

    @property
    def rows(self):
        return self.c.rows

    @property
    def size(self):
        """Bytes of the file."""
        return self.c.bytes

    @property
    def raw_bytes(self):
        return self.c.raw_bytes

    @property
    def root(self):
        return self.c.root

    @property
    def nonce(self):
        return self.c.nonce

    @property
    def footer_offset(self):
        return self.c.footer_offset

    @property
    def schema_json(self):
        return PyBytes_FromStringAndSize(<char *>self.c.schema, self.c.schema_bytes)

    @property
    def stats_json(self):
        return PyBytes_FromStringAndSize(<char *>self.c.stats, self.c.stats_bytes)

    @property
    def digest(self):
        """Content digest: 16 bytes."""
        return PyBytes_FromStringAndSize(<char *>self.c.footer + ATLAS_FOOT_DIGEST, 16)

    @property
    def dictionary_bytes(self):
        """The shard's dictionaries, in order."""
        return [dictionary.data for dictionary in self.dictionaries]

    @property
    def leaves(self):
        """The leaf table."""
        cdef uint32_t i
        cdef atlas_leaf *leaf
        out = []
        for i in range(self.c.leaf_count):
            leaf = &self.c.leaves[i]
            out.append(LeafEntry(
                id=leaf.id,
                kind=leaf.kind,
                width=leaf.width,
                group=leaf.group,
                dictionary=leaf.dictionary,
                flags=leaf.flags,
                rows_per_block=leaf.rows_per_block,
                first_block=leaf.first_block,
            ))
        return out

    def blocks(self):
        """The block index as a structured array: offset, bytes, raw_bytes, hash; read-only, in
        place."""
        kind = np.dtype([("offset", "<u8"), ("bytes", "<u4"), ("raw_bytes", "<u4"), ("hash", "<u8")])
        if self.c.block_count == 0:
            return np.empty(0, kind)
        offset = self.c.index - <const uint8_t *>self.buffer.buf
        return np.frombuffer(self.span, kind, self.c.block_count, offset)

    def forget(self, uint32_t block):
        """Forgets what is known of a block (its position in the index): its bytes are replaced."""
        if block < self.c.block_count:
            atlas_shard_forget(&self.c, block)

    def check_block(self, uint32_t block):
        """Whether the hashes of a block (its position in the index) are right; those that are need
        not be checked again. The GIL is not held."""
        cdef atlas_error error
        cdef int status
        with nogil:
            status = atlas_block_check(&self.c, block, &error)
        return status == ATLAS_OK

    def verify_steps(self):
        """Verifies every byte; yields the offset reached after each chunk, and raises at the first
        damage."""
        cdef Context context = Context()
        cdef atlas_digest *digest = NULL
        cdef atlas_error error
        cdef uint64_t offset = ATLAS_HEADER_SIZE, next_offset = 0
        cdef uint32_t blocks = 0, dicts = 0
        cdef int status
        error.status = ATLAS_OK
        error.shard = 0
        context.c.verify = ATLAS_VERIFY_ALWAYS
        atlas_digest_open(self.c.leaf_count, &digest, &error)
        check(&error, self.path)
        try:
            while offset < self.c.footer_offset:
                context.c.used = 0
                with nogil:
                    status = atlas_verify_chunk(
                        &context.c, &self.c, offset, digest, &blocks, &dicts, &next_offset, &error)
                if status == ATLAS_MEMORY and context.c.need > context.c.arena_bytes:
                    context.grow()  # nothing was counted or digested: the same chunk again
                    error.status = ATLAS_OK
                    continue
                if status != ATLAS_OK:
                    check(&error, self.path)
                offset = next_offset
                yield offset
            atlas_verify_rest(&self.c, digest, blocks, dicts, &error)
            check(&error, self.path)
        finally:
            atlas_digest_close(digest)
