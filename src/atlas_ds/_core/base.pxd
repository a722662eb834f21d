cimport cython

from libc.stdint cimport uint8_t, uint32_t

from atlas_ds._core.c cimport atlas_dict, atlas_error, atlas_pins

cdef int check(atlas_error *error, object where) except -1


@cython.final
cdef class Dictionary:
    cdef atlas_dict *c
    cdef readonly bytes data
    cdef readonly int level
    cdef object __weakref__


@cython.final
cdef class States:
    cdef uint8_t *at
    cdef readonly Py_ssize_t count
    cdef Py_buffer buffer
    cdef bint has_buffer
    cdef uint8_t *place(self, Py_ssize_t number) except NULL


@cython.final
cdef class Pins:
    cdef atlas_pins *c  # own, or in the memory that move() was given
    cdef atlas_pins own
    cdef Py_buffer buffer
    cdef bint has_buffer
    cdef list older  # Pins of memory that was left, where readers may still be inside
    cdef uint32_t forks  # a pin of another number is void
    cdef object __weakref__
    cdef int _move(self, memory, Py_ssize_t offset) except -1
    cdef bint _old_left(self, double end) except -1
