# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""What an example is made of: a schema compiled to a tree of nodes, which read and write walk
without a Python-level call per value."""
cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc

from atlas_ds._core.c cimport *

from atlas_ds.schema.types import SCALARS, Array, ClassLabel, Date, Media as MediaType, Scalar, Tensor, Timestamp, Word, number_dtype

cnp.import_array()

cdef dict _SCALAR_KINDS = {
    "bool": K_BOOL, "int8": K_INT8, "int16": K_INT16, "int32": K_INT32, "int64": K_INT64, "uint8": K_UINT8,
    "uint16": K_UINT16, "uint32": K_UINT32, "uint64": K_UINT64, "float32": K_FLOAT32, "float64": K_FLOAT64,
    "bfloat16": K_BFLOAT16,
}
cdef dict _COUNTS = {Timestamp: K_TIME, Date: K_DAY, ClassLabel: K_CLASS}  # types that are stored as one number


@cython.final
cdef class Node:
    """A field (or the whole example) compiled: how to build it from views of leaves, and how to
    take it apart."""


cdef Node make_node(object field, dict leaf_index):
    cdef Node node = Node()
    cdef int i
    node.field = field
    node.name = field.name
    node.nullable = field.nullable
    node.numpy_scalar = field.numpy
    node.first_leaf = leaf_index[field.leaves[0]] if field.leaves else -1
    kind = field.type
    dtype = number_dtype(kind)
    if dtype is not None:
        node.dtype = SCALARS[dtype]
        node.bfloat16 = dtype == "bfloat16"
        node.typenum = node.dtype.num
        node.item = node.dtype.itemsize
        node.width = node.item
    if isinstance(kind, Scalar):
        node.kind = _SCALAR_KINDS.get(kind.dtype, K_ITEM)
        if node.numpy_scalar and not node.bfloat16:
            node.kind = K_ITEM
    elif type(kind) in _COUNTS:
        node.kind = _COUNTS[type(kind)]
        if node.kind == K_CLASS:
            node.classes = len(kind.names)
    elif isinstance(kind, Word):
        node.kind = {"str": K_STR, "bytes": K_BYTES, "object": K_OBJECT}[kind.kind]
    elif isinstance(kind, Array):
        node.kind = K_ARRAY
        node.ndim = len(kind.shape)
        node.as_list = kind.list
        for i in range(node.ndim):
            node.shape[i] = kind.shape[i]
            node.width *= kind.shape[i]
    elif isinstance(kind, Tensor):
        node.kind = K_TENSOR
        node.ndim = -1 if kind.ndim is None else kind.ndim
        node.as_list = kind.list
    elif isinstance(kind, MediaType):
        node.kind = K_MEDIA
        node.media_type = kind.type
    else:
        node.kind = K_STRUCT
        node.children = [make_node(child, leaf_index) for child in kind.fields]
        node.names = tuple(child.name for child in kind.fields)
    return node


cdef Node make_root(object schema, dict leaf_index):
    """The whole example. leaf_index: leaf id to its number among the leaves."""
    cdef Node root = Node()
    kinds = {"dict": K_STRUCT, "dataclass": K_STRUCT, "tuple": K_TUPLE, "list": K_LIST, "value": K_VALUE}
    root.kind = kinds[schema.container]
    root.first_leaf = -1
    root.name = ""
    root.children = [make_node(field, leaf_index) for field in schema.fields]
    root.names = schema.names
    return root


@cython.final
cdef class Projection:
    """A schema (or some of its columns) compiled against the positions of its leaves in the leaf
    table."""

    def __cinit__(self, schema, dict positions):
        """positions: leaf id to its place in the leaf table."""
        cdef int i
        wanted = schema.leaves
        self.schema = schema
        self.leaf_count = len(wanted)
        self.leaves = <uint32_t *>PyMem_RawMalloc(4 * self.leaf_count + 4)
        if self.leaves == NULL:
            raise MemoryError
        leaf_index = {}
        for i in range(self.leaf_count):
            leaf_index[wanted[i].id] = i
            self.leaves[i] = positions[wanted[i].id]
        self.root = make_root(schema, leaf_index)

    def __dealloc__(self):
        PyMem_RawFree(self.leaves)


@cython.final
cdef class Slice:
    """Some bytes of a span, read-only, which keep the span alive."""

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void *>self.data, self.size, 1, flags)
