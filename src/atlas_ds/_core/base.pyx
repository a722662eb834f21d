# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""What every part of the binding stands on: the one function that raises the core's errors, codes
and limits of the format, hashes, files in memory, dictionaries.

It may import errors, text, progress and forks of this package, nothing else: schema and store may
import it.
"""
cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.string cimport memcpy
from posix.mman cimport (
    MADV_DONTNEED, MAP_ANONYMOUS, MAP_FAILED, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, madvise, mmap, munmap,
)

from atlas_ds._core.c cimport *

import os
from enum import IntEnum, IntFlag
from time import monotonic, sleep

from atlas_ds import errors
from atlas_ds.forks import in_child

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


# --- codes and limits of the format, from csrc/layout.h --------------------------

class LeafKind(IntEnum):
    """Whether the values of a leaf have one width."""

    FIXED = ATLAS_KIND_FIXED
    VARIABLE = ATLAS_KIND_VARIABLE


class LeafFlags(IntFlag):
    """NULLABLE: values may be null. PAGE_CODED: pages are compressed as a whole."""

    NULLABLE = ATLAS_LEAF_NULLABLE
    PAGE_CODED = ATLAS_LEAF_PAGE_CODED


class Layout(IntEnum):
    """How the values of a page lie."""

    FIXED = ATLAS_FIXED
    VAR = ATLAS_VAR
    CONST = ATLAS_CONST
    NARROW = ATLAS_NARROW
    ENUM = ATLAS_ENUM


class Literals(IntEnum):
    """Which bytes that repeat nothing zstd codes: as its level has it, all, or none."""

    AUTO = ATLAS_LITERALS_AUTO
    CODED = ATLAS_LITERALS_CODED
    PLAIN = ATLAS_LITERALS_PLAIN


class Codec(IntEnum):
    """How bytes are compressed."""

    NONE = ATLAS_CODEC_NONE
    LZ4 = ATLAS_CODEC_LZ4
    ZSTD = ATLAS_CODEC_ZSTD


class PageFlags(IntFlag):
    """What a page has. CELLS: its values are compressed one by one."""

    VALIDITY = ATLAS_PAGE_VALIDITY
    CELLS = ATLAS_PAGE_CELLS
    SHORT = ATLAS_PAGE_SHORT


class Verify(IntEnum):
    """When a reader checks hashes."""

    FIRST = ATLAS_VERIFY_FIRST
    ALWAYS = ATLAS_VERIFY_ALWAYS
    NEVER = ATLAS_VERIFY_NEVER


HEADER_BYTES = int(ATLAS_HEADER_SIZE)
INDEX_BYTES = int(ATLAS_INDEX_SIZE)  # of a block
TRAILER_BYTES = int(ATLAS_TRAILER_SIZE)
MAX_BLOCK_ROWS = int(ATLAS_MAX_ROWS)
MAX_BLOCK_BYTES = int(ATLAS_MAX_PAGE)  # of all pages of a block
MAX_LEAVES = int(ATLAS_MAX_LEAVES)
MAX_GROUPS = int(ATLAS_MAX_GROUPS)
MAX_DICTIONARIES = int(ATLAS_MAX_DICTIONARIES)
MAX_FOOTER_BYTES = int(ATLAS_MAX_FOOTER)

ALL_LEFT = int(ATLAS_PINS_BOTH)  # of Pins.empty
PINS_BYTES = int(sizeof(atlas_pins))

# --- hashes -----------------------------------------------------------------------

def hash64(const uint8_t[::1] data, uint64_t seed=0):
    """XXH3-64 with a seed."""
    return atlas_hash64(&data[0] if data.shape[0] else NULL, data.shape[0], seed)


def hash128(const uint8_t[::1] data):
    """XXH3-128: 16 bytes, the low half first."""
    cdef uint8_t out[16]
    atlas_hash128(&data[0] if data.shape[0] else NULL, data.shape[0], out)
    return PyBytes_FromStringAndSize(<char *>out, 16)


cdef extern from *:
    """
    #ifndef MAP_NORESERVE
    #define MAP_NORESERVE 0
    #endif
    #ifdef __linux__
    extern void *mremap(void *, size_t, size_t, int, ...);
    /* Puts the memory at `from` where that at `to` is, in one step. */
    static int move_memory(void *from, size_t size, void *to) { return mremap(from, size, size, 3 /* MAYMOVE | FIXED */, to) == to ? 0 : -1; }
    extern int fallocate(int, int, off_t, off_t);
    static int make_hole(int fd, off_t start, off_t size) { return fallocate(fd, 3 /* KEEP_SIZE | PUNCH_HOLE */, start, size); }
    #else
    static int move_memory(void *from, size_t size, void *to) { errno = ENOSYS; return -1; }
    static int make_hole(int fd, off_t start, off_t size) { errno = EOPNOTSUPP; return -1; }
    #endif
    """
    int make_hole(int fd, long long start, long long size) nogil
    int move_memory(void *source, size_t size, void *to) nogil


@cython.final
cdef class Region:
    """`size` bytes of address space that stay where they are, whatever lies there: memory of this
    process, taken up page by page as it is written to, or the first bytes of a file, read-only.

    fd: of the file, needed only while it is mapped (Python's own mmap keeps a copy); -1: memory. The
    region lives on where the file loses its name. writable: the file may be written to here, too.
    OSError, without a path: the system refused.
    """
    cdef char *base
    cdef readonly Py_ssize_t size
    cdef readonly bint is_file
    cdef bint writable
    cdef object __weakref__

    def __cinit__(self, Py_ssize_t size, int fd=-1, *, bint writable=False):
        if size < 1:
            raise ValueError(f"size={size}: a region needs at least one byte")
        self.base = <char *>(anonymous(size) if fd < 0 else file_memory(NULL, size, fd, writable))
        self.size, self.is_file, self.writable = size, fd >= 0, writable

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.size)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.base, self.size, not self.writable, flags)

    def __len__(self):
        return self.size

    def __getitem__(self, slice key):
        """A copy of some bytes."""
        return bytes(memoryview(self)[key])

    def write(self, Py_ssize_t offset, const uint8_t[::1] data):
        """Puts bytes there; where a file lies, nobody may."""
        if self.is_file or offset < 0 or offset + data.shape[0] > self.size:
            raise ValueError(f"{data.shape[0]} bytes cannot be written at byte {offset} of {self.size}")
        if data.shape[0]:
            with nogil:
                memcpy(self.base + offset, &data[0], data.shape[0])

    def let_go(self, Py_ssize_t start, Py_ssize_t stop):
        """Whole pages: of memory, they become zeros; of a file, they are read again when needed."""
        if not 0 <= start < stop < self.size + PAGE:
            raise ValueError(f"bytes {start} to {stop} of {self.size}")
        madvise(self.base + start, stop - start, MADV_DONTNEED)

    def show_file(self, int fd):
        """From now on the file that is open at fd lies here; it is as long as this."""
        file_memory(self.base, self.size, fd, False)
        self.is_file = True

    def show_memory(self, parts):
        """From now on memory of this process lies here: zeros, but for (offset, bytes). Those who
        look see one or the other."""
        cdef char *fresh = <char *>anonymous(self.size)
        cdef const uint8_t[::1] data
        cdef Py_ssize_t offset
        try:
            for offset, part in parts:
                data = part
                if offset < 0 or offset + data.shape[0] > self.size:
                    raise ValueError(f"{data.shape[0]} bytes at byte {offset} of {self.size}")
                if data.shape[0]:
                    memcpy(fresh + offset, &data[0], data.shape[0])
            if move_memory(fresh, self.size, self.base) != 0:
                raise OSError(errno, os.strerror(errno))
        except BaseException:
            munmap(fresh, self.size)
            raise
        self.is_file = False


def punch_hole(int fd, long long start, long long size):
    """Gives bytes of an open file back to the file system; they are read as zeros then. OSError where
    it cannot."""
    cdef int status
    with nogil:
        status = make_hole(fd, start, size)
    if status != 0:
        raise OSError(errno, os.strerror(errno))


cdef Py_ssize_t PAGE = os.sysconf("SC_PAGESIZE")


cdef void *anonymous(Py_ssize_t size) except NULL:
    cdef void *found
    with nogil:
        found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if found == MAP_FAILED:
        raise OSError(errno, os.strerror(errno))
    return found


cdef void *file_memory(void *base, Py_ssize_t size, int fd, bint writable) except NULL:
    """base: where; NULL: anywhere."""
    cdef void *found
    cdef int rights = PROT_READ | PROT_WRITE if writable else PROT_READ
    with nogil:
        found = mmap(base, size, rights, MAP_SHARED | (MAP_FIXED if base != NULL else 0), fd, 0)
    if found == MAP_FAILED:
        raise OSError(errno, os.strerror(errno))
    return found


# --- spans that are filled piece by piece (csrc/present.c) --------------------------

@cython.final
cdef class States:
    """Whether each of `count` things is there: blocks of a span, shards of a set. Readers look at
    them without a lock.

    memory: where the bytes lie, from an offset on: a writable buffer shared as the bytes that it
    speaks of are; None: memory of this process, all absent.
    """

    def __cinit__(self, Py_ssize_t count, memory=None, Py_ssize_t offset=0):
        self.count = count
        memory = bytearray(count) if memory is None else memory
        PyObject_GetBuffer(memory, &self.buffer, PyBUF_WRITABLE)
        self.has_buffer = True
        if offset < 0 or self.buffer.len - offset < count:
            raise ValueError(f"{count} states need as many bytes, got {self.buffer.len - offset}")
        self.at = <uint8_t *>self.buffer.buf + offset

    def __dealloc__(self):
        if self.has_buffer:
            PyBuffer_Release(&self.buffer)

    cdef uint8_t *place(self, Py_ssize_t number) except NULL:
        if not 0 <= number < self.count:
            raise IndexError(f"{number} is out of range for {self.count} states")
        return self.at + number

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t number):
        """Whether it is there."""
        return self.place(number)[0] != ATLAS_ABSENT

    def set(self, Py_ssize_t number):
        """It is there: what was written before is seen by every reader who sees this."""
        atlas_state_set(self.place(number))

    def clear(self, Py_ssize_t number):
        """It goes: readers that come later do not find it. Those inside may still use it."""
        atlas_state_clear(self.place(number))

    def take_used(self, Py_ssize_t number):
        """Whether it was read since this was asked last."""
        return bool(atlas_state_take_used(self.place(number)))

    def age(self, Py_ssize_t number):
        """If it was read, it is COLD until it is read again."""
        atlas_state_age(self.place(number))


@cython.final
cdef class Pins:
    """Counts the readers inside, so that whoever drops something can wait until nobody uses it.

    memory: PINS_BYTES from an offset on, zero at first, where another process counts its readers and
    this one looks; None: memory of this process.
    """

    def __cinit__(self, memory=None, Py_ssize_t offset=0):
        self.c = &self.own
        self.older = []
        if memory is not None:
            self._move(memory, offset)

    def __init__(self, memory=None, Py_ssize_t offset=0):
        in_child(self)

    def __dealloc__(self):
        if self.has_buffer:
            PyBuffer_Release(&self.buffer)

    cdef int _move(self, memory, Py_ssize_t offset) except -1:
        cdef Py_buffer buffer
        PyObject_GetBuffer(memory, &buffer, PyBUF_WRITABLE)
        if offset < 0 or buffer.len - offset < <Py_ssize_t>sizeof(atlas_pins) or (<size_t>buffer.buf + offset) % 8:
            PyBuffer_Release(&buffer)
            raise ValueError("pins need PINS_BYTES that begin at a multiple of 8")
        if self.has_buffer:
            PyBuffer_Release(&self.buffer)
        self.buffer, self.has_buffer = buffer, True
        self.c = <atlas_pins *>(<char *>buffer.buf + offset)
        return 0

    def move(self, memory, Py_ssize_t offset, Pins left=None):
        """Counts from now on in this memory, where others may look. left: pins in the memory that it
        counted in until now: readers inside leave it there, and are waited for as the others."""
        if left is not None:
            self.older.append(left)
        self._move(memory, offset)
        atlas_pins_reset(self.c)

    def after_fork(self):
        """In a forked child: nobody is inside but the thread that forked, whose pins end unnoticed.
        Memory that others look at stays the parent's."""
        self.forks += 1
        self.older.clear()
        self.c = &self.own
        atlas_pins_reset(self.c)

    cdef bint _old_left(self, double end) except -1:
        """Whether nobody is inside any more in memory that was left."""
        cdef Pins old
        for old in list(self.older):
            while old.c.inside[0] != 0 or old.c.inside[1] != 0:
                if monotonic() > end:
                    return False
                sleep(0.00005)
            try:
                self.older.remove(old)
            except ValueError:  # another thread was quicker
                pass
        return True

    def empty(self, uint32_t seen=0):
        """The slots (bits) that were seen empty, with those that are now. ALL_LEFT: every reader has
        left that came before the first of these calls."""
        return seen | atlas_pins_empty(self.c) if not self.older or self._old_left(0.0) else seen

    def drained(self, double timeout):
        """Waits until every reader has left that came before this call; False after `timeout`
        seconds. Readers are not held up, and what they need (the GIL) is not held."""
        cdef double end = monotonic() + timeout
        cdef uint32_t seen = 0
        if self.older and not self._old_left(end):
            return False
        seen = atlas_pins_empty(self.c)
        while seen != ATLAS_PINS_BOTH:
            if monotonic() > end:
                return False
            sleep(0.00005)
            seen |= atlas_pins_empty(self.c)
        return True


def copy_block(Pins pins not None, States states not None, Py_ssize_t number, Region region not None, Py_ssize_t start, Py_ssize_t size):
    """A copy of the bytes of a block, which is marked as read; None if it is not there."""
    cdef uint8_t *state = states.place(number)
    cdef atlas_pins *where
    cdef uint32_t forks
    cdef uint64_t token
    cdef bint there
    cdef char *to
    if start < 0 or size < 0 or start > region.size - size:
        raise ValueError(f"bytes {start} to {start + size} of {region.size}")
    if state[0] == ATLAS_ABSENT:
        return None
    data = PyBytes_FromStringAndSize(NULL, size)
    to, where, forks = PyBytes_AS_STRING(data), pins.c, pins.forks
    token = atlas_pin(where)
    there = atlas_state_use(state)
    if there:
        with nogil:
            memcpy(to, region.base + start, size)
    if forks == pins.forks:  # in a forked child, the memory may be the parent's
        atlas_unpin(where, token)
    return data if there else None


@cython.final
cdef class Dictionary:
    """A zstd dictionary, digested once; level other than 0 lets it compress too."""

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
    """A dictionary of at most capacity bytes for samples that lie one after another; b"" if they
    share too little."""
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
