cimport cython
cimport numpy as cnp

from atlas_ds._core.c cimport uint8_t, uint32_t, uint64_t

cdef enum Kind:
    K_BOOL, K_INT8, K_INT16, K_INT32, K_INT64, K_UINT8, K_UINT16, K_UINT32, K_UINT64, K_FLOAT32, K_FLOAT64, K_BFLOAT16
    K_ITEM          # another scalar: through NumPy
    K_TIME, K_DAY, K_CLASS
    K_STR, K_BYTES, K_OBJECT, K_ARRAY, K_TENSOR, K_MEDIA, K_STRUCT
    K_TUPLE, K_LIST, K_VALUE


@cython.final
cdef class Node:
    cdef Kind kind
    cdef int first_leaf      # its first own leaf's number in the projection, -1 if it has none
    cdef int ndim            # K_ARRAY; K_TENSOR (-1: differs)
    cdef int typenum
    cdef bint bfloat16
    cdef bint numpy_scalar
    cdef bint as_list        # K_ARRAY, K_TENSOR: an example has a list
    cdef uint64_t classes    # K_CLASS: how many
    cdef bint nullable
    cdef cnp.npy_intp shape[32]
    cdef Py_ssize_t item
    cdef Py_ssize_t width
    cdef readonly str name
    cdef readonly object field
    cdef object dtype
    cdef object media_type
    cdef list children
    cdef tuple names


@cython.final
cdef class Projection:
    cdef Node root
    cdef uint32_t *leaves
    cdef readonly int leaf_count
    cdef readonly object schema


@cython.final
cdef class Slice:
    cdef object owner
    cdef const uint8_t *data
    cdef Py_ssize_t size


cdef Node make_root(object schema, dict leaf_index)
