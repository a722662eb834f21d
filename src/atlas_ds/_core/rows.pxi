# The base of every dataset and view.

cdef class Rows:
    """A sequence of rows of a shard_set: all of them, every step-th, or those of an index array.
    The base of every dataset and view.

    ds[i] with an int is answered here, without a call of Python unless convert is not None: then
    each example passes through it. What a subclass must have: _select, _positions and _failed,
    which are declared below, and it calls _bind before anything else.
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
        if self.indices is not None:
            return self.indices
        return range(self.start, self.start + self.step * self.count, self.step)

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
            was_read = False
            try:
                example = self.shard_set.example(self.projection, row)
                was_read = True
                return self.convert(example)
            except Exception as error:
                self._failed(error, row, was_read)
                raise
        return self._select(key)

    # --- what a subclass has instead of these ---

    def _select(self, key):
        """self[key] for any key that is not an int."""
        raise NotImplementedError

    def _positions(self, indices):
        """What a user gives as indices as int64 positions in 0 .. len(self) - 1; IndexError if one
        is out of range."""
        raise NotImplementedError

    def _failed(self, error, row, was_read):
        """Told of an error at a row of the shard_set where convert is not None, before it is
        raised: in convert, or (was_read False) in reading the row. It may add to the error, or
        raise another one from it."""
        raise NotImplementedError

    def rows_at(self, indices):
        """Rows of the set (int64) of what a user gives as indices; IndexError if one is out of
        range."""
        cdef cnp.ndarray given, out
        cdef const int64_t *p
        cdef int64_t *q
        cdef int64_t i
        cdef Py_ssize_t k, size
        cdef bint is_plain
        if type(indices) is not np.ndarray:
            return self._rows_of(self._positions(indices))
        given = <cnp.ndarray>indices
        is_plain = cnp.PyArray_TYPE(given) == cnp.NPY_INT64 and cnp.PyArray_NDIM(given) == 1
        if not is_plain or not cnp.PyArray_ISCARRAY_RO(given):
            return self._rows_of(self._positions(indices))
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
