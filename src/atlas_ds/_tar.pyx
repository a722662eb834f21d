# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, freethreading_compatible=True
"""The inner loops of reading tars: headers of the usual kind, which bridge/tar/archive.py walks through, and samples of an indexed tar into Python
bytes, with one copy, the GIL let go meanwhile. It knows no index and no decoding, and names no file: bridge/ gives it numbers and says what is wrong.

What is in the page cache is copied from a mapping: a read() of 80 KB takes 14 us here, the copy 5. What is not is read with one call, because a
fault reads 128 KB around one page; whether it is costs 1 us, and is asked where tars are larger than memory. A file that shrank would end the process at the mapping; so its size is asked for before each sample
(lseek: 0.2 us; fstat takes 0.4), which leaves the moment between asking and copying, at most 256 KB; io="pread" leaves none.
"""

import os

cimport cython
cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcmp, memcpy
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap
from posix.unistd cimport SEEK_END, lseek

cdef extern from "sys/mman.h" nogil:
    enum:
        MADV_SEQUENTIAL
    int madvise(void *start, size_t size, int advice)
    int mincore(void *start, size_t size, unsigned char *pages)

cdef extern from "sys/uio.h" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t preadv(int fd, const iovec *pieces, int count, int64_t offset)

cdef extern from "unistd.h" nogil:
    int close(int fd)
    int dup(int fd)
    int getpagesize()

cdef extern from "xxhash.h" nogil:
    uint64_t XXH3_64bits(const void *data, size_t size)

cnp.import_array()


cdef enum:
    BLOCK = 512
    AT_ONCE = 16  # members that one call reads
    NEAR = 4096  # bytes between two members that are read over
    LARGE = 32768  # bytes from which it is worth a call to ask whether they are in the page cache
    PAGES = 128  # of 4,096 bytes, more than ONE_COPY has
    ONE_COPY = 1 << 18  # bytes at most that are copied from a mapping: some 20 us, in which the file must not shrink


def header_hash(const uint8_t[::1] header not None):
    """What a TarReader compares a header with, as int64."""
    return <int64_t>XXH3_64bits(&header[0], header.shape[0]) if header.shape[0] else 0


def plain_header(bytes block not None):
    """(name, bytes of data, header_hash) of a header as nearly all are: a file, a checksum and a size in octal, a name in ASCII without zero bytes.
    None of any other, whole or damaged: then bridge/tar/archive.py looks closer."""
    cdef const uint8_t *b = <const uint8_t *>PyBytes_AS_STRING(block)
    cdef int64_t checksum, size
    cdef int i, length, prefix = 0, total = 0
    cdef char name[256]
    if len(block) != BLOCK or not (b[156] == c"0" or b[156] == 0):
        return None
    checksum, size = octal(b + 148, 8), octal(b + 124, 12)
    if checksum < 0 or size < 0:
        return None
    for i in range(BLOCK):
        total += b[i]
    for i in range(148, 156):
        total += c" " - b[i]
    if total != checksum:
        return None
    if memcmp(b + 257, "ustar\0", 6) == 0:
        prefix = text(b + 345, 155)
        memcpy(name, b + 345, prefix)
        if prefix:
            name[prefix] = c"/"
            prefix += 1
    elif memcmp(b + 257, "ustar  \0", 8) != 0:
        return None
    length = text(b, 100)
    memcpy(name + prefix, b, length)
    length += prefix
    if length == prefix or name[length - 1] == c"/":
        return None
    for i in range(length):
        if <uint8_t>name[i] >= 0x80:
            return None
    return PyUnicode_DecodeASCII(name, length, NULL), size, header_hash(block)


cdef int64_t octal(const uint8_t *field, int size) noexcept nogil:
    """Blanks, digits, and blanks or zero bytes to the end, as bridge/tar/numbers.py has it; -1: something else."""
    cdef int64_t value = 0
    cdef int i = 0
    while i < size and field[i] == c" ":
        i += 1
    while i < size and c"0" <= field[i] <= c"7":
        value = value * 8 + field[i] - c"0"
        i += 1
    while i < size and (field[i] == c" " or field[i] == 0):
        i += 1
    return value if i == size else -1


