# Values from views: the loop that makes an example.

cdef extern from *:
    """
    /* Most text is ASCII, which needs no decoding: one look at all bytes, eight at a time, and one copy. */
    static PyObject *text_from(const uint8_t *data, Py_ssize_t size) {
        uint64_t any = 0;
        Py_ssize_t i = 0;
        for (; i + 8 <= size; i += 8) {
            uint64_t eight;
            memcpy(&eight, data + i, 8);
            any |= eight;
        }
        for (; i < size; i++) any |= (uint64_t)data[i];
        if ((any & 0x8080808080808080u) != 0 || size < 2) return PyUnicode_DecodeUTF8((const char *)data, size, NULL);
        PyObject *text = PyUnicode_New(size, 127);
        if (text != NULL) memcpy(PyUnicode_DATA(text), data, (size_t)size);
        return text;
    }
    """
    object text_from(const uint8_t *data, Py_ssize_t size)


cdef inline cnp.ndarray new_array(int ndim, cnp.npy_intp *shape, int typenum):
    return cnp.PyArray_SimpleNew(ndim, shape, typenum)


cdef object widen_bfloat16(cnp.ndarray bits):
    return np.asarray(bits.astype(np.uint32) << 16).view(np.float32)


cdef object build_array(Context context, Node node, const uint8_t *data, object owner):
    """An array over the bytes of a value; owner None: a copy."""
    cdef cnp.ndarray out
    if owner is not None and not node.bfloat16:
        out = cnp.PyArray_SimpleNewFromData(node.ndim, node.shape, node.typenum, <void *>data)
        cnp.PyArray_CLEARFLAGS(out, cnp.NPY_ARRAY_WRITEABLE)
        cnp.set_array_base(out, owner)  # takes a reference of its own; PyArray_SetBaseObject would steal ours
        return out
    out = new_array(node.ndim, node.shape, node.typenum)
    if node.bfloat16:
        memcpy(cnp.PyArray_DATA(out), data, node.width)
        return widen_bfloat16(out)
    context.copy(cnp.PyArray_DATA(out), data, node.width)
    return out


