# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, freethreading_compatible=True
"""What every part of the binding stands on: the one function that raises the core's errors, hashes, files in memory, dictionaries.

It may import errors, text, progress and forks of this package, nothing else: schema and store may import it.
"""
cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport errno
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap

from atlas_ds._core.c cimport *

import os

from atlas_ds import errors

cdef dict _CLASSES = {
    ATLAS_ARG: errors.AtlasError,
    ATLAS_MEMORY: MemoryError,
    ATLAS_TRUNCATED: errors.TruncatedError,
    ATLAS_CORRUPT: errors.CorruptError,
    ATLAS_UNSUPPORTED: errors.UnsupportedError,
    ATLAS_LIMIT: errors.LimitError,
    ATLAS_CODEC: errors.CorruptError,
}


cdef int check(atlas_error *error, object where) except -1:
    """The one place that raises: where is the file's name."""
    if error.status == ATLAS_OK:
        return 0
    why = error.why.decode()
    raise _CLASSES[error.status](f"{where}: {why} (byte {error.at})")


def hash64(const uint8_t[::1] data, uint64_t seed=0):
    """XXH3-64 with a seed."""
    return atlas_hash64(&data[0] if data.shape[0] else NULL, data.shape[0], seed)


def hash128(const uint8_t[::1] data):
    """XXH3-128: 16 bytes, the low half first."""
    cdef uint8_t out[16]
    atlas_hash128(&data[0] if data.shape[0] else NULL, data.shape[0], out)
    return PyBytes_FromStringAndSize(<char *>out, 16)


@cython.final
cdef class Mapping:
    """The first `size` bytes of the file that is open at fd, in memory and read-only. It needs the descriptor only while it is made (Python's own
    mmap keeps a copy of it), and lives on where the file loses its name. OSError, without a path: the system refused."""
    cdef void *base
    cdef Py_ssize_t size
    cdef object __weakref__

    def __cinit__(self, int fd, Py_ssize_t size):
        cdef void *base
        if size < 1:
            raise ValueError(f"size={size}: a mapping has at least one byte")
        with nogil:
            base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0)
        if base == MAP_FAILED:
            raise OSError(errno, os.strerror(errno))
        self.base, self.size = base, size

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.size)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.base, self.size, 1, flags)

    def __len__(self):
        return self.size

    def __getitem__(self, slice key):
        """A copy of some bytes."""
        return bytes(memoryview(self)[key])


@cython.final
cdef class Dictionary:
    """A zstd dictionary, digested once; level > 0 lets it compress too."""

    def __cinit__(self, bytes data, int level=0):
        cdef atlas_error error
        error.status = ATLAS_OK
        self.data = data
        self.level = level
        atlas_dict_open(<const uint8_t *><char *>data, len(data), level, &self.c, &error)
        check(&error, "dictionary")

    def __dealloc__(self):
        atlas_dict_close(self.c)


def train_dictionary(const uint8_t[::1] samples, const size_t[::1] sizes, size_t capacity):
    """A dictionary of at most capacity bytes for samples that lie one after another; b"" if they share too little."""
    cdef atlas_error error
    cdef size_t size = 0
    cdef bytearray out = bytearray(capacity)
    cdef uint8_t *target = <uint8_t *><char *>out
    error.status = ATLAS_OK
    if sizes.shape[0] == 0:
        return b""
    with nogil:
        atlas_dict_train(&samples[0], &sizes[0], <uint32_t>sizes.shape[0], target, capacity, &size, &error)
    check(&error, "dictionary")
    return bytes(out[:size])