cdef int text(const uint8_t *field, int size) noexcept nogil:
    """Bytes up to the first zero."""
    cdef int i = 0
    while i < size and field[i]:
        i += 1
    return i


@cython.final
cdef class MappedFile:
    """A file of `size` bytes that is read in order, as an open file has read and seek. What is small is copied from a mapping, without a system call
    that lets the GIL go: threads that take turns at each of them wait for each other most of the time. Before each copy the file's length is
    asked for, so that one which shrank is noticed, but for the moment of the copy; what is large is read with calls, since that moment is longer."""

    cdef int _fd
    cdef bint _owns
    cdef char *_base
    cdef int64_t _size, _at

    def __cinit__(self, int fd, int64_t size):
        cdef void *base
        self._fd, self._size, self._at, self._base = dup(fd), size, 0, NULL
        if self._fd < 0:
            raise OSError(errno, os.strerror(errno))
        self._owns = True
        base = mmap(NULL, size, PROT_READ, MAP_SHARED, self._fd, 0)
        if base == MAP_FAILED:
            raise OSError(errno, os.strerror(errno))
        self._base = <char *>base
        madvise(base, size, MADV_SEQUENTIAL)

    def __dealloc__(self):
        if self._base != NULL:
            munmap(self._base, self._size)
        if self._owns:
            close(self._fd)

    def seek(self, int64_t at):
        if at < 0:
            raise ValueError(at)
        self._at = at
        return at

    def read(self, int64_t size):
        """The next bytes, fewer at the end."""
        size = max(<int64_t>0, min(size, min(self._size, <int64_t>lseek(self._fd, 0, SEEK_END)) - self._at))
        if size > ONE_COPY:
            data = os.pread(self._fd, size, self._at)
            while len(data) < size:  # a call may stop at 2 GiB
                more = os.pread(self._fd, size - len(data), self._at + len(data))
                if not more:
                    break
                data += more
        else:
            data = PyBytes_FromStringAndSize(self._base + self._at, size)
        self._at += len(data)
        return data


cdef struct Batch:
    # members that lie one behind the other, and are read at once; wrong, why: where and what
    int64_t first, end, wrong
    const char *why
    int members, failed
    int64_t starts[AT_ONCE]
    int64_t sizes[AT_ONCE]
    int64_t hashes[AT_ONCE]
    char *to[AT_ONCE]