cdef object build_tensor(Node node, const atlas_view *view, const atlas_view *shape_view, object owner):
    cdef cnp.npy_intp dims[32]
    cdef uint32_t length
    cdef int ndim = node.ndim, i
    cdef cnp.npy_intp total = node.item, elements = 1
    cdef cnp.ndarray out
    if ndim == 1:
        dims[0] = view.size // node.item
    else:
        if ndim < 0:
            ndim = <int>(shape_view.size // 4) if shape_view.size % 4 == 0 and shape_view.size <= 128 else 33
        if ndim > 32 and shape_view.size % 4 == 0:
            raise errors.LimitError(f"column {node.name!r}: a tensor has more than 32 dimensions")
        if ndim > 32:
            raise errors.CorruptError(f"column {node.name!r}: the shape of a tensor is wrong")
        for i in range(ndim):
            memcpy(&length, shape_view.data + 4 * i, 4)
            dims[i] = length
    if ndim != 1:
        for i in range(ndim):
            elements *= max(dims[i], 1)
            if elements > 1 << 30:
                raise errors.LimitError(f"column {node.name!r}: the lengths of a tensor multiply to more than 2^30")
    for i in range(ndim):
        total *= dims[i]
    if total != <cnp.npy_intp>view.size:
        raise errors.CorruptError(f"column {node.name!r}: the shape of a tensor does not match its bytes")
    if owner is not None and not node.bfloat16 and <size_t>view.data % <size_t>node.item == 0:
        out = cnp.PyArray_SimpleNewFromData(ndim, dims, node.typenum, <void *>view.data)
        cnp.PyArray_CLEARFLAGS(out, cnp.NPY_ARRAY_WRITEABLE)
        cnp.set_array_base(out, owner)  # takes a reference of its own; PyArray_SetBaseObject would steal ours
        return out
    out = new_array(ndim, dims, node.typenum)
    memcpy(cnp.PyArray_DATA(out), view.data, view.size)
    return widen_bfloat16(out) if node.bfloat16 else out


cdef object build_list(Node node, const atlas_view *view, Py_ssize_t count):
    """A list of numbers. Those of bools are not checked here: a reader takes any byte but 0 for
    true."""
    cdef list out
    cdef Py_ssize_t k
    cdef int64_t whole
    cdef double real
    cdef cnp.ndarray array
    cdef cnp.npy_intp length = count
    if view.size != <size_t>(count * node.item):
        raise errors.CorruptError(f"column {node.name!r}: the bytes of a list are not a multiple of its item size")
    if node.typenum == cnp.NPY_INT64:
        out = PyList_New(count)
        for k in range(count):
            memcpy(&whole, view.data + 8 * k, 8)
            value = PyLong_FromLongLong(whole)
            Py_INCREF(value)
            PyList_SET_ITEM(out, k, value)
        return out
    if node.typenum == cnp.NPY_FLOAT64:
        out = PyList_New(count)
        for k in range(count):
            memcpy(&real, view.data + 8 * k, 8)
            value = real
            Py_INCREF(value)
            PyList_SET_ITEM(out, k, value)
        return out
    array = new_array(1, &length, node.typenum)
    memcpy(cnp.PyArray_DATA(array), view.data, view.size)
    return widen_bfloat16(array).tolist() if node.bfloat16 else array.tolist()


cdef object build_bytes(const atlas_view *view, object owner):
    cdef Slice part
    if owner is None:
        return PyBytes_FromStringAndSize(<const char *>view.data, view.size)
    part = Slice.__new__(Slice)
    part.owner = owner
    part.data = view.data
    part.size = view.size
    return memoryview(part)


cdef object build_item(Node node, const uint8_t *data):
    """A scalar through NumPy: as a NumPy scalar if it was given as one."""
    cdef cnp.ndarray out = new_array(0, NULL, node.typenum)
    memcpy(cnp.PyArray_DATA(out), data, node.item)
    return out[()] if node.numpy_scalar else out.item()


cdef Py_ssize_t without_class(Node node, const int64_t *numbers, Py_ssize_t count) noexcept:
    """The place of the first number that no class has, or -1. Nulls are zero."""
    cdef Py_ssize_t i
    for i in range(count):
        if <uint64_t>numbers[i] >= node.classes:
            return i
    return -1


cdef object class_error(Node node, const int64_t *number):
    return errors.CorruptError(f"column {node.name!r}: {number[0]} is not the number of one of {node.classes} classes")


cdef object build(Context context, Node node, const atlas_view *views, size_t stride, size_t i, object owner):
    """The value of a node in row i: views of leaf l are at views[l * stride + i]."""
    cdef const atlas_view *view = NULL
    cdef Kind kind = node.kind
    cdef Py_ssize_t k
    cdef Node child
    cdef uint16_t half
    cdef uint32_t bits
    cdef float single
    cdef double real
    if node.first_leaf >= 0:
        view = &views[<size_t>node.first_leaf * stride + i]
        if view.data == NULL:
            return None
    if kind == K_INT64:
        return PyLong_FromLongLong((<const int64_t *>view.data)[0])
    if kind == K_ARRAY:
        if node.as_list:
            return build_list(node, view, node.shape[0])
        return build_array(context, node, view.data, owner)
    if kind == K_STR:
        return text_from(view.data, view.size)
    if kind == K_BYTES:
        return build_bytes(view, None if context.own_bytes else owner)
    if kind == K_STRUCT:
        if view != NULL and view.data[0] == 0:
            return None
        out = {}
        for k in range(len(node.children)):
            child = <Node>node.children[k]
            PyDict_SetItem(out, child.name, build(context, child, views, stride, i, owner))
        return out
    if kind == K_FLOAT64:
        memcpy(&real, view.data, 8)
        return real
    if kind == K_FLOAT32:
        memcpy(&single, view.data, 4)
        return <double>single
    if kind == K_BOOL:
        return view.data[0] != 0
    if kind == K_UINT8:
        return PyLong_FromLongLong(view.data[0])
    if kind == K_INT8:
        return PyLong_FromLongLong((<const int8_t *>view.data)[0])
    if kind == K_INT16:
        return PyLong_FromLongLong((<const short *>view.data)[0])
    if kind == K_UINT16:
        return PyLong_FromLongLong((<const uint16_t *>view.data)[0])
    if kind == K_INT32:
        return PyLong_FromLongLong((<const int32_t *>view.data)[0])
    if kind == K_UINT32:
        return PyLong_FromLongLong((<const uint32_t *>view.data)[0])
    if kind == K_UINT64:
        return PyLong_FromUnsignedLongLong((<const uint64_t *>view.data)[0])
    if kind == K_BFLOAT16:
        memcpy(&half, view.data, 2)
        bits = <uint32_t>half << 16
        memcpy(&single, &bits, 4)
        return np.float32(single) if node.numpy_scalar else <double>single
    if kind == K_ITEM:
        return build_item(node, view.data)
    if kind == K_CLASS:
        if without_class(node, <const int64_t *>view.data, 1) == 0:
            raise class_error(node, <const int64_t *>view.data)
        return PyLong_FromLongLong((<const int64_t *>view.data)[0])
    if kind == K_TIME:
        return _times.moment_of((<const int64_t *>view.data)[0], node.field.type, numpy=node.numpy_scalar)
    if kind == K_DAY:
        return _times.day_of((<const int *>view.data)[0], numpy=node.numpy_scalar)
    if kind == K_OBJECT:
        return _objects.unpack(PyBytes_FromStringAndSize(<const char *>view.data, view.size))
    if kind == K_TENSOR:
        if node.as_list:
            return build_list(node, view, view.size // node.item)
        if node.ndim == 1:
            return build_tensor(node, view, view, owner)
        return build_tensor(node, view, &views[<size_t>(node.first_leaf + 1) * stride + i], owner)
    if kind == K_MEDIA:
        data = build_bytes(view, None if context.own_bytes else owner)
        if node.media_type is not None:
            return _media.Media(data, node.media_type)
        view = &views[<size_t>(node.first_leaf + 1) * stride + i]
        return _media.Media(data, text_from(view.data, view.size))
    if kind == K_VALUE:
        return build(context, <Node>node.children[0], views, stride, i, owner)
    if kind == K_TUPLE:
        row = PyTuple_New(len(node.children))
        for k in range(len(node.children)):
            value = build(context, <Node>node.children[k], views, stride, i, owner)
            Py_INCREF(value)
            PyTuple_SET_ITEM(row, k, value)
        return row
    items = []
    for k in range(len(node.children)):
        items.append(build(context, <Node>node.children[k], views, stride, i, owner))
    return items


cdef object damaged_value(object cause, str where, int64_t row):
    """The error of a value that is no value of its type; row counts within the file."""
    if isinstance(cause, UnicodeDecodeError):
        return errors.CorruptError(f"{where}: row {row}: a str is not UTF-8 ({cause})")
    return type(cause)(f"{where}: row {row}: {cause}")


cdef const int64_t *data_or_null(object array):
    if array is None:
        return NULL
    return <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>array)
