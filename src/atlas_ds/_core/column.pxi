# The values of a leaf that wait to be written.

cdef struct Buffer:
    uint8_t *values
    uint32_t *offsets   # variable: rows + 1
    uint8_t *valid      # NULL until the first null
    size_t size         # bytes of values
    size_t capacity     # of values
    size_t rows
    size_t row_capacity # of offsets and valid
    size_t nulls


cdef int buffer_reserve(Buffer *b, size_t more) except -1:
    cdef size_t want
    cdef void *p
    if b.size + more <= b.capacity:
        return 0
    if b.size + more > 0xffffffff:
        raise errors.LimitError("a block would hold more than 4 GiB")
    want = max(b.size + more, b.capacity + b.capacity // 2, 4096)
    p = PyMem_RawRealloc(b.values, want)
    if p == NULL:
        raise MemoryError
    b.values = <uint8_t *>p
    b.capacity = want
    return 0


cdef int buffer_rows(Buffer *b, bint variable, size_t more) except -1:
    """Room in offsets and valid for more rows."""
    cdef size_t want
    cdef void *p
    if b.rows + more <= b.row_capacity and (not variable or b.offsets != NULL):
        return 0
    want = max(b.rows + more, b.row_capacity + b.row_capacity // 2, 64)
    if variable:
        p = PyMem_RawRealloc(b.offsets, 4 * (want + 1))
        if p == NULL:
            raise MemoryError
        b.offsets = <uint32_t *>p
        b.offsets[0] = 0
    if b.valid != NULL:
        p = PyMem_RawRealloc(b.valid, want)
        if p == NULL:
            raise MemoryError
        b.valid = <uint8_t *>p
    b.row_capacity = want
    return 0


cdef bint are_bools(const uint8_t *data, size_t size) noexcept nogil:
    """Whether all bytes are 0 or 1: NumPy takes any byte but 0 for true, a reader of Atlas does
    not."""
    cdef size_t i
    cdef uint8_t any_bits = 0
    for i in range(size):
        any_bits |= data[i]
    return any_bits <= 1


cdef void buffer_free(Buffer *b) noexcept:
    PyMem_RawFree(b.values)
    PyMem_RawFree(b.offsets)
    PyMem_RawFree(b.valid)
    memset(b, 0, sizeof(Buffer))


@cython.final
cdef class Column:
    """The rows of one leaf that wait to be written."""
    cdef Buffer b
    cdef bint variable
    cdef uint32_t width
    cdef readonly object leaf

    def __cinit__(self, leaf):
        self.leaf = leaf
        self.variable = not leaf.fixed
        self.width = leaf.width

    def __dealloc__(self):
        buffer_free(&self.b)

    cdef int put(self, const void *data, size_t size) except -1:
        """One value; for a fixed leaf size is its width."""
        if self.b.size + size > self.b.capacity:
            buffer_reserve(&self.b, size)
        if size:
            memcpy(self.b.values + self.b.size, data, size)
        return self.end_row(size, 1)

    cdef inline int end_row(self, size_t size, uint8_t valid) except -1:
        if self.variable or self.b.valid != NULL:
            if self.b.rows + 1 > self.b.row_capacity or self.b.offsets == NULL:
                buffer_rows(&self.b, self.variable, 1)
        self.b.size += size
        self.b.rows += 1
        if self.variable:
            self.b.offsets[self.b.rows] = <uint32_t>self.b.size
        if self.b.valid != NULL:
            self.b.valid[self.b.rows - 1] = valid
        return 0

    cdef int put_zero(self, uint8_t valid) except -1:
        """A null (valid 0), or an empty or zero value."""
        cdef void *p
        if not valid:
            if self.b.valid == NULL:
                self.b.row_capacity = max(self.b.row_capacity, self.b.rows + 64)
                if self.variable:
                    p = PyMem_RawRealloc(self.b.offsets, 4 * (self.b.row_capacity + 1))
                    if p == NULL:
                        raise MemoryError
                    self.b.offsets = <uint32_t *>p
                    self.b.offsets[0] = 0
                self.b.valid = <uint8_t *>PyMem_RawMalloc(self.b.row_capacity)
                if self.b.valid == NULL:
                    raise MemoryError
                memset(self.b.valid, 1, self.b.rows)
            self.b.nulls += 1
        if not self.variable:
            buffer_reserve(&self.b, self.width)
            memset(self.b.values + self.b.size, 0, self.width)
        return self.end_row(0 if self.variable else self.width, valid)

    cdef int put_many(self, const uint8_t *data, size_t rows) except -1:
        """Many values of a fixed leaf."""
        buffer_reserve(&self.b, rows * self.width)
        memcpy(self.b.values + self.b.size, data, rows * self.width)
        self.b.size += rows * self.width
        if self.b.valid != NULL:
            buffer_rows(&self.b, False, rows)
            memset(self.b.valid + self.b.rows, 1, rows)
        self.b.rows += rows
        return 0

    cdef int put_masked(self, const uint8_t *data, const uint8_t *valid, size_t rows) except -1:
        """Many values of a fixed leaf, null where valid is 0."""
        cdef size_t i
        for i in range(rows):
            if valid[i]:
                self.put(data + i * self.width, self.width)
            else:
                self.put_zero(0)
        return 0

    cdef size_t page_bytes(self):
        """Bytes of a page of all these rows, as FORMAT.md counts raw: validity, offsets, values."""
        cdef size_t validity = ((self.b.rows + 7) // 8 + 63) // 64 * 64 if self.b.nulls else 0
        cdef size_t offsets = (4 * (self.b.rows + 1) + 63) // 64 * 64 if self.variable else 0
        return validity + offsets + self.b.size

    cdef int truncate(self, size_t rows) except -1:
        cdef size_t i
        if self.b.rows <= rows:
            return 0
        if self.b.valid != NULL:
            for i in range(rows, self.b.rows):
                self.b.nulls -= self.b.valid[i] == 0
        self.b.size = self.b.offsets[rows] if self.variable else rows * self.width
        self.b.rows = rows
        return 0

    cdef int copy_out(self, Buffer *to, size_t start, size_t stop) except -1:
        """Copies rows start .. stop into an empty buffer."""
        cdef size_t i, rows = stop - start
        cdef size_t at = self.b.offsets[start] if self.variable else start * self.width
        cdef size_t end = self.b.offsets[stop] if self.variable else stop * self.width
        buffer_reserve(to, end - at)
        if self.b.nulls:
            to.valid = <uint8_t *>PyMem_RawMalloc(rows + 1)
            if to.valid == NULL:
                raise MemoryError
        if self.variable:
            buffer_rows(to, True, rows)
        if end > at:
            memcpy(to.values, self.b.values + at, end - at)
        to.size = end - at
        to.rows = rows
        if self.variable:
            for i in range(rows + 1):
                to.offsets[i] = self.b.offsets[start + i] - <uint32_t>at
        if self.b.nulls:
            memcpy(to.valid, self.b.valid + start, rows)
            for i in range(rows):
                to.nulls += to.valid[i] == 0
        return 0

    cdef int drop(self, size_t rows) except -1:
        """Forgets the first rows and moves the others to the front."""
        cdef size_t i, left = self.b.rows - rows
        cdef size_t at = self.b.offsets[rows] if self.variable else rows * self.width
        memmove(self.b.values, self.b.values + at, self.b.size - at)
        if self.variable:
            for i in range(left + 1):
                self.b.offsets[i] = self.b.offsets[rows + i] - <uint32_t>at
        if self.b.valid != NULL:
            for i in range(rows):
                self.b.nulls -= self.b.valid[i] == 0
            memmove(self.b.valid, self.b.valid + rows, left)
        self.b.size -= at
        self.b.rows = left
        return 0

    cdef int hand_over(self, Buffer *to) except -1:
        """Hands over all rows and starts empty, with room for as many bytes."""
        cdef size_t room = self.b.size + self.b.size // 8
        to[0] = self.b
        memset(&self.b, 0, sizeof(Buffer))
        buffer_reserve(&self.b, room)
        return 0

    @property
    def rows(self):
        return self.b.rows

    @property
    def size(self):
        return self.b.size

    def sample(self, size_t most):
        """(values, lengths) of the first most rows: bytes and a uint32 array, for planning and
        training."""
        cdef size_t rows = min(most, self.b.rows), i
        cdef cnp.ndarray lengths = np.empty(rows, np.uint32)
        cdef uint32_t *p = <uint32_t *>cnp.PyArray_DATA(lengths)
        for i in range(rows):
            p[i] = self.b.offsets[i + 1] - self.b.offsets[i] if self.variable else self.width
        end = (self.b.offsets[rows] if self.variable else rows * self.width) if rows else 0
        return PyBytes_FromStringAndSize(<char *>self.b.values, end), lengths

    def nulls(self):
        """Which of the rows are null: a bool array."""
        if self.b.nulls == 0:
            return np.zeros(self.b.rows, np.bool_)
        return np.frombuffer(PyBytes_FromStringAndSize(<char *>self.b.valid, self.b.rows), np.uint8) == 0