@cython.final
cdef class TarReader:
    """Samples of a tar of `size` bytes, open at fd, which is closed with this. mapped: whether it is read through a mapping; ask: whether large
    samples may have left memory. rows: its index, rows[k] is
    {"key": str, "members": (fields, 3) int64}: start of the data (-1: there is none), bytes of data, hash of the 512 bytes before it.
    columns: (name, number of the member), ... of what is read; empty: a sample with None for each of them."""

    cdef object _rows
    cdef tuple _columns
    cdef dict _empty
    cdef int _fd
    cdef bint _ask, _owns
    cdef int64_t _size
    cdef char *_base

    def __cinit__(self, int fd, int64_t size, bint mapped, bint ask, rows, tuple columns not None, dict empty not None):
        cdef void *base
        self._rows, self._columns, self._empty = rows, columns, empty
        self._fd, self._size, self._base, self._ask, self._owns = fd, size, NULL, ask, True
        if len({name for name, _ in columns}) < len(columns):
            raise ValueError("columns: duplicate name")
        if mapped and size > 0:
            base = mmap(NULL, size, PROT_READ, MAP_SHARED, self._fd, 0)
            if base != MAP_FAILED:  # some file systems cannot: they are read
                self._base = <char *>base

    def __dealloc__(self):
        if self._base != NULL:
            munmap(self._base, self._size)
        if self._owns:  # not if what it was given was refused
            close(self._fd)

    cpdef sample(self, int64_t k):
        """Sample k: a dict of its key and its members' bytes; or what is wrong: (byte, "index" | "cut" | "header"). OSError: a read failed."""
        cdef dict entry = self._rows[k], sample = self._empty.copy()
        cdef cnp.ndarray members = entry["members"]
        if cnp.PyArray_TYPE(members) != cnp.NPY_INT64 or members.ndim != 2 or members.shape[1] != 3 or not cnp.PyArray_IS_C_CONTIGUOUS(members):
            raise TypeError("members: expected (fields, 3) int64")
        sample["__key__"] = entry["key"]
        wrong = self._read(<const int64_t *>cnp.PyArray_DATA(members), members.shape[0], sample)
        return sample if wrong is None else wrong

    cdef _read(self, const int64_t *members, Py_ssize_t fields, dict into):
        cdef Py_ssize_t field
        cdef int64_t start, size
        cdef Batch batch
        batch.members = batch.failed = 0
        for column in self._columns:
            field = (<tuple>column)[1]
            if not 0 <= field < fields:
                raise IndexError(f"member {field} of {fields}")
            start, size = members[3 * field], members[3 * field + 1]
            if start < 0:
                continue
            if start < BLOCK or size < 0 or size > self._size or start > self._size - size:
                return start, "index"
            if batch.members and (batch.members == AT_ONCE or start - BLOCK < batch.end or start - BLOCK - batch.end > NEAR):
                if self._flush(&batch):
                    return batch.wrong, batch.why.decode()
            data = PyBytes_FromStringAndSize(NULL, size)
            into[(<tuple>column)[0]] = data
            if batch.members == 0:
                batch.first = start - BLOCK
            batch.starts[batch.members], batch.sizes[batch.members], batch.hashes[batch.members] = start, size, members[3 * field + 2]
            batch.to[batch.members] = PyBytes_AS_STRING(data)
            batch.members += 1
            batch.end = start + size
        if batch.members and self._flush(&batch):
            return batch.wrong, batch.why.decode()
        return None

    cdef bint _flush(self, Batch *batch) except -1:
        """Reads the batch and empties it; True if something is wrong."""
        cdef bint bad
        with nogil:
            bad = copied(self._base, batch) if here(self._fd, self._base, batch, self._ask) else filled(self._fd, batch)
        if batch.failed:
            raise OSError(batch.failed, f"byte {batch.wrong}: {os.strerror(batch.failed)}")
        batch.members = 0
        return bad


@cython.final
cdef class Samples:
    """The samples of many tars, numbered through. starts: the first row of each tar, and at last the number of all rows. open(tar) gives a
    TarReader, or another function of a row of that tar; the last `most` that were opened stay open, until close_all(). fail(tar, byte, why) raises
    the error; why: a text of TarReader.sample's, or its OSError."""

    cdef object _open, _fail
    cdef list _readers, _order
    cdef Py_ssize_t _most
    cdef int64_t *_starts
    cdef Py_ssize_t _tars
    cdef object __weakref__

    def __cinit__(self, list starts not None, open, fail, Py_ssize_t most):
        cdef Py_ssize_t i
        if len(starts) == 0:
            raise ValueError("starts: expected at least the number of rows")
        self._open, self._fail, self._most, self._tars, self._order = open, fail, most, len(starts) - 1, []
        self._readers = [None] * self._tars
        self._starts = <int64_t *>PyMem_Malloc(len(starts) * sizeof(int64_t))
        if self._starts == NULL:
            raise MemoryError
        for i in range(len(starts)):
            self._starts[i] = starts[i]

    def __dealloc__(self):
        PyMem_Free(self._starts)

    def close_all(self):
        """Closes the tars; each is opened again when a row of it is asked for."""
        cdef Py_ssize_t tar
        self._order = []
        for tar in range(self._tars):
            self._readers[tar] = None

    def tar_of(self, int64_t row):
        """The tar that has a row."""
        return self._find(row)

    cdef Py_ssize_t _find(self, int64_t row) except -1:
        cdef Py_ssize_t low = 0, high = self._tars, middle
        if not 0 <= row < self._starts[self._tars]:
            raise IndexError(row)
        while high - low > 1:  # the last tar that begins at or before the row; empty ones begin where the next does
            middle = (low + high) // 2
            if self._starts[middle] <= row:
                low = middle
            else:
                high = middle
        return low

    def sample(self, int64_t row):
        cdef Py_ssize_t tar = self._find(row)
        reader = self._readers[tar]
        if reader is None:
            reader = self._open(tar)
            if self._readers[tar] is None:  # no other thread was quicker
                self._readers[tar] = reader
                self._order.append(tar)
                if len(self._order) > self._most:
                    self._readers[self._order.pop(0)] = None  # who reads it holds it
        row -= self._starts[tar]
        try:
            sample = (<TarReader>reader).sample(row) if type(reader) is TarReader else reader(row)
        except OSError as error:
            if error.errno is None or error.filename is not None:  # it names its file
                raise
            self._fail(tar, 0, error)
        if type(sample) is tuple:
            self._fail(tar, *sample)
        return sample


