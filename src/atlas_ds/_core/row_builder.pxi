# Examples into columns, and columns into blocks.

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    STATE_WAITING, STATE_BLOCK_READY, STATE_GROUP_FULL, STATE_PLANNABLE, STATE_NO_ROOM  # RowState, below
    MOST_APART = ATLAS_MAX_GROUPS - 1  # columns that make_groups gives a group of their own, at most


class RowState(IntEnum):
    """What RowBuilder.append says of the rows that wait."""

    WAITING = STATE_WAITING          # nothing is to be done
    BLOCK_READY = STATE_BLOCK_READY  # a group has the rows of a block
    GROUP_FULL = STATE_GROUP_FULL    # a group has too many bytes for its rows
    PLANNABLE = STATE_PLANNABLE      # there are enough rows to make a plan from
    NO_ROOM = STATE_NO_ROOM          # not taken: a page, or a block, would be larger than a reader takes


cdef size_t VALUE_MOST = MAX_VALUE
# of all pages of a block: the format's limit, less what the entries of all leaves take
cdef size_t BLOCK_MOST = ATLAS_MAX_PAGE - (1 << 20)
cdef size_t BLOCK_SURE = 1 << 28       # values of a block up to which it need not be counted exactly


@cython.final
cdef class RowBuilder:
    """Takes examples apart into columns. What does not fit raises SchemaError and leaves no
    trace."""
    cdef Node root
    cdef list columns        # of each leaf, in the order of the leaf table
    cdef readonly object schema
    cdef readonly uint64_t rows
    cdef list group_columns  # of each group: its columns
    cdef size_t *ready_rows
    cdef size_t *ready_bytes
    cdef int group_count
    cdef readonly list cut_rows  # of each group: rows already cut
    cdef list taken              # of each group: rows cut since compact(), still in front of the others
    cdef size_t sample_bytes
    cdef size_t page_most

    def __cinit__(self, schema, size_t sample_bytes, size_t page_most=MAX_PAGE):
        """page_most: bytes of a page at most, as readers count them."""
        self.schema = schema
        self.sample_bytes = sample_bytes
        self.page_most = page_most
        leaves = schema.leaves
        self.columns = [Column(leaf) for leaf in leaves]
        leaf_index = {leaf.id: i for i, leaf in enumerate(leaves)}
        self.root = make_root(schema, leaf_index)

    def __dealloc__(self):
        PyMem_RawFree(self.ready_rows)
        PyMem_RawFree(self.ready_bytes)

    @property
    def leaf_columns(self):
        return list(self.columns)

    def plan(self, groups, rows_per_block, most_bytes):
        """groups: lists of leaf positions. A group is ready at rows_per_block rows, or when its
        bytes pass most_bytes."""
        cdef int g
        self.group_count = len(groups)
        self.group_columns = [[self.columns[i] for i in group] for group in groups]
        PyMem_RawFree(self.ready_rows)
        PyMem_RawFree(self.ready_bytes)
        self.ready_rows = <size_t *>PyMem_RawCalloc(self.group_count, sizeof(size_t))
        self.ready_bytes = <size_t *>PyMem_RawCalloc(self.group_count, sizeof(size_t))
        if self.ready_rows == NULL or self.ready_bytes == NULL:
            raise MemoryError
        for g in range(self.group_count):
            self.ready_rows[g] = rows_per_block[g]
            self.ready_bytes[g] = most_bytes
        self.cut_rows = [0] * self.group_count
        self.taken = [0] * self.group_count

    def restart(self):
        """Begins to count rows anew, for the next shard; nothing may be waiting."""
        cdef Column column
        for column in self.columns:
            if column.b.rows:
                raise RuntimeError("rows are waiting")
        self.rows = 0
        self.group_count = 0

    @property
    def waiting_bytes(self):
        cdef Column column
        cdef size_t total = 0
        for column in self.columns:
            total += column.b.size + 4 * column.b.rows * column.variable
        return total

    def group_rows(self, int g):
        return (<Column>(<list>self.group_columns[g])[0]).b.rows

    cdef size_t group_size(self, int g):
        cdef Column column
        cdef size_t total = 0
        for column in <list>self.group_columns[g]:
            total += column.b.size
        return total

    def is_full(self, int g):
        """Whether a group holds more bytes than a block may, before it has its rows."""
        return self.group_size(g) > self.ready_bytes[g] and self.group_rows(g) < self.ready_rows[g]

    cdef int ready(self) except -1:
        """BLOCK_READY if a group has a block's rows, GROUP_FULL, PLANNABLE or NO_ROOM, else
        WAITING: see RowState."""
        cdef int g, state = STATE_WAITING
        cdef Column column
        cdef size_t total = 0, size
        if self.group_count == 0:
            for column in self.columns:
                size = column.b.size + 4 * column.b.rows * column.variable
                if column.variable and size > self.page_most // 2 and column.page_bytes() > self.page_most:
                    return STATE_NO_ROOM
                total += size
            if total > BLOCK_SURE and column.b.rows > 1:
                return STATE_NO_ROOM
            if total > BLOCK_SURE and len(self.columns) > MOST_APART:
                self.check_row()
            return STATE_PLANNABLE if total >= self.sample_bytes else STATE_WAITING
        for g in range(self.group_count):
            column = <Column>(<list>self.group_columns[g])[0]
            size = self.group_size(g)
            if size > self.page_most // 2 and self.is_beyond(g):
                return STATE_NO_ROOM
            if state == STATE_WAITING:
                if column.b.rows >= self.ready_rows[g]:
                    state = STATE_BLOCK_READY
                elif size > self.ready_bytes[g]:
                    state = STATE_GROUP_FULL
        return state

    cdef bint is_beyond(self, int g) except -1:
        """Whether the rows of a group that wait could make a page, or all pages together, larger
        than a reader takes."""
        cdef Column column
        cdef size_t total = 0, size
        for column in <list>self.group_columns[g]:
            size = column.page_bytes()
            if column.variable and size > self.page_most:
                return True
            total += size
        return total > BLOCK_MOST

    cdef int check_row(self) except -1:
        """LimitError where the only row that waits has more bytes in the columns that share a block
        than a block can hold."""
        sizes = sorted([(<Column>column).page_bytes() for column in self.columns])
        together = sum(sizes[: len(sizes) - MOST_APART])
        if together > BLOCK_MOST:
            raise errors.LimitError(
                f"an example of {sum(sizes)} bytes in {len(sizes)} columns: those beyond the {MOST_APART} largest hold "
                f"{together} bytes, and at most {BLOCK_MOST} can be read back: store it as several examples"
            )
        return 0

    def append(self, example):
        """Adds one example; returns a RowState. NO_ROOM: it was not taken, and the shard must end
        before it."""
        cdef int state
        try:
            self.put_root(example)
            state = self.ready()
        except BaseException:
            self.rollback()
            raise
        if state == STATE_NO_ROOM:
            self.rollback()
            return STATE_NO_ROOM
        self.rows += 1
        return state

    cdef int rollback(self) except -1:
        """Takes back what a refused example left."""
        cdef int g
        cdef Column column
        if self.group_count == 0:
            for column in self.columns:
                column.truncate(self.rows)
        for g in range(self.group_count):
            for column in <list>self.group_columns[g]:
                column.truncate(<size_t>(self.rows - <uint64_t>self.cut_rows[g]))
        return 0

    def cut(self, int g, size_t rows, PageSpecs plan):
        """Takes the next rows of a group as a Block. compact() must follow before anything is
        appended."""
        cdef Block block = Block.__new__(Block)
        cdef Column column
        cdef list columns = <list>self.group_columns[g]
        cdef size_t start = self.taken[g], i
        block.prepare(plan, g, len(columns), rows, <uint64_t>self.cut_rows[g])
        for i in range(<size_t>len(columns)):
            column = <Column>columns[i]
            if start == 0 and rows == column.b.rows:
                column.hand_over(&block.buffers[i])
            else:
                column.copy_out(&block.buffers[i], start, start + rows)
        self.taken[g] = start + rows if (<Column>columns[0]).b.rows else 0
        self.cut_rows[g] += rows
        return block

    def compact(self):
        """Forgets the rows that were cut and moves the others to the front: once for many
        blocks."""
        cdef Column column
        cdef int g
        for g in range(self.group_count):
            if self.taken[g]:
                for column in <list>self.group_columns[g]:
                    column.drop(self.taken[g])
                self.taken[g] = 0

    cdef int put_root(self, object example) except -1:
        cdef Kind kind = self.root.kind
        cdef list children = self.root.children
        cdef Py_ssize_t k, count = len(children)
        if kind == K_STRUCT:
            if not isinstance(example, dict):
                example = _examples.as_dict(example, self.schema)
            return self.put_fields(self.root, <dict>example, "")
        if kind == K_VALUE:
            return self.put(<Node>children[0], example, "")
        if not isinstance(example, (tuple, list)) or len(example) != count:
            raise errors.SchemaError(f"expected a {self.schema.container} of {count}, got {_describe.describe(example)}")
        for k in range(count):
            self.put(<Node>children[k], example[k], "")
        return 0

    cdef int put_fields(self, Node node, dict example, str prefix) except -1:
        cdef Py_ssize_t k, found = 0
        cdef Node child
        cdef PyObject *value
        for k in range(len(node.children)):
            child = <Node>node.children[k]
            value = PyDict_GetItem(example, child.name)
            if value == NULL:
                self.put(child, None, prefix)
            else:
                found += 1
                self.put(child, <object>value, prefix)
        if found != len(example):
            extra = [key for key in example if key not in node.names]
            known = ", ".join(node.names)
            raise errors.SchemaError(f"unknown column {prefix + str(extra[0])!r}: the schema has {known}")
        return 0

    cdef int refuse(self, Node node, object value, str prefix, str why="") except -1:
        path = prefix + node.name
        given = _describe.describe(value) + (": " + why if why else "")
        raise errors.SchemaError(f"column {path!r}: expected {node.field.type}, got {given}")

    cdef int put_null(self, Node node, uint8_t valid) except -1:
        """A null in all leaves of a node, or (valid 1) the zeros that stand in an absent struct."""
        cdef Py_ssize_t k
        cdef Node child
        if node.kind == K_STRUCT:
            if node.first_leaf >= 0:
                (<Column>self.columns[node.first_leaf]).put_zero(1)
            for k in range(len(node.children)):
                child = <Node>node.children[k]
                self.put_null(child, 1)
            return 0
        for k in range(len(node.field.leaves)):
            (<Column>self.columns[node.first_leaf + k]).put_zero(valid)
        return 0

    cdef int put(self, Node node, object value, str prefix) except -1:
        cdef Kind kind = node.kind
        cdef Column column
        cdef int overflow = 0
        cdef long long whole
        cdef double real
        cdef float single
        cdef Py_ssize_t size
        cdef const char *text
        cdef uint8_t one = 1
        cdef Py_buffer view
        if cnp.PyArray_Check(value) and not cnp.PyArray_CheckExact(value):
            value = _fits.unmasked(value, prefix + node.name)
        if (kind == K_TIME or kind == K_DAY) and _times.is_nat(value):
            value = None
        if value is None and kind != K_OBJECT:
            if not node.nullable:
                raise errors.SchemaError(
                    f"column {prefix + node.name!r}: expected {node.field.type}, got None (or the key is missing): "
                    "declare it with atlas.types.nullable(...)"
                )
            return self.put_null(node, 0)
        if kind == K_STRUCT:
            if not isinstance(value, dict):
                given = _named.as_dict(value)
                if given is None:
                    self.refuse(node, value, prefix)
                value = given
            if node.first_leaf >= 0:
                (<Column>self.columns[node.first_leaf]).put(&one, 1)
            return self.put_fields(node, <dict>value, prefix + node.name + ".")
        column = <Column>self.columns[node.first_leaf]
        if kind == K_ARRAY:
            return self.put_array(node, column, value, prefix)
        if kind == K_STR:
            if not isinstance(value, str):
                self.refuse(node, value, prefix)
            try:
                text = PyUnicode_AsUTF8AndSize(value, &size)
            except UnicodeEncodeError:
                why = "it has a lone surrogate, which UTF-8 cannot hold; store it as bytes: "
                self.refuse(node, value, prefix, why + "value.encode('utf-8', 'surrogatepass')")
            if <size_t>size > VALUE_MOST:
                raise _fits.too_large(prefix + node.name, size)
            return column.put(text, size)
        if kind == K_INT64 and PyLong_CheckExact(value):
            whole = PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow:
                self.refuse(node, value, prefix, "it does not fit 64 bits; store it as str")
            return column.put(&whole, 8)
        if kind == K_FLOAT64 and PyFloat_CheckExact(value):
            real = PyFloat_AS_DOUBLE(value)
            return column.put(&real, 8)
        if kind == K_BYTES:
            if not isinstance(value, bytes) or <size_t>len(<bytes>value) > VALUE_MOST:
                value = _media.to_bytes(value, prefix + node.name)
            return self.put_buffer(column, value)
        if kind == K_OBJECT:
            return self.put_buffer(column, _objects.pack(value, prefix + node.name))
        if kind == K_CLASS:
            whole = _labels.number_of(value, node.field.type, prefix + node.name)
            return column.put(&whole, 8)
        if kind == K_TIME or kind == K_DAY:
            whole = _times.count_of(value, node.field.type, prefix + node.name)
            return column.put(&whole, node.width)  # little-endian: the first bytes are those of an int32
        if kind == K_TENSOR:
            if cnp.PyArray_CheckExact(value) and self.put_tensor(node, column, <cnp.ndarray>value):
                return 0
            if node.as_list and PyList_CheckExact(value) and self.put_list(node, column, <list>value):
                return 0
            array = _arrays.to_array(value, node.field, prefix + node.name)
            self.put_buffer(column, array.data if array.size else b"")
            if node.ndim != 1:
                shape = np.array(array.shape, np.uint32)
                self.put_buffer(<Column>self.columns[node.first_leaf + 1], shape.data if shape.size else b"")
            return 0
        if kind == K_MEDIA:
            data, media_type = _media.to_media(value, node.field, prefix + node.name)
            self.put_buffer(column, data)
            if node.media_type is None:
                self.put_buffer(<Column>self.columns[node.first_leaf + 1], media_type.encode())
            return 0
        return self.put_buffer(column, _arrays.scalar_bytes(value, node.field, prefix + node.name))

    cdef int put_buffer(self, Column column, object data) except -1:
        """The bytes of a value that is known to be within the limit."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return column.put(view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef int put_tensor(self, Node node, Column column, cnp.ndarray array) except -1:
        """Puts an array of the column's dtype, as to_array would give it, and returns 1; 0 where
        to_array must look at it."""
        cdef uint32_t shape[32]
        cdef int i, ndim = cnp.PyArray_NDIM(array)
        cdef size_t size = cnp.PyArray_NBYTES(array)
        if cnp.PyArray_TYPE(array) != node.typenum or node.typenum == cnp.NPY_BOOL or node.bfloat16:
            return 0
        if not cnp.PyArray_ISCARRAY_RO(array):
            return 0
        if size == 0 or size > VALUE_MOST or ndim > 32 or (node.ndim >= 0 and ndim != node.ndim):
            return 0
        column.put(cnp.PyArray_DATA(array), size)
        if node.ndim != 1:
            for i in range(ndim):
                shape[i] = <uint32_t>cnp.PyArray_DIM(array, i)
            (<Column>self.columns[node.first_leaf + 1]).put(shape, 4 * <size_t>ndim)
        return 1

    cdef bint put_list(self, Node node, Column column, list value) except -1:
        """Puts a list of ints into an int64 column, or of floats into a float64 one, and returns 1;
        0 where to_array must look at it."""
        cdef Py_ssize_t k, count = len(value)
        cdef int overflow = 0
        cdef int64_t *wholes
        cdef double *reals
        if node.typenum != cnp.NPY_INT64 and node.typenum != cnp.NPY_FLOAT64:
            return 0
        if count == 0 or <size_t>count > VALUE_MOST // 8:
            return 0
        wholes = <int64_t *>PyMem_RawMalloc(8 * count)
        if wholes == NULL:
            raise MemoryError
        reals = <double *>wholes
        try:
            if node.typenum == cnp.NPY_INT64:
                for k in range(count):
                    one = value[k]
                    if not PyLong_CheckExact(one):
                        return 0
                    wholes[k] = PyLong_AsLongLongAndOverflow(one, &overflow)
                    if overflow:
                        return 0
            else:
                for k in range(count):
                    one = value[k]
                    if not PyFloat_CheckExact(one):
                        return 0
                    reals[k] = PyFloat_AS_DOUBLE(one)
            column.put(wholes, 8 * <size_t>count)
        finally:
            PyMem_RawFree(wholes)
        return 1

    cdef int put_array(self, Node node, Column column, object value, str prefix) except -1:
        cdef cnp.ndarray array
        cdef int i
        cdef bint fits
        if node.as_list and PyList_CheckExact(value) and len(<list>value) == node.shape[0]:
            if self.put_list(node, column, <list>value):
                return 0
        if isinstance(value, np.ndarray):
            array = <cnp.ndarray>value
            fits = cnp.PyArray_TYPE(array) == node.typenum and cnp.PyArray_NDIM(array) == node.ndim
            if fits and cnp.PyArray_ISCARRAY_RO(array) and not node.bfloat16:
                for i in range(node.ndim):
                    if cnp.PyArray_DIM(array, i) != node.shape[i]:
                        fits = False
                if fits and node.typenum == cnp.NPY_BOOL:
                    fits = are_bools(<const uint8_t *>cnp.PyArray_DATA(array), node.width)
                if fits:
                    return column.put(cnp.PyArray_DATA(array), node.width)
        array = _arrays.to_array(value, node.field, prefix + node.name)
        return column.put(cnp.PyArray_DATA(array), node.width)

    def append_columns(self, list leaf_arrays, size_t count):
        """Adds count rows at once: of each leaf a C-contiguous array of fixed values, (such an
        array, its valid rows as uint8), or a list of bytes (None: null). Values are within the
        limits. Returns a RowState. NO_ROOM: nothing was taken."""
        cdef Column column
        cdef size_t i
        cdef int state
        cdef cnp.ndarray array, valid
        try:
            for i in range(<size_t>len(self.columns)):
                column = <Column>self.columns[i]
                values = leaf_arrays[i]
                if isinstance(values, list):
                    for value in values:
                        if value is None:
                            if not column.leaf.nullable:
                                raise errors.SchemaError(
                                    f"column {column.leaf.path!r}: got None: declare it with atlas.types.nullable(...)"
                                )
                            column.put_zero(0)
                        else:
                            self.put_buffer(column, value)
                elif isinstance(values, tuple):
                    array, valid = values
                    column.put_masked(
                        <const uint8_t *>cnp.PyArray_DATA(array), <const uint8_t *>cnp.PyArray_DATA(valid), count)
                else:
                    array = <cnp.ndarray>values
                    column.put_many(<const uint8_t *>cnp.PyArray_DATA(array), count)
            state = self.ready()
        except BaseException:
            self.rollback()
            raise
        if state == STATE_NO_ROOM:
            self.rollback()
            return STATE_NO_ROOM
        self.rows += count
        return state
