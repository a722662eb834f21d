# Blocks on their way into the file, how they are stored, and what a plan tries.

cdef int set_page(atlas_page_in *page, spec) except -1:
    """What a PageSpec says of a page. The page must not outlive it: the dictionary is the
    spec's."""
    leaf, page.codec, page.cell_rows, page.whole, page.light, page.level, page.literals, number, dictionary = spec
    page.width = leaf.width
    page.leaf = leaf.id
    page.kind = ATLAS_KIND_FIXED if leaf.fixed else ATLAS_KIND_VARIABLE
    page.element = leaf.element
    page.is_signed = leaf.signed
    if dictionary is not None:
        page.dictionary = number
        page.dict = (<Dictionary?>dictionary).c
    return 0


@cython.final
cdef class PageSpecs:
    """How the leaves of a shard are stored: of each leaf its group, codec and dictionary; shared by
    the blocks of the shard."""
    cdef atlas_page_in *pages   # of all groups, group after group
    cdef readonly tuple specs     # PageSpec
    cdef readonly list first    # of each group: its first page

    def __cinit__(self, specs, list first):
        """specs: a PageSpec of each page."""
        cdef size_t i
        self.specs = tuple(specs)
        self.first = first
        self.pages = <atlas_page_in *>PyMem_RawCalloc(len(self.specs) + 1, sizeof(atlas_page_in))
        if self.pages == NULL:
            raise MemoryError
        for i in range(<size_t>len(self.specs)):
            set_page(&self.pages[i], self.specs[i])

    def __dealloc__(self):
        PyMem_RawFree(self.pages)


@cython.final
cdef class Encoder:
    """What a thread needs to encode blocks."""
    cdef atlas_encoder *c

    def __cinit__(self):
        cdef atlas_error error
        error.status = ATLAS_OK
        atlas_encoder_open(&self.c, &error)
        check(&error, "encoder")

    def __dealloc__(self):
        atlas_encoder_close(self.c)


@cython.final
cdef class Block:
    """Rows of a group on their way into the file: first columns, after encode() a chunk (a buffer,
    padded to 64 bytes)."""
    cdef Buffer *buffers
    cdef size_t count
    cdef PageSpecs plan
    cdef atlas_page_in *pages
    cdef uint8_t *out
    cdef uint64_t out_size
    cdef readonly int group
    cdef readonly uint64_t first_row
    cdef readonly uint64_t rows
    cdef readonly uint64_t size      # of the chunk, without padding
    cdef readonly uint32_t raw_bytes
    cdef readonly object failure

    cdef int prepare(self, PageSpecs plan, int group, size_t count, uint64_t rows, uint64_t first_row) except -1:
        self.plan, self.group, self.count, self.rows, self.first_row = plan, group, count, rows, first_row
        self.buffers = <Buffer *>PyMem_RawCalloc(count, sizeof(Buffer))
        self.pages = <atlas_page_in *>PyMem_RawCalloc(count, sizeof(atlas_page_in))
        if self.buffers == NULL or self.pages == NULL:
            raise MemoryError
        return 0

    def __dealloc__(self):
        cdef size_t i
        if self.buffers != NULL:
            for i in range(self.count):
                buffer_free(&self.buffers[i])
        PyMem_RawFree(self.buffers)
        PyMem_RawFree(self.pages)
        PyMem_RawFree(self.out)

    @property
    def waiting(self):
        """Bytes of values that this block holds."""
        cdef size_t i, total = 0
        for i in range(self.count):
            total += self.buffers[i].size
        return total

    cdef int begin(self) except -1:
        cdef size_t i
        memcpy(self.pages, self.plan.pages + <int>self.plan.first[self.group], self.count * sizeof(atlas_page_in))
        for i in range(self.count):
            self.pages[i].values = self.buffers[i].values
            self.pages[i].offsets = self.buffers[i].offsets
            self.pages[i].valid = self.buffers[i].valid if self.buffers[i].nulls else NULL
        return 0

    cdef void write(self, atlas_encoder *encoder, atlas_error *error) noexcept nogil:
        cdef uint64_t bound = atlas_block_bound(self.pages, <uint32_t>self.count, <uint32_t>self.rows)
        self.out = <uint8_t *>PyMem_RawMalloc(bound + 64)
        if self.out == NULL:
            return
        atlas_block_write(
            encoder,
            self.pages,
            <uint32_t>self.count,
            self.first_row,
            <uint32_t>self.rows,
            <uint16_t>self.group,
            self.out,
            bound,
            &self.size,
            &self.raw_bytes,
            error)
        if error.status == ATLAS_OK:
            self.out_size = (self.size + 63) & ~<uint64_t>63
            memset(self.out + self.size, 0, self.out_size - self.size)

    def seal(self, uint64_t nonce, uint64_t offset):
        """Writes the chunk's header for its place in the file; returns its hash."""
        cdef uint32_t head = <uint32_t>(ATLAS_BLOCK_HEAD + ATLAS_PAGE_SIZE * self.count)
        return atlas_chunk_seal(self.out, b"DATA", self.size - ATLAS_CHUNK_BODY, head, nonce, offset)

    def pages_written(self):
        """What became of each page, for the statistics."""
        cdef size_t i
        cdef atlas_page_in *page
        out = []
        for i in range(self.count):
            page = &self.pages[i]
            out.append(PageWritten(page.out_layout, page.out_codec, page.out_flags, page.out_stored, page.out_raw))
        return out

    def value_bytes(self):
        """Bytes of values of each column."""
        cdef size_t i
        return [self.buffers[i].size for i in range(self.count)]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.out, self.out_size, 1, flags)


