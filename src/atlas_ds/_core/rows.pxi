# The base of every dataset and view.

cdef class Rows:
    """A sequence of rows of a shard_set: all of them, every step-th, or those of an index array. The base of every dataset and view.

    ds[i] with an int is answered here; any other key goes to the method _select of the subclass, and where convert is not None
    each example passes through it; the method _failed(error, row) is told of an error in that.
    """
    cdef readonly ShardSet shard_set
    cdef readonly Projection projection
    cdef readonly object convert
    cdef object indices
    cdef const int64_t *index
    cdef int64_t start, step
    cdef Py_ssize_t count

    def _bind(self, ShardSet shard_set, Projection projection, rows, convert=None):
        """rows: a range, or a one-dimensional int64 array of rows of the shard_set."""
        self.shard_set = shard_set
        self.projection = projection
        self.convert = convert
        self.count = len(rows)
        if isinstance(rows, range):
            self.start, self.step = rows.start, rows.step
            self.index = NULL
            self.indices = None
        else:
            self.indices = np.ascontiguousarray(rows, np.int64)
            self.index = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>self.indices)

    @property
    def rows(self):
        """What _bind was given: the rows of the shard_set that this sequence shows."""
        return self.indices if self.indices is not None else range(self.start, self.start + self.step * self.count, self.step)

    def __len__(self):
        return self.count

    def __getitem__(self, key):
        cdef Py_ssize_t i
        cdef int64_t row
        if PyLong_CheckExact(key):
            i = PyNumber_AsSsize_t(key, IndexError)
            if i < 0:
                i += self.count
            if i < 0 or i >= self.count:
                raise IndexError(f"row {key} is out of range for {self.count} rows")
            row = self.index[i] if self.index != NULL else self.start + self.step * i
            if self.convert is None:
                return self.shard_set.example(self.projection, row)
            example = self.shard_set.example(self.projection, row)
            try:
                return self.convert(example)
            except Exception as error:
                self._failed(error, row)
                raise
        return self._select(key)

    def rows_at(self, indices):
        """Rows of the set (int64) of what a user gives as indices; IndexError if one is out of range."""
        cdef cnp.ndarray given, out
        cdef const int64_t *p
        cdef int64_t *q
        cdef int64_t i
        cdef Py_ssize_t k, size
        if type(indices) is not np.ndarray or cnp.PyArray_TYPE(<cnp.ndarray>indices) != cnp.NPY_INT64 or cnp.PyArray_NDIM(<cnp.ndarray>indices) != 1 or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>indices):
            return self._rows_of(self._positions(indices))
        given = <cnp.ndarray>indices
        size = cnp.PyArray_DIM(given, 0)
        out = new_array(1, cnp.PyArray_DIMS(given), cnp.NPY_INT64)
        p = <const int64_t *>cnp.PyArray_DATA(given)
        q = <int64_t *>cnp.PyArray_DATA(out)
        for k in range(size):
            i = p[k] + self.count if p[k] < 0 else p[k]
            if i < 0 or i >= self.count:
                raise IndexError(f"row {p[k]} is out of range for {self.count} rows")
            q[k] = self.index[i] if self.index != NULL else self.start + self.step * i
        return out

    def _rows_of(self, cnp.ndarray at):
        """rows of the set of positions (int64, already in range)."""
        if self.indices is not None:
            return self.indices[at]
        return at * self.step + self.start if self.step != 1 or self.start != 0 else at
