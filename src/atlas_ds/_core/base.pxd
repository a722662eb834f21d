cimport cython

from atlas_ds._core.c cimport atlas_dict, atlas_error

cdef int check(atlas_error *error, object where) except -1


@cython.final
cdef class Dictionary:
    cdef atlas_dict *c
    cdef readonly bytes data
    cdef readonly int level
    cdef object __weakref__
