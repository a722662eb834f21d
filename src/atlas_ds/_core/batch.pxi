# Columns of many rows at once.

cdef extern from *:
    """
    #if defined(__GLIBC__)
    #include <malloc.h>
    #endif
    /* Lets the C library keep freed memory. Out of the box it gives the top of the heap back whenever
     * 128 KiB of it are free, so that a loop over batches of large values gets each page anew from the
     * kernel: 6 times slower. Freeing one block of nearly 32 MiB raises that threshold, as any program
     * that uses such arrays has done; the block is never touched. */
    static void keep_freed_memory(void) {
    #if defined(__GLIBC__)
        static int done;
        if (__atomic_exchange_n(&done, 1, __ATOMIC_RELAXED) != 0) return;
        void *volatile block = malloc((32u << 20) - 65536);
        free(block);
    #endif
    }
    """
    void keep_freed_memory() nogil

cdef size_t LET_OTHERS_RUN = 256 << 10  # bytes to copy, from which letting the GIL go is worth it


cdef void copy_views(char **to, const atlas_view *views, size_t count) noexcept nogil:
    cdef size_t i
    for i in range(count):
        if to[i] != NULL:
            memcpy(to[i], views[i].data, views[i].size)


@cython.final
cdef class Batch:
    """One batch being read: first all fixed leaves in one call, then all variable leaves in one
    call."""
    cdef ShardSet shard_set
    cdef Projection projection
    cdef cnp.ndarray rows
    cdef size_t count
    cdef object out
    cdef bint alone
    cdef list arrays      # of each leaf: the gathered array of a fixed leaf, else None
    cdef list nulls       # of each leaf: uint8 array, else None
    cdef list place       # of each leaf: its run in the views of variable leaves
    cdef Context context

    def __cinit__(self, ShardSet shard_set, Projection projection, cnp.ndarray rows, out, bint alone):
        self.shard_set = shard_set
        self.projection = projection
        self.rows = rows
        self.count = rows.shape[0]
        self.out = out
        self.alone = alone
        self.arrays = [None] * projection.leaf_count
        self.nulls = [None] * projection.leaf_count
        self.place = [-1] * projection.leaf_count

    def read(self):
        cdef Context context = self.shard_set.acquire()
        self.context = context
        try:
            order = self.shard_set.order_of(self.rows)
            self.allocate(self.projection.root.children, "")
            self.gather(data_or_null(order))
            self.views(data_or_null(order))
            return self.whole(self.projection.root)
        finally:
            context.trim()
            self.shard_set.release(context)

    cdef int allocate(self, list nodes, str prefix) except -1:
        cdef Node node
        cdef cnp.npy_intp shape[33]
        cdef int i
        for node in nodes:
            path = prefix + node.name if self.out is not None else ""
            if node.kind == K_STRUCT:
                if node.first_leaf >= 0:
                    self.arrays[node.first_leaf] = np.empty(self.count, np.bool_)
                self.allocate(node.children, path + ".")
                continue
            if node.kind == K_TENSOR and node.ndim > 1:
                self.arrays[node.first_leaf + 1] = np.empty((self.count, node.ndim), np.uint32)
                if node.nullable:
                    self.nulls[node.first_leaf + 1] = np.empty(self.count, np.uint8)
            if node.kind >= K_STR and node.kind != K_ARRAY:
                continue
            shape[0] = self.count
            for i in range(node.ndim):
                shape[i + 1] = node.shape[i]
            given = self.out.get(path) if self.out is not None else None
            if given is not None:
                self.arrays[node.first_leaf] = check_out(
                    given, path, tuple([shape[i] for i in range(node.ndim + 1)]), node)
            else:
                self.arrays[node.first_leaf] = new_array(node.ndim + 1, shape, node.typenum)
            if node.nullable:
                self.nulls[node.first_leaf] = np.empty(self.count, np.uint8)
        return 0

    cdef int gather(self, const int64_t *order) except -1:
        cdef atlas_column stack[16]
        cdef atlas_column *columns = stack
        cdef atlas_error error
        cdef int l, status
        cdef size_t used = 0
        cdef cnp.ndarray target
        cdef const int64_t *rows = <const int64_t *>cnp.PyArray_DATA(self.rows)
        if self.projection.leaf_count > 16:
            columns = <atlas_column *>PyMem_RawMalloc(self.projection.leaf_count * sizeof(atlas_column))
            if columns == NULL:
                raise MemoryError
        try:
            for l in range(self.projection.leaf_count):
                if self.arrays[l] is None:
                    continue
                target = <cnp.ndarray>self.arrays[l]
                columns[used].leaf = self.projection.leaves[l]
                columns[used].out = <uint8_t *>cnp.PyArray_DATA(target)
                columns[used].stride = <uint64_t>(cnp.PyArray_NBYTES(target)) // self.count if self.count else 0
                columns[used].nulls = NULL
                if self.nulls[l] is not None:
                    columns[used].nulls = <uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>self.nulls[l])
                used += 1
            if used == 0 or self.count == 0:
                return 0
            error.shard = 0
            while True:
                self.context.c.used = 0
                with nogil:
                    status = atlas_gather(
                        &self.context.c, &self.shard_set.c, rows, self.count, order, columns, used, &error)
                if self.shard_set.succeeded(self.context, status, &error):
                    return 0
        finally:
            if columns != stack:
                PyMem_RawFree(columns)

    cdef int views(self, const int64_t *order) except -1:
        cdef int l
        cdef size_t used = 0
        cdef const int64_t *rows
        cdef uint32_t *wanted = <uint32_t *>PyMem_RawMalloc(4 * self.projection.leaf_count + 4)
        if wanted == NULL:
            raise MemoryError
        try:
            for l in range(self.projection.leaf_count):
                if self.arrays[l] is None:
                    self.place[l] = used
                    wanted[used] = self.projection.leaves[l]
                    used += 1
            if used and self.count:
                rows = <const int64_t *>cnp.PyArray_DATA(self.rows)
                self.shard_set.read_views(self.context, wanted, used, rows, self.count, order, self.alone)
        finally:
            PyMem_RawFree(wanted)
        return 0

    cdef object damage(self, object cause, size_t i):
        """The error of the value in row i of the batch."""
        cdef int64_t row = (<const int64_t *>cnp.PyArray_DATA(self.rows))[i]
        cdef size_t k = self.shard_set.locate(row)
        return damaged_value(cause, self.shard_set.where(k), row - self.shard_set.c.starts[k])

    cdef atlas_view *run(self, int leaf):
        return self.context.views + <size_t>self.place[leaf] * self.count

    cdef object whole(self, Node node):
        cdef Node child
        if node.kind == K_VALUE:
            return self.column(<Node>node.children[0])
        if node.kind == K_TUPLE:
            return tuple([self.column(<Node>child) for child in node.children])
        if node.kind == K_LIST:
            return [self.column(<Node>child) for child in node.children]
        out = {}
        for child in node.children:
            out[child.name] = self.column(child)
        return out

    cdef object column(self, Node node):
        cdef atlas_view *views
        cdef const int64_t *numbers
        cdef Py_ssize_t bad
        cdef size_t i
        cdef list out
        if node.kind == K_STRUCT:
            columns = self.whole(node)
            if node.first_leaf >= 0:
                return _nulls.present(columns, self.arrays[node.first_leaf])
            return columns
        if node.kind < K_STR or node.kind == K_ARRAY:
            array = self.arrays[node.first_leaf]
            if node.bfloat16:
                array = widen_bfloat16(array)
            if node.kind == K_CLASS:
                numbers = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>array)
                bad = without_class(node, numbers, self.count)
                if bad >= 0:
                    raise self.damage(class_error(node, numbers + bad), bad)
            if node.kind == K_TIME or node.kind == K_DAY:
                return _times.times_of(array, node.field.type, self.nulls[node.first_leaf])
            if node.nullable:
                return _nulls.masked(array, self.nulls[node.first_leaf])
            return array
        views = self.run(node.first_leaf)
        if node.kind == K_TENSOR:
            return self.ragged(node, views)
        out = self.copies(views) if node.kind == K_BYTES or node.kind == K_MEDIA else [None] * self.count
        if node.kind == K_BYTES:
            return out
        i = 0
        try:
            while i < self.count:
                if views[i].data != NULL:
                    if node.kind == K_STR:
                        out[i] = text_from(views[i].data, views[i].size)
                    else:
                        out[i] = self.variable(node, views, i, out[i])
                i += 1
        except (UnicodeDecodeError, errors.CorruptError, errors.LimitError, errors.UnsupportedError) as cause:
            raise self.damage(cause, i) from cause
        return out

    cdef list copies(self, const atlas_view *views):
        """The bytes of each view, None where it is null. Other threads run while much is copied."""
        cdef list out = [None] * self.count
        cdef char **to = <char **>PyMem_RawMalloc((self.count + 1) * sizeof(char *))
        cdef size_t i, total = 0
        if to == NULL:
            raise MemoryError
        try:
            for i in range(self.count):
                to[i] = NULL
                if views[i].data != NULL:
                    value = PyBytes_FromStringAndSize(NULL, views[i].size)
                    to[i] = PyBytes_AS_STRING(value)
                    out[i] = value
                    total += views[i].size
            if total > LET_OTHERS_RUN:
                keep_freed_memory()
                with nogil:
                    copy_views(to, views, self.count)
            else:
                copy_views(to, views, self.count)
        finally:
            PyMem_RawFree(to)
        return out

    cdef object variable(self, Node node, atlas_view *views, size_t i, object data):
        """An object, or media whose bytes are data."""
        cdef atlas_view *kind
        if node.kind == K_OBJECT:
            # nothing stands where the struct around it is absent
            if views[i].size == 0:
                return None
            return _objects.unpack(PyBytes_FromStringAndSize(<const char *>views[i].data, views[i].size))
        if node.media_type is not None:
            return _media.Media(data, node.media_type)
        kind = self.run(node.first_leaf + 1)
        return _media.Media(data, text_from(kind[i].data, kind[i].size))

    cdef object ragged(self, Node node, atlas_view *views):
        cdef size_t i, total = 0
        cdef cnp.ndarray offsets = np.empty(self.count + 1, np.int64)
        cdef int64_t *o = <int64_t *>cnp.PyArray_DATA(offsets)
        cdef cnp.ndarray values
        cdef uint8_t *p
        for i in range(self.count):
            o[i] = total // node.item
            if views[i].size % node.item:
                cause = errors.CorruptError(f"column {node.name!r}: the bytes of a tensor are not a multiple of its item size")
                raise self.damage(cause, i)
            total += views[i].size
        o[self.count] = total // node.item
        values = np.empty(total // node.item, node.dtype)
        p = <uint8_t *>cnp.PyArray_DATA(values)
        for i in range(self.count):
            memcpy(p, views[i].data, views[i].size)
            p += views[i].size
        shapes = None
        if node.ndim > 1 or node.ndim == 0:
            shapes = self.arrays[node.first_leaf + 1] if node.ndim else [()] * self.count
        elif node.ndim < 0:
            kind = self.run(node.first_leaf + 1)
            shapes = []
            for i in range(self.count):
                if kind[i].size % 4:
                    raise self.damage(errors.CorruptError(f"column {node.name!r}: the shape of a tensor is wrong"), i)
                lengths = PyBytes_FromStringAndSize(<char *>kind[i].data, kind[i].size)
                shapes.append(tuple(np.frombuffer(lengths, np.uint32).tolist()))
        mask = np.array([views[i].data == NULL for i in range(self.count)], np.bool_) if node.nullable else None
        return _ragged.Ragged(widen_bfloat16(values) if node.bfloat16 else values, offsets, shapes, mask)


cdef object check_out(object given, str path, tuple shape, Node node):
    fits = isinstance(given, np.ndarray) and given.shape == shape and given.dtype == node.dtype and not node.bfloat16
    if not fits or not (given.flags.c_contiguous and given.flags.aligned and given.flags.writeable):
        raise ValueError(
            f"out[{path!r}] must be a writable, aligned, C-contiguous array of shape {shape} and dtype {node.dtype}; "
            f"got {_describe.describe(given)}"
        )
    return given