cdef bint here(int fd, char *base, const Batch *batch, bint ask) noexcept nogil:
    """Whether the mapping has all bytes of the batch, and, if it is to ask, large ones in memory."""
    cdef unsigned char pages[PAGES]
    cdef int64_t first, count, k
    cdef int page
    if base == NULL or batch.end - batch.first > ONE_COPY or lseek(fd, 0, SEEK_END) < batch.end:
        return False
    if not ask or batch.end - batch.first < LARGE:
        return True
    page = getpagesize()
    first = batch.first // page * page
    count = (batch.end - first + page - 1) // page
    if count > PAGES or mincore(base + first, batch.end - first, pages):
        return False
    for k in range(count):
        if not pages[k] & 1:
            return False
    return True


cdef bint copied(const char *base, Batch *batch) noexcept nogil:
    cdef int k
    for k in range(batch.members):
        if differs(base + batch.starts[k] - BLOCK, batch, k):
            return True
        memcpy(batch.to[k], base + batch.starts[k], batch.sizes[k])
    return False


cdef bint filled(int fd, Batch *batch) noexcept nogil:
    """Headers go to scratch, data to where they belong, what is between them nowhere."""
    cdef char headers[AT_ONCE][BLOCK]
    cdef char gap[NEAR]
    cdef iovec pieces[3 * AT_ONCE]
    cdef int count = 0, at = 0, k
    cdef int64_t offset = batch.first
    cdef ssize_t got
    for k in range(batch.members):
        count += piece(&pieces[count], gap, batch.starts[k] - BLOCK - offset)
        count += piece(&pieces[count], headers[k], BLOCK)
        count += piece(&pieces[count], batch.to[k], batch.sizes[k])
        offset = batch.starts[k] + batch.sizes[k]
    offset = batch.first
    while at < count:
        got = preadv(fd, &pieces[at], count - at, offset)
        if got < 0 and errno == EINTR:
            continue
        if got <= 0:
            batch.wrong, batch.failed = offset, errno if got else 0
            batch.why = "cut"
            return True
        offset += got
        while at < count and <size_t>got >= pieces[at].iov_len:
            got -= pieces[at].iov_len
            at += 1
        if got:  # a call may stop at 2 GiB, or inside a piece
            pieces[at].iov_base = <char *>pieces[at].iov_base + got
            pieces[at].iov_len -= got
    for k in range(batch.members):
        if differs(headers[k], batch, k):
            return True
    return False


cdef int piece(iovec *into, char *to, int64_t size) noexcept nogil:
    into.iov_base, into.iov_len = to, size
    return size > 0


cdef bint differs(const char *header, Batch *batch, int member) noexcept nogil:
    if <int64_t>XXH3_64bits(header, BLOCK) == batch.hashes[member]:
        return False
    batch.wrong = batch.starts[member] - BLOCK
    batch.why = "header"
    return True