def encode_all(list blocks, Encoder encoder):
    """Columns of blocks to chunks, with one letting go of the GIL: threads that take turns at small
    ones wait for each other most of the time."""
    cdef atlas_error error
    cdef Block block
    cdef Py_ssize_t i, count = len(blocks)
    cdef void **todo
    for block in blocks:
        block.begin()
    todo = <void **>PyMem_RawMalloc((count + 1) * sizeof(void *))
    if todo == NULL:
        raise MemoryError
    error.status = ATLAS_OK
    for i in range(count):
        todo[i] = <void *>blocks[i]
    with nogil:
        for i in range(count):
            write_block(todo[i], encoder.c, &error)
            if error.status != ATLAS_OK:
                break
    PyMem_RawFree(todo)
    check(&error, "block")
    for block in blocks:
        if block.out == NULL:
            raise MemoryError


cdef void write_block(void *block, atlas_encoder *encoder, atlas_error *error) noexcept nogil:
    (<Block>block).write(encoder, error)


def trial(Column column, size_t start, size_t stop, Encoder encoder, spec):
    """What one page made of rows start .. stop of a waiting column takes, written as a PageSpec
    says: what a plan decides by."""
    cdef atlas_page_in page
    cdef atlas_error error
    cdef uint64_t bound, size = 0
    cdef uint32_t raw = 0
    cdef uint8_t *out
    error.status = ATLAS_OK
    memset(&page, 0, sizeof(page))
    stop = min(stop, column.b.rows)
    if start >= stop:
        return Trial(0, 0, None)
    set_page(&page, spec)
    page.width, page.kind = column.width, ATLAS_KIND_VARIABLE if column.variable else ATLAS_KIND_FIXED
    page.values = column.b.values if column.variable else column.b.values + start * column.width
    page.offsets = column.b.offsets + start if column.variable else NULL
    page.valid = column.b.valid + start if column.b.nulls else NULL
    bound = atlas_block_bound(&page, 1, <uint32_t>(stop - start))
    out = <uint8_t *>PyMem_RawMalloc(bound + 64)
    if out == NULL:
        raise MemoryError
    with nogil:
        atlas_block_write(encoder.c, &page, 1, 0, <uint32_t>(stop - start), 0, out, bound, &size, &raw, &error)
    PyMem_RawFree(out)
    check(&error, "plan")
    return Trial(page.out_raw, page.out_stored, Layout(page.out_layout))
