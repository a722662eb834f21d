# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, freethreading_compatible=True
"""The whole binding of the C core: every C object in a cdef class, one function that raises, and the two loops that turn
views into examples and examples into columns. No path and no policy lives here, and no thread but the helper of a large call.

Longer than other files because examples are built and taken apart without a Python-level call per value, in both directions.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_SetItem, PyDict_GetItem
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact, PyLong_AsLongLongAndOverflow, PyLong_FromLongLong, PyLong_FromUnsignedLongLong
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.number cimport PyNumber_AsSsize_t
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_DECREF, Py_XDECREF
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.errno cimport errno
from libc.string cimport memcpy, memmove, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap
cimport numpy as cnp

from atlas_ds.catlas cimport *

import os
import weakref
from multiprocessing.process import parent_process

import numpy as np

from atlas_ds import errors
from atlas_ds.schema.types import MAX_PAGE, MAX_VALUE, SCALARS, Array, Media as MediaType, Scalar, Struct, Tensor, Word
from atlas_ds.schema import arrays as _arrays, describe as _describe, examples as _examples, fits as _fits
from atlas_ds.schema import media as _media, nulls as _nulls, objects as _objects, ragged as _ragged

cnp.import_array()

cdef extern from *:
    """
    /* An owned reference kept in a slot that threads take from and give to, with or without a GIL. */
    #define slot_take(slot) __atomic_exchange_n((slot), NULL, __ATOMIC_ACQ_REL)
    #define count_up(number) __atomic_fetch_add((number), 1, __ATOMIC_RELAXED)
    #define slot_give(slot, object) __atomic_exchange_n((slot), (object), __ATOMIC_ACQ_REL)
    """
    PyObject *slot_take(PyObject **slot) nogil
    PyObject *slot_give(PyObject **slot, PyObject *object) nogil
    size_t count_up(size_t *number) nogil

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

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from *:
    """
    #if defined(__GLIBC__)
    #include <malloc.h>
    #endif
    /* Lets the C library keep freed memory. Out of the box it gives the top of the heap back whenever 128 KiB of it are free, so that a
     * loop over batches of large values gets each page anew from the kernel: 6 times slower. Freeing one block of nearly 32 MiB raises
     * that threshold, as any program that uses such arrays has done; the block is never touched. */
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

cdef extern from "helper.h":
    ctypedef struct helper:
        pass
    bint helper_off
    helper *helper_give(void (*work)(void *) noexcept nogil, void *given) nogil
    void helper_finish(helper *h) nogil

# Processes that were started to be workers (and one-core machines) have no core to spare.
helper_off = parent_process() is not None or len(os.sched_getaffinity(0)) < 2

# --- errors ------------------------------------------------------------------

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


# --- files in memory ---------------------------------------------------------

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


# --- dictionaries ------------------------------------------------------------

@cython.final
cdef class Dictionary:
    """A zstd dictionary, digested once; level > 0 lets it compress too."""
    cdef atlas_dict *c
    cdef readonly bytes data
    cdef readonly int level
    cdef object __weakref__

    def __cinit__(self, bytes data, int level=0):
        cdef atlas_error error
        error.status = ATLAS_OK
        self.data = data
        self.level = level
        atlas_dict_open(<const uint8_t *><char *>data, len(data), level, &self.c, &error)
        check(&error, "dictionary")

    def __dealloc__(self):
        atlas_dict_close(self.c)


# A process digests each distinct dictionary once, however many shards carry a copy of it.
cdef object _dictionaries = weakref.WeakValueDictionary()


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


# --- shards ------------------------------------------------------------------

@cython.final
cdef class Shard:
    """One opened shard over a span of memory that holds all of it (or will, where a filling is at work).

    span: any object with a buffer; it is held for as long as anything points into it. whole: the first bytes are there too, so
    that the header can be checked. cut: a repairer's view, see atlas.h.
    """
    cdef atlas_shard c
    cdef Py_buffer buffer
    cdef bint has_buffer
    cdef readonly object span
    cdef readonly str path
    cdef list dictionaries
    cdef object __weakref__

    def __cinit__(self, span, str path, *, bint whole=True, bint cut=False, fill=None):
        cdef atlas_error error
        cdef const uint8_t *base
        error.status = ATLAS_OK
        self.path = path
        PyObject_GetBuffer(span, &self.buffer, PyBUF_SIMPLE)
        self.has_buffer = True
        self.span = span
        base = <const uint8_t *>self.buffer.buf
        if whole:
            atlas_header_check(base, self.buffer.len, &error)
            check(&error, path)
        atlas_shard_open(base, self.buffer.len, &self.c, &error)
        check(&error, path)
        self.c.cut = cut
        self._bind(fill)

    cdef int _bind(self, fill) except -1:
        cdef atlas_error error
        cdef uint32_t k
        cdef atlas_leaf *leaves = <atlas_leaf *>PyMem_RawCalloc(self.c.leaf_count, sizeof(atlas_leaf))
        cdef uint64_t *pages = <uint64_t *>PyMem_RawCalloc(self.c.page_count + 1, 8)
        cdef uint8_t *heads = <uint8_t *>PyMem_RawCalloc(self.c.block_count + 1, 1)
        cdef const atlas_dict **dicts = <const atlas_dict **>PyMem_RawCalloc(self.c.dictionary_count + 1, sizeof(void *))
        error.status = ATLAS_OK
        self.c.leaves, self.c.pages, self.c.heads, self.c.dicts = leaves, pages, heads, dicts
        if leaves == NULL or pages == NULL or heads == NULL or dicts == NULL:
            raise MemoryError
        atlas_shard_bind(&self.c, leaves, pages, heads, dicts, &error)
        check(&error, self.path)
        self.dictionaries = []
        for k in range(1, self.c.dictionary_count + 1):
            dictionary = self._dictionary(k, fill)
            self.dictionaries.append(dictionary)
            dicts[k - 1] = (<Dictionary>dictionary).c

    cdef object _dictionary(self, uint32_t k, fill):
        cdef const uint8_t *entry = self.c.dictionaries + (k - 1) * ATLAS_DICTIONARY_SIZE
        cdef const uint8_t *data
        cdef size_t size
        cdef atlas_error error
        cdef uint64_t offset
        cdef uint32_t length
        key = PyBytes_FromStringAndSize(<char *>entry + ATLAS_DICTIONARY_DIGEST, 16)
        found = _dictionaries.get(key)
        if found is None:
            if fill is not None:
                memcpy(&offset, entry + ATLAS_DICTIONARY_OFFSET, 8)
                memcpy(&length, entry + ATLAS_DICTIONARY_BYTES, 4)
                fill(offset, ATLAS_CHUNK_BODY + length)
            error.status = ATLAS_OK
            atlas_shard_dict(&self.c, k, &data, &size, &error)
            check(&error, self.path)
            found = Dictionary(PyBytes_FromStringAndSize(<char *>data, size))
            _dictionaries[key] = found
        return found

    def __dealloc__(self):
        PyMem_RawFree(self.c.leaves)
        PyMem_RawFree(self.c.pages)
        PyMem_RawFree(self.c.heads)
        PyMem_RawFree(<void *>self.c.dicts)
        if self.has_buffer:
            PyBuffer_Release(&self.buffer)

    cdef bint has_page_coded(self):
        cdef uint32_t i
        for i in range(self.c.leaf_count):
            if self.c.leaves[i].flags & ATLAS_LEAF_PAGE_CODED:
                return True
        return False

    @property
    def rows(self):
        return self.c.rows

    @property
    def size(self):
        """Bytes of the file."""
        return self.c.bytes

    @property
    def raw_bytes(self):
        return self.c.raw_bytes

    @property
    def root(self):
        return self.c.root

    @property
    def nonce(self):
        return self.c.nonce

    @property
    def footer_offset(self):
        return self.c.footer_offset

    @property
    def schema_json(self):
        return PyBytes_FromStringAndSize(<char *>self.c.schema, self.c.schema_bytes)

    @property
    def stats_json(self):
        return PyBytes_FromStringAndSize(<char *>self.c.stats, self.c.stats_bytes)

    @property
    def digest(self):
        """Content digest: 16 bytes."""
        return PyBytes_FromStringAndSize(<char *>self.c.footer + ATLAS_FOOT_DIGEST, 16)

    @property
    def dictionary_bytes(self):
        """The shard's dictionaries, in order."""
        return [dictionary.data for dictionary in self.dictionaries]

    @property
    def leaves(self):
        """(id, kind, width, group, dictionary, flags, rows_per_block, first_block) of each leaf."""
        cdef uint32_t i
        cdef atlas_leaf *leaf
        out = []
        for i in range(self.c.leaf_count):
            leaf = &self.c.leaves[i]
            out.append((leaf.id, leaf.kind, leaf.width, leaf.group, leaf.dictionary, leaf.flags, leaf.rows_per_block, leaf.first_block))
        return out

    def blocks(self):
        """The block index as a structured array: offset, bytes, raw_bytes, hash; read-only, in place."""
        kind = np.dtype([("offset", "<u8"), ("bytes", "<u4"), ("raw_bytes", "<u4"), ("hash", "<u8")])
        if self.c.block_count == 0:
            return np.empty(0, kind)
        offset = self.c.index - <const uint8_t *>self.buffer.buf
        return np.frombuffer(self.span, kind, self.c.block_count, offset)

    def forget(self, uint32_t group, uint32_t block):
        """Forgets what is known of a block (counted within its group) before its bytes are given back."""
        atlas_shard_forget(&self.c, group, block)

    def verify_steps(self):
        """Verifies every byte; yields the offset reached after each chunk, and raises at the first damage."""
        cdef Context context = Context()
        cdef atlas_digest *digest = NULL
        cdef atlas_error error
        cdef uint64_t offset = ATLAS_HEADER_SIZE, next_offset = 0
        cdef uint32_t blocks = 0, dicts = 0
        cdef int status
        error.status = ATLAS_OK
        error.shard = 0
        context.c.verify = ATLAS_VERIFY_ALWAYS
        atlas_digest_open(self.c.leaf_count, &digest, &error)
        check(&error, self.path)
        try:
            while offset < self.c.footer_offset:
                context.c.used = 0
                with nogil:
                    status = atlas_verify_chunk(&context.c, &self.c, offset, digest, &blocks, &dicts, &next_offset, &error)
                if status == ATLAS_MEMORY and context.c.need > context.c.arena_bytes:
                    context.grow()  # nothing was counted or digested: the same chunk again
                    error.status = ATLAS_OK
                    continue
                if status != ATLAS_OK:
                    check(&error, self.path)
                offset = next_offset
                yield offset
            atlas_verify_rest(&self.c, digest, blocks, dicts, &error)
            check(&error, self.path)
        finally:
            atlas_digest_close(digest)


# --- for a repairer: a shard whose footer is gone ------------------------------

def good_chunks(const uint8_t[::1] data, str path):
    """(nonce, chunks, end): the header's nonce; the good chunks after it, up to one that is damaged or the footer, each as
    (kind, offset, start of its body, end of its body, hash); and where they end."""
    cdef const uint8_t *base = &data[0] if data.shape[0] else NULL
    cdef atlas_error error
    cdef atlas_chunk chunk
    cdef uint64_t nonce, body, offset = ATLAS_HEADER_SIZE
    error.status = ATLAS_OK
    atlas_header_check(base, data.shape[0], &error)
    check(&error, path)
    memcpy(&nonce, base + ATLAS_HEADER_NONCE, 8)
    chunks = []
    while offset < <uint64_t>data.shape[0] and atlas_chunk_check(base, data.shape[0], offset, nonce, &chunk, &error) == ATLAS_OK:
        kind = PyBytes_FromStringAndSize(<char *>chunk.kind, 4)
        if kind == b"FOOT":
            break
        body = offset + ATLAS_CHUNK_BODY
        chunks.append((kind, offset, body, body + chunk.body_bytes, chunk.hash))
        offset = chunk.next
    return nonce, chunks, offset


def block_rows(const uint8_t[::1] layout, str path):
    """Rows of a block of each group, from the body of SCHM."""
    cdef uint32_t leaves, groups, rows
    cdef uint64_t at, end = 0
    if layout.shape[0] >= ATLAS_LAYOUT_TABLES:
        memcpy(&leaves, &layout[ATLAS_LAYOUT_LEAF_COUNT], 4)
        memcpy(&groups, &layout[ATLAS_LAYOUT_GROUP_COUNT], 4)
        at = ATLAS_LAYOUT_TABLES + <uint64_t>leaves * ATLAS_LEAF_SIZE
        end = at + <uint64_t>groups * ATLAS_GROUP_SIZE
    if end == 0 or end > <uint64_t>layout.shape[0]:
        raise errors.CorruptError(f"{path}: SCHM is too short for its tables (byte {ATLAS_HEADER_SIZE})")
    out = []
    while at < end:
        memcpy(&rows, &layout[at + ATLAS_GROUP_ROWS_PER_BLOCK], 4)
        if rows == 0:
            raise errors.CorruptError(f"{path}: group.rows_per_block is 0 (byte {ATLAS_HEADER_SIZE})")
        out.append(rows)
        at += ATLAS_GROUP_SIZE
    return out


def check_block(const uint8_t[::1] chunk):
    """(first row, rows, group, raw bytes) of a DATA chunk without its padding, or None where a page is not what its hash says."""
    cdef const uint8_t *base
    cdef const uint8_t *entry
    cdef uint64_t first, hash, size = chunk.shape[0], raw_bytes = 0
    cdef uint32_t rows, offset, stored, raw
    cdef uint16_t group, pages, k
    if size < ATLAS_BLOCK_TABLE:
        return None
    base = &chunk[0]
    memcpy(&first, base + ATLAS_BLOCK_FIRST_ROW, 8)
    memcpy(&rows, base + ATLAS_BLOCK_ROWS, 4)
    memcpy(&group, base + ATLAS_BLOCK_GROUP, 2)
    memcpy(&pages, base + ATLAS_BLOCK_PAGES, 2)
    if size < ATLAS_BLOCK_TABLE + <uint64_t>pages * ATLAS_PAGE_SIZE:
        return None
    for k in range(pages):
        entry = base + ATLAS_BLOCK_TABLE + <size_t>k * ATLAS_PAGE_SIZE
        memcpy(&offset, entry + ATLAS_PAGE_OFFSET, 4)
        memcpy(&stored, entry + ATLAS_PAGE_STORED, 4)
        memcpy(&raw, entry + ATLAS_PAGE_RAW, 4)
        memcpy(&hash, entry + ATLAS_PAGE_HASH, 8)
        raw_bytes += raw
        if <uint64_t>offset + stored > size or raw_bytes > ATLAS_MAX_PAGE or atlas_hash64(base + offset, stored, 0) != hash:
            return None
    return first, rows, group, raw_bytes


# --- a thread's decoder --------------------------------------------------------

@cython.final
cdef class Context:
    """What one call needs for itself: a decoder, an arena, room for views."""
    cdef atlas_reader c
    cdef atlas_view *views
    cdef size_t view_room
    cdef int delayed
    cdef void *delayed_to[8]
    cdef const void *delayed_from[8]
    cdef size_t delayed_bytes[8]
    cdef Context second  # the helper's, where one shares the work
    cdef bint own_bytes  # bytes are copied, whatever else lies in the span: other processes can be given bytes, but no view

    cdef void copy(self, void *to, const void *source, size_t size) noexcept:
        """Copies when the example is built: by then the memory that was asked for has come."""
        if self.delayed == 8:
            self.finish_copies()
        self.delayed_to[self.delayed], self.delayed_from[self.delayed], self.delayed_bytes[self.delayed] = to, source, size
        self.delayed += 1

    cdef void finish_copies(self) noexcept:
        cdef int k
        for k in range(self.delayed):
            memcpy(self.delayed_to[k], self.delayed_from[k], self.delayed_bytes[k])
        self.delayed = 0

    def __cinit__(self):
        cdef atlas_error error
        error.status = ATLAS_OK
        atlas_reader_open(&self.c, &error)
        check(&error, "decoder")
        self.c.arena = <uint8_t *>PyMem_RawMalloc(1 << 16)
        if self.c.arena == NULL:
            raise MemoryError
        self.c.arena_bytes = 1 << 16

    def __dealloc__(self):
        atlas_reader_close(&self.c)
        PyMem_RawFree(self.c.arena)
        PyMem_RawFree(self.views)

    cdef int grow(self) except -1:
        """Makes the arena as large as the last call needed."""
        cdef size_t size = self.c.need + self.c.need // 8 + 4096
        PyMem_RawFree(self.c.arena)
        self.c.arena_bytes = 0
        self.c.arena = <uint8_t *>PyMem_RawMalloc(size)
        if self.c.arena == NULL:
            raise MemoryError
        self.c.arena_bytes = size
        return 1

    cdef int trim(self) except -1:
        """Gives a large arena back after use, so that one huge batch does not stay in memory."""
        if self.c.arena_bytes > (32 << 20):
            self.c.need = 1 << 16
            self.grow()
        if self.second is not None:
            self.second.trim()
        return 0

    cdef int room(self, size_t count) except -1:
        if count > self.view_room:
            PyMem_RawFree(self.views)
            self.view_room = 0
            self.views = <atlas_view *>PyMem_RawMalloc(count * sizeof(atlas_view))
            if self.views == NULL:
                raise MemoryError
            self.view_room = count
        return 0


# --- what an example is made of -------------------------------------------------

cdef enum Kind:
    K_BOOL, K_INT8, K_INT16, K_INT32, K_INT64, K_UINT8, K_UINT16, K_UINT32, K_UINT64, K_FLOAT32, K_FLOAT64, K_BFLOAT16
    K_ITEM          # another scalar: through NumPy
    K_STR, K_BYTES, K_OBJECT, K_ARRAY, K_TENSOR, K_MEDIA, K_STRUCT
    K_TUPLE, K_LIST, K_VALUE

cdef dict _SCALAR_KINDS = {
    "bool": K_BOOL, "int8": K_INT8, "int16": K_INT16, "int32": K_INT32, "int64": K_INT64, "uint8": K_UINT8, "uint16": K_UINT16,
    "uint32": K_UINT32, "uint64": K_UINT64, "float32": K_FLOAT32, "float64": K_FLOAT64, "bfloat16": K_BFLOAT16,
}


@cython.final
cdef class Node:
    """A field (or the whole example) compiled: how to build it from views of leaves, and how to take it apart."""
    cdef Kind kind
    cdef int slot            # of its first own leaf in the projection, -1 if it has none
    cdef int ndim            # K_ARRAY; K_TENSOR (-1: differs)
    cdef int typenum
    cdef bint bfloat16
    cdef bint numpy_scalar
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


cdef Node make_node(object field, dict slots):
    cdef Node node = Node()
    cdef int i
    node.field = field
    node.name = field.name
    node.nullable = field.nullable
    node.numpy_scalar = field.numpy
    node.slot = slots[field.leaves[0]] if field.leaves else -1
    kind = field.type
    if isinstance(kind, (Scalar, Array, Tensor)):
        node.dtype = SCALARS[kind.dtype]
        node.bfloat16 = kind.dtype == "bfloat16"
        node.typenum = node.dtype.num
        node.item = node.dtype.itemsize
        node.width = node.item
    if isinstance(kind, Scalar):
        node.kind = _SCALAR_KINDS.get(kind.dtype, K_ITEM)
        if node.numpy_scalar and not node.bfloat16:
            node.kind = K_ITEM
    elif isinstance(kind, Word):
        node.kind = {"str": K_STR, "bytes": K_BYTES, "object": K_OBJECT}[kind.kind]
    elif isinstance(kind, Array):
        node.kind = K_ARRAY
        node.ndim = len(kind.shape)
        for i in range(node.ndim):
            node.shape[i] = kind.shape[i]
            node.width *= kind.shape[i]
    elif isinstance(kind, Tensor):
        node.kind = K_TENSOR
        node.ndim = -1 if kind.ndim is None else kind.ndim
    elif isinstance(kind, MediaType):
        node.kind = K_MEDIA
        node.media_type = kind.type
    else:
        node.kind = K_STRUCT
        node.children = [make_node(child, slots) for child in kind.fields]
        node.names = tuple(child.name for child in kind.fields)
    return node


cdef Node make_root(object schema, dict slots):
    """The whole example. slots: leaf id to its number among the leaves."""
    cdef Node root = Node()
    root.kind = {"dict": K_STRUCT, "dataclass": K_STRUCT, "tuple": K_TUPLE, "list": K_LIST, "value": K_VALUE}[schema.container]
    root.slot = -1
    root.name = ""
    root.children = [make_node(field, slots) for field in schema.fields]
    root.names = schema.names
    return root


@cython.final
cdef class Projection:
    """A schema (or some of its columns) compiled against the positions of its leaves in the leaf table."""
    cdef Node root
    cdef uint32_t *leaves
    cdef readonly int leaf_count
    cdef readonly object schema

    def __cinit__(self, schema, dict positions):
        """positions: leaf id to its place in the leaf table."""
        cdef int i
        wanted = schema.leaves
        self.schema = schema
        self.leaf_count = len(wanted)
        self.leaves = <uint32_t *>PyMem_RawMalloc(4 * self.leaf_count + 4)
        if self.leaves == NULL:
            raise MemoryError
        slots = {}
        for i in range(self.leaf_count):
            slots[wanted[i].id] = i
            self.leaves[i] = positions[wanted[i].id]
        self.root = make_root(schema, slots)

    def __dealloc__(self):
        PyMem_RawFree(self.leaves)


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
    cdef cnp.npy_intp total = node.item
    cdef cnp.ndarray out
    if ndim == 1:
        dims[0] = view.size // node.item
    else:
        if ndim < 0:
            ndim = <int>(shape_view.size // 4) if shape_view.size % 4 == 0 and shape_view.size <= 128 else 33
        if ndim > 32:
            raise errors.CorruptError(f"column {node.name!r}: the shape of a tensor is wrong")
        for i in range(ndim):
            memcpy(&length, shape_view.data + 4 * i, 4)
            dims[i] = length
    for i in range(ndim):
        if dims[i] != 0 and total > (<cnp.npy_intp>1 << 40) // dims[i]:
            total = -1
            break
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


@cython.final
cdef class Slice:
    """Some bytes of a span, read-only, which keep the span alive."""
    cdef object owner
    cdef const uint8_t *data
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void *>self.data, self.size, 1, flags)


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
    if node.slot >= 0:
        view = &views[<size_t>node.slot * stride + i]
        if view.data == NULL:
            return None
    if kind == K_INT64:
        return PyLong_FromLongLong((<const int64_t *>view.data)[0])
    if kind == K_ARRAY:
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
    if kind == K_OBJECT:
        return _objects.unpack(PyBytes_FromStringAndSize(<const char *>view.data, view.size))
    if kind == K_TENSOR:
        return build_tensor(node, view, view if node.ndim == 1 else &views[<size_t>(node.slot + 1) * stride + i], owner)
    if kind == K_MEDIA:
        data = build_bytes(view, None if context.own_bytes else owner)
        if node.media_type is not None:
            return _media.Media(data, node.media_type)
        view = &views[<size_t>(node.slot + 1) * stride + i]
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
    text = f"a str is not UTF-8 ({cause})" if isinstance(cause, UnicodeDecodeError) else str(cause)
    return errors.CorruptError(f"{where}: row {row}: {text}")


cdef const int64_t *data_or_null(object array):
    return NULL if array is None else <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>array)


# --- many shards, one sequence ----------------------------------------------------

cdef int READ_CHUNK = 4 << 20  # raw bytes that iteration reads at a time, at most
cdef size_t SHARED_ROWS = 64  # fewer are decoded sooner than a thread wakes up

cdef struct Lookup:  # one call of atlas_views, which a helper may share piece by piece
    const atlas_set *set
    const int64_t *rows
    size_t count
    const int64_t *order
    const uint32_t *leaves
    size_t leaf_count
    atlas_view *views
    size_t piece      # rows
    size_t taken      # pieces that somebody has begun
    int64_t per       # rows per block of pages that are decoded as a whole, or 0: a piece begins where such a block does

cdef struct Worker:  # one of those who share it
    Lookup *lookup
    atlas_reader *reader
    int status
    atlas_error error


cdef bint has_coded(const atlas_shard *shard, const uint32_t *leaves, size_t leaf_count) noexcept:
    """Whether some of the leaves may be compressed there."""
    cdef size_t l
    for l in range(leaf_count):
        if shard.leaves[leaves[l]].dictionary != 0 or shard.leaves[leaves[l]].flags & ATLAS_LEAF_PAGE_CODED:
            return True
    return False


cdef int64_t least_coded(const atlas_shard *shard, const uint32_t *leaves, size_t leaf_count) noexcept nogil:
    """Rows per block of the leaf with the smallest blocks among those whose pages are decoded as a whole; 0 if there is none."""
    cdef int64_t least = 0
    cdef const atlas_leaf *leaf
    cdef size_t l
    for l in range(leaf_count):
        leaf = &shard.leaves[leaves[l]]
        if leaf.flags & ATLAS_LEAF_PAGE_CODED and (least == 0 or leaf.rows_per_block < least):
            least = leaf.rows_per_block
    return least


cdef size_t shard_of(const atlas_set *set, int64_t row) noexcept nogil:
    cdef size_t low = 0, high = set.count - 1, middle
    while low < high:
        middle = low + (high - low + 1) // 2
        if set.starts[middle] <= row:
            low = middle
        else:
            high = middle - 1
    return low


cdef size_t border(const Lookup *at, size_t number) noexcept nogil:
    """Where a piece begins."""
    cdef size_t i = number * at.piece, k
    cdef int64_t before, row, block
    if i >= at.count:
        return at.count
    if at.per == 0 or i == 0:
        return i
    before = at.rows[at.order[i - 1] if at.order != NULL else i - 1]
    k = shard_of(at.set, before)
    block = (before - at.set.starts[k]) // at.per
    while i < at.count:
        row = at.rows[at.order[i] if at.order != NULL else i]
        if row >= at.set.starts[k + 1] or (row - at.set.starts[k]) // at.per != block:
            break
        i += 1
    return i


cdef void look_up(void *given) noexcept nogil:
    """Takes pieces until none is left."""
    cdef Worker *worker = <Worker *>given
    cdef Lookup *at = worker.lookup
    cdef size_t number, start, stop, shift
    worker.reader.used = worker.reader.need = 0
    worker.status = ATLAS_OK
    worker.error.shard = 0
    while worker.status == ATLAS_OK:
        number = count_up(&at.taken)
        if number * at.piece >= at.count:
            return
        start, stop = border(at, number), border(at, number + 1)
        if start == stop:
            continue
        shift = 0 if at.order != NULL else start
        worker.status = atlas_views(worker.reader, at.set, at.rows + shift, stop - start, at.order + start if at.order != NULL else NULL, at.count, at.leaves, at.leaf_count, at.views + shift, &worker.error)


@cython.final
cdef class ShardSet:
    """Shards one after another. opener(k) gives Shard k when it is first needed.

    guard: None where all bytes of a span are always there (mmap); else an object with enter(rows, shard_set, projection) -> token and
    exit(token), between which the bytes of those rows stay.
    """
    cdef atlas_set c
    cdef cnp.ndarray starts
    cdef atlas_shard **shards
    cdef list opened
    cdef object opener
    cdef object guard
    cdef PyObject *spare  # a Context that waits for its next use
    cdef size_t missing
    cdef bint page_coded  # some leaf of an open shard may be compressed by whole pages: rows are read in their order
    cdef int verify
    cdef bint copy
    cdef uint32_t max_page

    def __cinit__(self, starts, opener, *, int verify, bint copy, guard=None, uint32_t max_page=MAX_PAGE):
        self.starts = np.ascontiguousarray(starts, np.int64)
        self.c.count = self.starts.shape[0] - 1
        self.c.starts = <const int64_t *>cnp.PyArray_DATA(self.starts)
        self.shards = <atlas_shard **>PyMem_RawCalloc(self.c.count + 1, sizeof(void *))
        if self.shards == NULL:
            raise MemoryError
        self.c.shards = self.shards
        self.opened = [None] * self.c.count
        self.missing = self.c.count
        self.opener = opener
        self.guard = guard
        self.spare = NULL
        self.verify = verify
        self.copy = copy
        self.max_page = max_page

    def __dealloc__(self):
        PyMem_RawFree(self.shards)
        Py_XDECREF(self.spare)

    def shard(self, size_t k):
        """Shard k, opened if it was not."""
        if k >= self.c.count:
            raise IndexError(f"shard {k} of {self.c.count}")
        if self.shards[k] == NULL:
            shard = self.opener(k)
            if self.opened[k] is None:
                self.opened[k] = shard
                self.shards[k] = &(<Shard>shard).c
                self.missing -= 1
                self.page_coded |= (<Shard>shard).has_page_coded()
        return self.opened[k]

    @property
    def is_open(self):
        """Numbers of the shards that are open."""
        return [k for k, shard in enumerate(self.opened) if shard is not None]

    cdef size_t locate(self, int64_t row) noexcept:
        return shard_of(&self.c, row)

    cdef int open_for(self, const int64_t *rows, size_t count) except -1:
        cdef size_t i, k = 0
        if self.missing == 0:
            return 0
        for i in range(count):
            if rows[i] < self.c.starts[k] or rows[i] >= self.c.starts[k + 1] or self.shards[k] == NULL:
                if rows[i] < 0 or rows[i] >= self.c.starts[self.c.count]:
                    raise IndexError(f"row {rows[i]} is out of range for {self.c.starts[self.c.count]} rows")
                k = self.locate(rows[i])
                if self.shards[k] == NULL:
                    self.shard(k)
                    if self.missing == 0:
                        return 0
        return 0

    cdef Context take(self):
        cdef PyObject *spare = slot_take(&self.spare)
        cdef Context context
        if spare != NULL:
            context = <Context>spare
            Py_DECREF(context)
            return context
        return self.new_context()

    cdef Context new_context(self):
        cdef Context context = Context()
        context.c.verify = self.verify
        context.c.max_page = self.max_page
        return context

    cdef int give(self, Context context) except -1:
        Py_INCREF(context)
        Py_XDECREF(slot_give(&self.spare, <PyObject *>context))
        return 0

    cdef str where(self, size_t k):
        shard = self.opened[k] if k < self.c.count else None
        return (<Shard>shard).path if shard is not None else "dataset"

    cdef int read_views(self, Context context, const uint32_t *leaves, size_t leaf_count, const int64_t *rows, size_t count, const int64_t *order, bint alone) except -1:
        """Fills context.views, leaf after leaf. alone: without a helper."""
        cdef Lookup at
        cdef const atlas_shard *shard
        context.room(count * leaf_count)
        at.set, at.rows, at.count, at.order, at.leaves, at.leaf_count, at.views = &self.c, rows, count, order, leaves, leaf_count, context.views
        if not alone and not helper_off and count >= SHARED_ROWS:
            shard = self.shards[self.locate(rows[0])]
            if has_coded(shard, leaves, leaf_count):
                at.per = least_coded(shard, leaves, leaf_count)
                at.piece = 256 if at.per else 16
                if self.share(context, &at):
                    return 0
        at.piece, at.per = count, 0
        return self.read_alone(context, &at)

    cdef int read_one(self, Context context, Projection projection, const int64_t *row) except -1:
        """As read_views for one row, with nothing in between: others are not let run, and no work is shared."""
        cdef atlas_error error
        cdef int status
        context.room(projection.leaf_count)
        error.shard = 0
        while True:
            context.c.used = 0
            status = atlas_views(&context.c, &self.c, row, 1, NULL, 1, projection.leaves, projection.leaf_count, context.views, &error)
            if self.settled(context, status, &error):
                return 0

    cdef int read_alone(self, Context context, Lookup *at) except -1:
        cdef Worker worker
        worker.lookup, worker.reader = at, &context.c
        while True:
            at.taken = 0
            with nogil:
                look_up(&worker)
            if self.settled(context, worker.status, &worker.error):
                return 0

    cdef bint share(self, Context context, Lookup *at) except -1:
        """The pieces are shared with the helper: both fill the same views, each from an arena of its own. False: an arena was too small, and has grown."""
        cdef Worker own, other
        cdef helper *help
        if context.second is None:
            context.second = self.new_context()
        own.lookup, own.reader = at, &context.c
        other.lookup, other.reader, other.status = at, &context.second.c, ATLAS_OK
        at.taken = 0
        with nogil:
            help = helper_give(look_up, &other)
            look_up(&own)
            if help != NULL:
                helper_finish(help)
        own_done = self.settled(context, own.status, &own.error)
        return self.settled(context.second, other.status, &other.error) and own_done

    cdef bint settled(self, Context context, int status, atlas_error *error) except -1:
        """True after success; False once the arena has the size that the call asked for; else raises."""
        if status == ATLAS_OK:
            return True
        if status != ATLAS_MEMORY or context.c.need <= context.c.arena_bytes:
            check(error, self.where(error.shard))
        context.grow()
        return False

    cdef object order_of(self, cnp.ndarray rows):
        """In which order to go through rows so that each page is decoded once; None where pages are not compressed as a whole."""
        return np.argsort(rows, kind="stable").astype(np.int64, copy=False) if self.page_coded else None

    cdef object example(self, Projection projection, int64_t row):
        cdef Context context
        cdef size_t k = 0
        cdef object token = None
        if self.c.count > 1:
            k = self.locate(row)
        if self.shards[k] == NULL:
            self.shard(k)
        if self.guard is not None:
            token = self.guard.enter(np.array([row]), self, projection)
        context = self.take()
        try:
            self.read_one(context, projection, &row)
            return self.build_row(context, projection, 1, 0, k, row)
        finally:
            self.give(context)
            if token is not None:
                self.guard.exit(token)

    cdef object build_row(self, Context context, Projection projection, size_t count, size_t i, size_t k, int64_t row):
        """Row of shard k, whose views are the i-th of count."""
        try:
            if self.copy or self.guard is not None:
                example = build(context, projection.root, context.views, count, i, None)
                context.finish_copies()
                return example
            return self.build_shared(context, projection, count, i, k)
        except (UnicodeDecodeError, errors.CorruptError) as cause:
            raise damaged_value(cause, self.where(k), row - self.c.starts[k]) from cause
        finally:
            context.delayed = 0

    cdef object build_shared(self, Context context, Projection projection, size_t count, size_t i, size_t k):
        """An example whose values lie in the span where they can; those that were decoded are moved to memory of their own."""
        cdef Shard shard = <Shard>self.opened[k]
        cdef const uint8_t *base = shard.c.base
        cdef const uint8_t *end = base + shard.c.bytes
        cdef atlas_view *view
        cdef size_t l, total = 0, at = 0
        cdef uint8_t *room
        for l in range(<size_t>projection.leaf_count):
            view = &context.views[l * count + i]
            if view.data != NULL and not (base <= view.data < end):
                total += (view.size + 63) & ~<size_t>63
        if total == 0:
            return build(context, projection.root, context.views, count, i, shard)
        keep = np.empty(total + 64, np.uint8)
        room = <uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>keep)
        room += (64 - <size_t>room % 64) % 64
        for l in range(<size_t>projection.leaf_count):
            view = &context.views[l * count + i]
            if view.data != NULL and not (base <= view.data < end):
                memcpy(room + at, view.data, view.size)
                view.data = room + at
                at += (view.size + 63) & ~<size_t>63
        return build(context, projection.root, context.views, count, i, (shard, keep))

    def shard_numbers(self, rows):
        """The shard of each shard_set row."""
        return np.searchsorted(self.starts, rows, "right") - 1

    def first_row(self, size_t k):
        return self.c.starts[k]

    def groups_of(self, Projection projection, size_t k):
        """The groups of shard k that a projection reads, as {group: (rows_per_block, first_block)}."""
        cdef Shard shard = <Shard>self.shard(k)
        cdef int i
        cdef atlas_leaf *leaf
        out = {}
        for i in range(projection.leaf_count):
            leaf = &shard.c.leaves[projection.leaves[i]]
            out[leaf.group] = (leaf.rows_per_block, leaf.first_block)
        return out

    def examples(self, Projection projection, cnp.ndarray rows, bint own_bytes=False):
        """The examples of some rows (int64), as a list. own_bytes: bytes are bytes, even where copy=False makes everything a view."""
        return self._list(projection, np.ascontiguousarray(rows, np.int64), own_bytes)

    cdef list _list(self, Projection projection, cnp.ndarray rows, bint own_bytes):
        cdef size_t count = rows.shape[0], i, k = 0
        cdef const int64_t *p = <const int64_t *>cnp.PyArray_DATA(rows)
        cdef Context context
        cdef object token = None
        cdef list out = []
        if count == 0:
            return out
        self.open_for(p, count)
        if self.guard is not None:
            token = self.guard.enter(rows, self, projection)
        order = self.order_of(rows)
        context = self.take()
        context.own_bytes = own_bytes
        try:
            self.read_views(context, projection.leaves, projection.leaf_count, p, count, data_or_null(order), False)
            for i in range(count):
                if p[i] < self.c.starts[k] or p[i] >= self.c.starts[k + 1]:
                    k = self.locate(p[i])
                out.append(self.build_row(context, projection, count, i, k, p[i]))
        finally:
            context.own_bytes = False
            context.trim()
            self.give(context)
            if token is not None:
                self.guard.exit(token)
        return out

    def chunk_rows(self, Projection projection):
        """Rows that iteration reads at a time: about 4 MiB of raw data, at most 64 (what was decoded is still in the cache when examples are
        made of it), or 256 where a helper shares the work (which has to wake up)."""
        cdef uint64_t raw = 0, rows = 0
        cdef size_t k
        cdef uint64_t most = 64
        for k in range(self.c.count):
            if self.shards[k] != NULL:
                if not helper_off and has_coded(self.shards[k], projection.leaves, projection.leaf_count):
                    most = 256
                raw += self.shards[k].raw_bytes
                rows += self.shards[k].rows
        return max(1, min(most, READ_CHUNK * rows // max(raw, 1))) if rows else most

    def block_rows(self, Projection projection, int64_t row):
        """(first row of row's shard, rows per block of its page-coded leaf with the smallest blocks, or 0)."""
        cdef size_t k = self.locate(row)
        cdef Shard shard = <Shard>self.shard(k)
        return self.c.starts[k], least_coded(&shard.c, projection.leaves, projection.leaf_count)

    @property
    def blocks_at_once(self):
        """Blocks that iteration reads at a time where pages are decoded as a whole: one for each thread that shares the work."""
        return 1 if helper_off else 2

    def batch(self, Projection projection, cnp.ndarray rows, out=None, bint alone=False):
        """Columns of some rows (int64): nested as an example is. out: {path: array} to fill instead of new ones. alone: without a helper."""
        cdef const int64_t *p
        cdef object token = None
        if cnp.PyArray_TYPE(rows) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(rows):
            rows = np.ascontiguousarray(rows, np.int64)
        p = <const int64_t *>cnp.PyArray_DATA(rows)
        self.open_for(p, rows.shape[0])
        if self.guard is None:
            return Batch(self, projection, rows, out, alone).read()
        token = self.guard.enter(rows, self, projection)
        try:
            return Batch(self, projection, rows, out, alone).read()
        finally:
            self.guard.exit(token)


cdef size_t LET_OTHERS_RUN = 256 << 10  # bytes to copy, from which letting the GIL go is worth it


cdef void copy_views(char **to, const atlas_view *views, size_t count) noexcept nogil:
    cdef size_t i
    for i in range(count):
        if to[i] != NULL:
            memcpy(to[i], views[i].data, views[i].size)


@cython.final
cdef class Batch:
    """One batch being read: first all fixed leaves in one call, then all variable leaves in one call."""
    cdef ShardSet shard_set
    cdef Projection projection
    cdef cnp.ndarray rows
    cdef size_t count
    cdef object out
    cdef bint alone
    cdef list arrays      # of each slot: the gathered array of a fixed leaf, else None
    cdef list nulls       # of each slot: uint8 array, else None
    cdef list place       # of each slot: its run in the views of variable leaves
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
        cdef Context context = self.shard_set.take()
        self.context = context
        try:
            order = self.shard_set.order_of(self.rows)
            self.allocate(self.projection.root.children, "")
            self.gather(data_or_null(order))
            self.views(data_or_null(order))
            return self.whole(self.projection.root)
        finally:
            context.trim()
            self.shard_set.give(context)

    cdef int allocate(self, list nodes, str prefix) except -1:
        cdef Node node
        cdef cnp.npy_intp shape[33]
        cdef int i
        for node in nodes:
            path = prefix + node.name if self.out is not None else ""
            if node.kind == K_STRUCT:
                if node.slot >= 0:
                    self.arrays[node.slot] = np.empty(self.count, np.bool_)
                self.allocate(node.children, path + ".")
                continue
            if node.kind == K_TENSOR and node.ndim > 1:
                self.arrays[node.slot + 1] = np.empty((self.count, node.ndim), np.uint32)
                if node.nullable:
                    self.nulls[node.slot + 1] = np.empty(self.count, np.uint8)
            if node.kind >= K_STR and node.kind != K_ARRAY:
                continue
            shape[0] = self.count
            for i in range(node.ndim):
                shape[i + 1] = node.shape[i]
            given = self.out.get(path) if self.out is not None else None
            if given is not None:
                self.arrays[node.slot] = check_out(given, path, tuple([shape[i] for i in range(node.ndim + 1)]), node)
            else:
                self.arrays[node.slot] = new_array(node.ndim + 1, shape, node.typenum)
            if node.nullable:
                self.nulls[node.slot] = np.empty(self.count, np.uint8)
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
                columns[used].nulls = <uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>self.nulls[l]) if self.nulls[l] is not None else NULL
                used += 1
            if used == 0 or self.count == 0:
                return 0
            error.shard = 0
            while True:
                self.context.c.used = 0
                with nogil:
                    status = atlas_gather(&self.context.c, &self.shard_set.c, rows, self.count, order, columns, used, &error)
                if self.shard_set.settled(self.context, status, &error):
                    return 0
        finally:
            if columns != stack:
                PyMem_RawFree(columns)

    cdef int views(self, const int64_t *order) except -1:
        cdef int l
        cdef size_t used = 0
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
                self.shard_set.read_views(self.context, wanted, used, <const int64_t *>cnp.PyArray_DATA(self.rows), self.count, order, self.alone)
        finally:
            PyMem_RawFree(wanted)
        return 0

    cdef object damage(self, object cause, size_t i):
        """The error of the value in row i of the batch."""
        cdef int64_t row = (<const int64_t *>cnp.PyArray_DATA(self.rows))[i]
        cdef size_t k = self.shard_set.locate(row)
        return damaged_value(cause, self.shard_set.where(k), row - self.shard_set.c.starts[k])

    cdef atlas_view *run(self, int slot):
        return self.context.views + <size_t>self.place[slot] * self.count

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
        cdef size_t i
        cdef list out
        if node.kind == K_STRUCT:
            columns = self.whole(node)
            if node.slot >= 0:
                return _nulls.present(columns, self.arrays[node.slot])
            return columns
        if node.kind < K_STR or node.kind == K_ARRAY:
            array = self.arrays[node.slot]
            if node.bfloat16:
                array = widen_bfloat16(array)
            if node.nullable:
                return _nulls.masked(array, self.nulls[node.slot])
            return array
        views = self.run(node.slot)
        if node.kind == K_TENSOR:
            return self.ragged(node, views)
        out = self.copies(views) if node.kind == K_BYTES or node.kind == K_MEDIA else [None] * self.count
        if node.kind == K_BYTES:
            return out
        i = 0
        try:
            while i < self.count:
                if views[i].data != NULL:
                    out[i] = text_from(views[i].data, views[i].size) if node.kind == K_STR else self.variable(node, views, i, out[i])
                i += 1
        except (UnicodeDecodeError, errors.CorruptError) as cause:
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
            return _objects.unpack(PyBytes_FromStringAndSize(<const char *>views[i].data, views[i].size)) if views[i].size else None
        if node.media_type is not None:
            return _media.Media(data, node.media_type)
        kind = self.run(node.slot + 1)
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
                raise self.damage(errors.CorruptError(f"column {node.name!r}: the bytes of a tensor are no multiple of its item"), i)
            total += views[i].size
        o[self.count] = total // node.item
        values = np.empty(total // node.item, node.dtype)
        p = <uint8_t *>cnp.PyArray_DATA(values)
        for i in range(self.count):
            memcpy(p, views[i].data, views[i].size)
            p += views[i].size
        shapes = None
        if node.ndim > 1 or node.ndim == 0:
            shapes = self.arrays[node.slot + 1] if node.ndim else [()] * self.count
        elif node.ndim < 0:
            kind = self.run(node.slot + 1)
            shapes = [tuple(np.frombuffer(PyBytes_FromStringAndSize(<char *>kind[i].data, kind[i].size), np.uint32).tolist()) for i in range(self.count)]
        mask = np.array([views[i].data == NULL for i in range(self.count)], np.bool_) if node.nullable else None
        return _ragged.Ragged(widen_bfloat16(values) if node.bfloat16 else values, offsets, shapes, mask)


cdef object check_out(object given, str path, tuple shape, Node node):
    if not isinstance(given, np.ndarray) or given.shape != shape or given.dtype != node.dtype or not given.flags.c_contiguous or not given.flags.aligned or not given.flags.writeable or node.bfloat16:
        raise ValueError(f"out[{path!r}] must be a writable, aligned, C-contiguous array of shape {shape} and dtype {node.dtype}; {_describe.describe(given)} was given")
    return given


cdef class Rows:
    """A sequence of rows of a shard_set: all of them, every step-th, or those of an index array. The base of every dataset and view.

    ds[i] with an int is answered here; any other key goes to the method _select of the subclass, and where convert is not None
    each example passes through it; the method _failed(error, row) is told of an error in that.
    """
    cdef readonly ShardSet shard_set
    cdef readonly Projection projection
    cdef readonly object convert
    cdef object indices
    cdef const int64_t *index
    cdef int64_t start, step
    cdef Py_ssize_t count

    def _bind(self, ShardSet shard_set, Projection projection, rows, convert=None):
        """rows: a range, or a one-dimensional int64 array of rows of the shard_set."""
        self.shard_set = shard_set
        self.projection = projection
        self.convert = convert
        self.count = len(rows)
        if isinstance(rows, range):
            self.start, self.step = rows.start, rows.step
            self.index = NULL
            self.indices = None
        else:
            self.indices = np.ascontiguousarray(rows, np.int64)
            self.index = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>self.indices)

    @property
    def rows(self):
        """What _bind was given: the rows of the shard_set that this sequence shows."""
        return self.indices if self.indices is not None else range(self.start, self.start + self.step * self.count, self.step)

    def __len__(self):
        return self.count

    def __getitem__(self, key):
        cdef Py_ssize_t i
        cdef int64_t row
        if PyLong_CheckExact(key):
            i = PyNumber_AsSsize_t(key, IndexError)
            if i < 0:
                i += self.count
            if i < 0 or i >= self.count:
                raise IndexError(f"row {key} is out of range for {self.count} rows")
            row = self.index[i] if self.index != NULL else self.start + self.step * i
            if self.convert is None:
                return self.shard_set.example(self.projection, row)
            example = self.shard_set.example(self.projection, row)
            try:
                return self.convert(example)
            except Exception as error:
                self._failed(error, row)
                raise
        return self._select(key)

    def rows_at(self, indices):
        """Rows of the set (int64) of what a user gives as indices; IndexError if one is out of range."""
        cdef cnp.ndarray given, out
        cdef const int64_t *p
        cdef int64_t *q
        cdef int64_t i
        cdef Py_ssize_t k, size
        if type(indices) is not np.ndarray or cnp.PyArray_TYPE(<cnp.ndarray>indices) != cnp.NPY_INT64 or cnp.PyArray_NDIM(<cnp.ndarray>indices) != 1 or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>indices):
            return self._rows_of(self._positions(indices))
        given = <cnp.ndarray>indices
        size = cnp.PyArray_DIM(given, 0)
        out = new_array(1, cnp.PyArray_DIMS(given), cnp.NPY_INT64)
        p = <const int64_t *>cnp.PyArray_DATA(given)
        q = <int64_t *>cnp.PyArray_DATA(out)
        for k in range(size):
            i = p[k] + self.count if p[k] < 0 else p[k]
            if i < 0 or i >= self.count:
                raise IndexError(f"row {p[k]} is out of range for {self.count} rows")
            q[k] = self.index[i] if self.index != NULL else self.start + self.step * i
        return out

    def _rows_of(self, cnp.ndarray at):
        """rows of the set of positions (int64, already in range)."""
        if self.indices is not None:
            return self.indices[at]
        return at * self.step + self.start if self.step != 1 or self.start != 0 else at


# --- writing ---------------------------------------------------------------------

cdef enum:
    FULL_GROUP = 2  # what RowBuilder.append says: a group has too many bytes for its rows
    PLANNABLE = 3   # there are enough rows to make a plan from
    NO_ROOM = 4     # the row was not taken: with it a page, or a block, would be larger than a reader takes
    MOST_APART = 63 # columns that make_groups gives a group of their own, at most

cdef size_t VALUE_MOST = MAX_VALUE
cdef size_t BLOCK_MOST = (1 << 30) - (1 << 20)  # of all pages of a block: the format's 2^30, less what 4096 page table entries take
cdef size_t BLOCK_SURE = 1 << 28       # values of a block up to which it need not be counted exactly

cdef struct Buffer:
    uint8_t *values
    uint32_t *offsets   # variable: rows + 1
    uint8_t *valid      # NULL until the first null
    size_t size         # bytes of values
    size_t capacity     # of values
    size_t rows
    size_t row_capacity # of offsets and valid
    size_t nulls


cdef int buffer_reserve(Buffer *b, size_t more) except -1:
    cdef size_t want
    cdef void *p
    if b.size + more <= b.capacity:
        return 0
    if b.size + more > 0xffffffff:
        raise errors.LimitError("a block would hold more than 4 GiB")
    want = max(b.size + more, b.capacity + b.capacity // 2, 4096)
    p = PyMem_RawRealloc(b.values, want)
    if p == NULL:
        raise MemoryError
    b.values = <uint8_t *>p
    b.capacity = want
    return 0


cdef int buffer_rows(Buffer *b, bint variable, size_t more) except -1:
    """Room in offsets and valid for more rows."""
    cdef size_t want
    cdef void *p
    if b.rows + more <= b.row_capacity and (not variable or b.offsets != NULL):
        return 0
    want = max(b.rows + more, b.row_capacity + b.row_capacity // 2, 64)
    if variable:
        p = PyMem_RawRealloc(b.offsets, 4 * (want + 1))
        if p == NULL:
            raise MemoryError
        b.offsets = <uint32_t *>p
        b.offsets[0] = 0
    if b.valid != NULL:
        p = PyMem_RawRealloc(b.valid, want)
        if p == NULL:
            raise MemoryError
        b.valid = <uint8_t *>p
    b.row_capacity = want
    return 0


cdef bint are_bools(const uint8_t *data, size_t size) noexcept nogil:
    """Whether all bytes are 0 or 1: NumPy takes any byte but 0 for true, a reader of Atlas does not."""
    cdef size_t i
    cdef uint8_t any_bits = 0
    for i in range(size):
        any_bits |= data[i]
    return any_bits <= 1


cdef void buffer_free(Buffer *b) noexcept:
    PyMem_RawFree(b.values)
    PyMem_RawFree(b.offsets)
    PyMem_RawFree(b.valid)
    memset(b, 0, sizeof(Buffer))


@cython.final
cdef class Column:
    """The rows of one leaf that wait to be written."""
    cdef Buffer b
    cdef bint variable
    cdef uint32_t width
    cdef readonly object leaf

    def __cinit__(self, leaf):
        self.leaf = leaf
        self.variable = not leaf.fixed
        self.width = leaf.width

    def __dealloc__(self):
        buffer_free(&self.b)

    cdef int put(self, const void *data, size_t size) except -1:
        """One value; for a fixed leaf size is its width."""
        if self.b.size + size > self.b.capacity:
            buffer_reserve(&self.b, size)
        if size:
            memcpy(self.b.values + self.b.size, data, size)
        return self.end_row(size, 1)

    cdef inline int end_row(self, size_t size, uint8_t valid) except -1:
        if self.variable or self.b.valid != NULL:
            if self.b.rows + 1 > self.b.row_capacity or self.b.offsets == NULL:
                buffer_rows(&self.b, self.variable, 1)
        self.b.size += size
        self.b.rows += 1
        if self.variable:
            self.b.offsets[self.b.rows] = <uint32_t>self.b.size
        if self.b.valid != NULL:
            self.b.valid[self.b.rows - 1] = valid
        return 0

    cdef int put_zero(self, uint8_t valid) except -1:
        """A null (valid 0), or an empty or zero value."""
        cdef void *p
        if not valid:
            if self.b.valid == NULL:
                self.b.row_capacity = max(self.b.row_capacity, self.b.rows + 64)
                if self.variable:
                    p = PyMem_RawRealloc(self.b.offsets, 4 * (self.b.row_capacity + 1))
                    if p == NULL:
                        raise MemoryError
                    self.b.offsets = <uint32_t *>p
                    self.b.offsets[0] = 0
                self.b.valid = <uint8_t *>PyMem_RawMalloc(self.b.row_capacity)
                if self.b.valid == NULL:
                    raise MemoryError
                memset(self.b.valid, 1, self.b.rows)
            self.b.nulls += 1
        if not self.variable:
            buffer_reserve(&self.b, self.width)
            memset(self.b.values + self.b.size, 0, self.width)
        return self.end_row(0 if self.variable else self.width, valid)

    cdef int put_many(self, const uint8_t *data, size_t rows) except -1:
        """Many values of a fixed leaf."""
        buffer_reserve(&self.b, rows * self.width)
        memcpy(self.b.values + self.b.size, data, rows * self.width)
        self.b.size += rows * self.width
        if self.b.valid != NULL:
            buffer_rows(&self.b, False, rows)
            memset(self.b.valid + self.b.rows, 1, rows)
        self.b.rows += rows
        return 0

    cdef int put_masked(self, const uint8_t *data, const uint8_t *valid, size_t rows) except -1:
        """Many values of a fixed leaf, null where valid is 0."""
        cdef size_t i
        for i in range(rows):
            if valid[i]:
                self.put(data + i * self.width, self.width)
            else:
                self.put_zero(0)
        return 0

    cdef size_t page_bytes(self):
        """Bytes of a page of all these rows, as FORMAT.md counts raw: validity, offsets, values."""
        cdef size_t validity = ((self.b.rows + 7) // 8 + 63) // 64 * 64 if self.b.nulls else 0
        cdef size_t offsets = (4 * (self.b.rows + 1) + 63) // 64 * 64 if self.variable else 0
        return validity + offsets + self.b.size

    cdef int truncate(self, size_t rows) except -1:
        cdef size_t i
        if self.b.rows <= rows:
            return 0
        if self.b.valid != NULL:
            for i in range(rows, self.b.rows):
                self.b.nulls -= self.b.valid[i] == 0
        self.b.size = self.b.offsets[rows] if self.variable else rows * self.width
        self.b.rows = rows
        return 0

    cdef int copy_out(self, Buffer *to, size_t start, size_t stop) except -1:
        """Copies rows start .. stop into an empty buffer."""
        cdef size_t i, rows = stop - start
        cdef size_t at = self.b.offsets[start] if self.variable else start * self.width
        cdef size_t end = self.b.offsets[stop] if self.variable else stop * self.width
        buffer_reserve(to, end - at)
        if self.b.nulls:
            to.valid = <uint8_t *>PyMem_RawMalloc(rows + 1)
            if to.valid == NULL:
                raise MemoryError
        if self.variable:
            buffer_rows(to, True, rows)
        if end > at:
            memcpy(to.values, self.b.values + at, end - at)
        to.size = end - at
        to.rows = rows
        if self.variable:
            for i in range(rows + 1):
                to.offsets[i] = self.b.offsets[start + i] - <uint32_t>at
        if self.b.nulls:
            memcpy(to.valid, self.b.valid + start, rows)
            for i in range(rows):
                to.nulls += to.valid[i] == 0
        return 0

    cdef int drop(self, size_t rows) except -1:
        """Forgets the first rows and moves the others to the front."""
        cdef size_t i, left = self.b.rows - rows
        cdef size_t at = self.b.offsets[rows] if self.variable else rows * self.width
        memmove(self.b.values, self.b.values + at, self.b.size - at)
        if self.variable:
            for i in range(left + 1):
                self.b.offsets[i] = self.b.offsets[rows + i] - <uint32_t>at
        if self.b.valid != NULL:
            for i in range(rows):
                self.b.nulls -= self.b.valid[i] == 0
            memmove(self.b.valid, self.b.valid + rows, left)
        self.b.size -= at
        self.b.rows = left
        return 0

    cdef int hand_over(self, Buffer *to) except -1:
        """Gives all rows away and begins anew, with room for as many bytes."""
        cdef size_t room = self.b.size + self.b.size // 8
        to[0] = self.b
        memset(&self.b, 0, sizeof(Buffer))
        buffer_reserve(&self.b, room)
        return 0

    @property
    def rows(self):
        return self.b.rows

    @property
    def size(self):
        return self.b.size

    def sample(self, size_t most):
        """(values, lengths) of the first most rows: bytes and a uint32 array, for planning and training."""
        cdef size_t rows = min(most, self.b.rows), i
        cdef cnp.ndarray lengths = np.empty(rows, np.uint32)
        cdef uint32_t *p = <uint32_t *>cnp.PyArray_DATA(lengths)
        for i in range(rows):
            p[i] = self.b.offsets[i + 1] - self.b.offsets[i] if self.variable else self.width
        end = (self.b.offsets[rows] if self.variable else rows * self.width) if rows else 0
        return PyBytes_FromStringAndSize(<char *>self.b.values, end), lengths

    def nulls(self):
        """Which of the rows are null: a bool array."""
        if self.b.nulls == 0:
            return np.zeros(self.b.rows, np.bool_)
        return np.frombuffer(PyBytes_FromStringAndSize(<char *>self.b.valid, self.b.rows), np.uint8) == 0


@cython.final
cdef class RowBuilder:
    """Takes examples apart into columns. What does not fit raises SchemaError and leaves no trace."""
    cdef Node root
    cdef list columns        # of each leaf, in the order of the leaf table
    cdef readonly object schema
    cdef readonly uint64_t rows
    cdef list group_columns  # of each group: its columns
    cdef size_t *ready_rows
    cdef size_t *ready_bytes
    cdef int group_count
    cdef readonly list cut_rows  # of each group: rows already cut
    cdef list taken              # of each group: rows cut since settle(), still in front of the others
    cdef size_t sample_bytes
    cdef size_t page_most

    def __cinit__(self, schema, size_t sample_bytes, size_t page_most=MAX_PAGE):
        """page_most: bytes of a page at most, as readers count them."""
        self.schema = schema
        self.sample_bytes = sample_bytes
        self.page_most = page_most
        leaves = schema.leaves
        self.columns = [Column(leaf) for leaf in leaves]
        slots = {leaf.id: i for i, leaf in enumerate(leaves)}
        self.root = make_root(schema, slots)

    def __dealloc__(self):
        PyMem_RawFree(self.ready_rows)
        PyMem_RawFree(self.ready_bytes)

    @property
    def leaf_columns(self):
        return list(self.columns)

    def plan(self, groups, rows_per_block, most_bytes):
        """groups: lists of leaf positions. A group is ready at rows_per_block rows, or when its bytes pass most_bytes."""
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
        """1 if a group has a block's rows, FULL_GROUP, PLANNABLE, NO_ROOM (see above), else 0."""
        cdef int g, state = 0
        cdef Column column
        cdef size_t total = 0, size
        if self.group_count == 0:
            for column in self.columns:
                size = column.b.size + 4 * column.b.rows * column.variable
                if column.variable and size > self.page_most // 2 and column.page_bytes() > self.page_most:
                    return NO_ROOM
                total += size
            if total > BLOCK_SURE and column.b.rows > 1:
                return NO_ROOM
            if total > BLOCK_SURE and len(self.columns) > MOST_APART:
                self.check_row()
            return PLANNABLE if total >= self.sample_bytes else 0
        for g in range(self.group_count):
            column = <Column>(<list>self.group_columns[g])[0]
            size = self.group_size(g)
            if size > self.page_most // 2 and self.is_beyond(g):
                return NO_ROOM
            if state == 0:
                state = 1 if column.b.rows >= self.ready_rows[g] else FULL_GROUP if size > self.ready_bytes[g] else 0
        return state

    cdef bint is_beyond(self, int g) except -1:
        """Whether the rows of a group that wait could make a page, or all pages together, larger than a reader takes."""
        cdef Column column
        cdef size_t total = 0, size
        for column in <list>self.group_columns[g]:
            size = column.page_bytes()
            if column.variable and size > self.page_most:
                return True
            total += size
        return total > BLOCK_MOST

    cdef int check_row(self) except -1:
        """LimitError where the only row that waits has more bytes in the columns that share a block than a block can hold."""
        sizes = sorted([(<Column>column).page_bytes() for column in self.columns])
        together = sum(sizes[: len(sizes) - MOST_APART])
        if together > BLOCK_MOST:
            raise errors.LimitError(
                f"an example of {sum(sizes)} bytes in {len(sizes)} columns: those beyond the {MOST_APART} largest hold {together} bytes, and at most "
                f"{BLOCK_MOST} can be read back: store it as several examples"
            )
        return 0

    def append(self, example):
        """Adds one example; returns what ready() says. NO_ROOM (4): it was not taken, and the shard must end before it."""
        cdef int state
        try:
            self.put_root(example)
            state = self.ready()
        except BaseException:
            self.rollback()
            raise
        if state == NO_ROOM:
            self.rollback()
            return NO_ROOM
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
        """Takes the next rows of a group as a Block. settle() must follow before anything is appended."""
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

    def settle(self):
        """Forgets the rows that were cut and moves the others to the front: once for many blocks."""
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
            raise errors.SchemaError(f"unknown column {prefix + str(extra[0])!r}: the schema has {', '.join(node.names)}")
        return 0

    cdef int refuse(self, Node node, object value, str prefix, str why="") except -1:
        path = prefix + node.name
        raise errors.SchemaError(f"column {path!r}: expected {node.field.type}, got {_describe.describe(value)}{': ' + why if why else ''}")

    cdef int put_null(self, Node node, uint8_t valid) except -1:
        """A null in all leaves of a node, or (valid 1) the zeros that stand in an absent struct."""
        cdef Py_ssize_t k
        cdef Node child
        if node.kind == K_STRUCT:
            if node.slot >= 0:
                (<Column>self.columns[node.slot]).put_zero(1)
            for k in range(len(node.children)):
                child = <Node>node.children[k]
                self.put_null(child, 1)
            return 0
        for k in range(len(node.field.leaves)):
            (<Column>self.columns[node.slot + k]).put_zero(valid)
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
        if value is None and kind != K_OBJECT:
            if not node.nullable:
                raise errors.SchemaError(f"column {prefix + node.name!r}: expected {node.field.type}, got None (or the key is missing): declare it with atlas.types.nullable(...)")
            return self.put_null(node, 0)
        if kind == K_STRUCT:
            if not isinstance(value, dict):
                self.refuse(node, value, prefix)
            if node.slot >= 0:
                (<Column>self.columns[node.slot]).put(&one, 1)
            return self.put_fields(node, <dict>value, prefix + node.name + ".")
        column = <Column>self.columns[node.slot]
        if kind == K_ARRAY:
            return self.put_array(node, column, value, prefix)
        if kind == K_STR:
            if not isinstance(value, str):
                self.refuse(node, value, prefix)
            try:
                text = PyUnicode_AsUTF8AndSize(value, &size)
            except UnicodeEncodeError:
                self.refuse(node, value, prefix, "it has a lone surrogate, which UTF-8 cannot hold; store it as bytes: value.encode('utf-8', 'surrogatepass')")
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
        if kind == K_TENSOR:
            if cnp.PyArray_CheckExact(value) and self.put_tensor(node, column, <cnp.ndarray>value):
                return 0
            array = _arrays.to_array(value, node.field, prefix + node.name)
            self.put_buffer(column, array.data if array.size else b"")
            if node.ndim != 1:
                shape = np.array(array.shape, np.uint32)
                self.put_buffer(<Column>self.columns[node.slot + 1], shape.data if shape.size else b"")
            return 0
        if kind == K_MEDIA:
            data, media_type = _media.to_media(value, node.field, prefix + node.name)
            self.put_buffer(column, data)
            if node.media_type is None:
                self.put_buffer(<Column>self.columns[node.slot + 1], media_type.encode())
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
        """Puts an array of the column's dtype, as to_array would give it, and returns 1; 0 where to_array must look at it."""
        cdef uint32_t shape[32]
        cdef int i, ndim = cnp.PyArray_NDIM(array)
        cdef size_t size = cnp.PyArray_NBYTES(array)
        if cnp.PyArray_TYPE(array) != node.typenum or node.typenum == cnp.NPY_BOOL or node.bfloat16 or not cnp.PyArray_ISCARRAY_RO(array):
            return 0
        if size == 0 or size > VALUE_MOST or ndim > 32 or (node.ndim >= 0 and ndim != node.ndim):
            return 0
        column.put(cnp.PyArray_DATA(array), size)
        if node.ndim != 1:
            for i in range(ndim):
                shape[i] = <uint32_t>cnp.PyArray_DIM(array, i)
            (<Column>self.columns[node.slot + 1]).put(shape, 4 * <size_t>ndim)
        return 1

    cdef int put_array(self, Node node, Column column, object value, str prefix) except -1:
        cdef cnp.ndarray array
        cdef int i
        cdef bint fits
        if isinstance(value, np.ndarray):
            array = <cnp.ndarray>value
            if cnp.PyArray_TYPE(array) == node.typenum and cnp.PyArray_NDIM(array) == node.ndim and cnp.PyArray_ISCARRAY_RO(array) and not node.bfloat16:
                fits = True
                for i in range(node.ndim):
                    if cnp.PyArray_DIM(array, i) != node.shape[i]:
                        fits = False
                if fits and (node.typenum != cnp.NPY_BOOL or are_bools(<const uint8_t *>cnp.PyArray_DATA(array), node.width)):
                    return column.put(cnp.PyArray_DATA(array), node.width)
        array = _arrays.to_array(value, node.field, prefix + node.name)
        return column.put(cnp.PyArray_DATA(array), node.width)

    def append_columns(self, list leaf_arrays, size_t count):
        """Adds count rows at once: of each leaf a C-contiguous array of fixed values, (such an array, its valid rows as uint8), or a list of bytes
        (None: null). Values are within the limits. Returns what ready() says; NO_ROOM (4): nothing was taken."""
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
                                raise errors.SchemaError(f"column {column.leaf.path!r}: got None: declare it with atlas.types.nullable(...)")
                            column.put_zero(0)
                        else:
                            self.put_buffer(column, value)
                elif isinstance(values, tuple):
                    array, valid = values
                    column.put_masked(<const uint8_t *>cnp.PyArray_DATA(array), <const uint8_t *>cnp.PyArray_DATA(valid), count)
                else:
                    array = <cnp.ndarray>values
                    column.put_many(<const uint8_t *>cnp.PyArray_DATA(array), count)
            state = self.ready()
        except BaseException:
            self.rollback()
            raise
        if state == NO_ROOM:
            self.rollback()
            return NO_ROOM
        self.rows += count
        return state


@cython.final
cdef class PageSpecs:
    """How the leaves of a shard are stored: of each leaf its group, codec and dictionary; shared by the blocks of the shard."""
    cdef atlas_page_in *pages   # of all groups, group after group
    cdef readonly object specs
    cdef readonly list first    # of each group: its first page
    cdef list keep

    def __cinit__(self, specs, list first):
        """specs: of each page (leaf, codec, cells, whole, light, level, dictionary number, Dictionary or None)."""
        cdef size_t i = 0
        cdef atlas_page_in *page
        self.specs = specs
        self.first = first
        self.keep = []
        self.pages = <atlas_page_in *>PyMem_RawCalloc(len(specs), sizeof(atlas_page_in))
        if self.pages == NULL:
            raise MemoryError
        for leaf, codec, cells, whole, light, level, number, dictionary in specs:
            page = &self.pages[i]
            page.width = leaf.width
            page.leaf = leaf.id
            page.kind = ATLAS_KIND_FIXED if leaf.fixed else ATLAS_KIND_VARIABLE
            page.element = leaf.element
            page.is_signed = leaf.signed
            page.codec, page.cells, page.whole, page.light, page.level = codec, cells, whole, light, level
            if dictionary is not None:
                page.dictionary = number
                page.dict = (<Dictionary>dictionary).c
                self.keep.append(dictionary)
            i += 1

    def __dealloc__(self):
        PyMem_RawFree(self.pages)


@cython.final
cdef class Encoder:
    """What a thread needs to encode blocks."""
    cdef atlas_encoder *c

    def __cinit__(self):
        cdef atlas_error error
        error.status = ATLAS_OK
        atlas_encoder_open(&self.c, &error)
        check(&error, "encoder")

    def __dealloc__(self):
        atlas_encoder_close(self.c)


@cython.final
cdef class Block:
    """Rows of a group on their way into the file: first columns, after encode() a chunk (a buffer, padded to 64 bytes)."""
    cdef Buffer *buffers
    cdef size_t count
    cdef PageSpecs plan
    cdef atlas_page_in *pages
    cdef uint8_t *out
    cdef uint64_t out_size
    cdef readonly int group
    cdef readonly uint64_t first_row
    cdef readonly uint64_t rows
    cdef readonly uint64_t size      # of the chunk, without padding
    cdef readonly uint32_t raw_bytes
    cdef readonly object failure

    cdef int prepare(self, PageSpecs plan, int group, size_t count, uint64_t rows, uint64_t first_row) except -1:
        self.plan, self.group, self.count, self.rows, self.first_row = plan, group, count, rows, first_row
        self.buffers = <Buffer *>PyMem_RawCalloc(count, sizeof(Buffer))
        self.pages = <atlas_page_in *>PyMem_RawCalloc(count, sizeof(atlas_page_in))
        if self.buffers == NULL or self.pages == NULL:
            raise MemoryError
        return 0

    def __dealloc__(self):
        cdef size_t i
        if self.buffers != NULL:
            for i in range(self.count):
                buffer_free(&self.buffers[i])
        PyMem_RawFree(self.buffers)
        PyMem_RawFree(self.pages)
        PyMem_RawFree(self.out)

    @property
    def waiting(self):
        """Bytes of values that this block holds."""
        cdef size_t i, total = 0
        for i in range(self.count):
            total += self.buffers[i].size
        return total

    cdef int begin(self) except -1:
        cdef size_t i
        memcpy(self.pages, self.plan.pages + <int>self.plan.first[self.group], self.count * sizeof(atlas_page_in))
        for i in range(self.count):
            self.pages[i].values = self.buffers[i].values
            self.pages[i].offsets = self.buffers[i].offsets
            self.pages[i].valid = self.buffers[i].valid if self.buffers[i].nulls else NULL
        return 0

    cdef void write(self, atlas_encoder *encoder, atlas_error *error) noexcept nogil:
        cdef uint64_t bound = atlas_block_bound(self.pages, <uint32_t>self.count, <uint32_t>self.rows)
        self.out = <uint8_t *>PyMem_RawMalloc(bound + 64)
        if self.out == NULL:
            return
        atlas_block_write(encoder, self.pages, <uint32_t>self.count, self.first_row, <uint32_t>self.rows, <uint16_t>self.group, self.out, bound, &self.size, &self.raw_bytes, error)
        if error.status == ATLAS_OK:
            self.out_size = (self.size + 63) & ~<uint64_t>63
            memset(self.out + self.size, 0, self.out_size - self.size)

    def seal(self, uint64_t nonce, uint64_t offset):
        """Writes the chunk's header for its place in the file; returns its hash."""
        return atlas_chunk_seal(self.out, b"DATA", self.size - ATLAS_CHUNK_BODY, <uint32_t>(16 + 32 * self.count), nonce, offset)

    def pages_written(self):
        """(layout, codec, flags, stored, raw) of each page, for the statistics."""
        cdef size_t i
        return [(self.pages[i].out_layout, self.pages[i].out_codec, self.pages[i].out_flags, self.pages[i].out_stored, self.pages[i].out_raw) for i in range(self.count)]

    def value_bytes(self):
        """Bytes of values of each column."""
        cdef size_t i
        return [self.buffers[i].size for i in range(self.count)]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.out, self.out_size, 1, flags)


def encode_all(list blocks, Encoder encoder):
    """Columns of blocks to chunks, with one letting go of the GIL: threads that take turns at small ones wait for each other most of the time."""
    cdef atlas_error error
    cdef Block block
    cdef Py_ssize_t i, count = len(blocks)
    cdef void **todo
    for block in blocks:
        block.begin()
    todo = <void **>PyMem_RawMalloc((count + 1) * sizeof(void *))
    if todo == NULL:
        raise MemoryError
    error.status = ATLAS_OK
    for i in range(count):
        todo[i] = <void *>blocks[i]
    with nogil:
        for i in range(count):
            write_block(todo[i], encoder.c, &error)
            if error.status != ATLAS_OK:
                break
    PyMem_RawFree(todo)
    check(&error, "block")
    for block in blocks:
        if block.out == NULL:
            raise MemoryError


cdef void write_block(void *block, atlas_encoder *encoder, atlas_error *error) noexcept nogil:
    (<Block>block).write(encoder, error)


cdef struct DigestPiece:
    uint32_t leaf
    bint nullable
    Buffer *b


cdef bint digest_add(atlas_digest *digest, const DigestPiece *piece) noexcept nogil:
    """A column of a block; False if there is no memory."""
    cdef Buffer *b = piece.b
    cdef uint32_t *lengths
    cdef uint8_t *ones
    cdef size_t r
    atlas_digest_values(digest, piece.leaf, b.values, b.size)
    if b.offsets != NULL:
        lengths = <uint32_t *>PyMem_RawMalloc(4 * b.rows)
        if lengths == NULL:
            return False
        for r in range(b.rows):
            lengths[r] = <uint32_t>0xffffffff if b.nulls and b.valid[r] == 0 else b.offsets[r + 1] - b.offsets[r]
        atlas_digest_lengths(digest, piece.leaf, lengths, 4 * b.rows)
        PyMem_RawFree(lengths)
    elif piece.nullable and b.valid != NULL:
        atlas_digest_lengths(digest, piece.leaf, b.valid, b.rows)
    elif piece.nullable:
        ones = <uint8_t *>PyMem_RawMalloc(b.rows)
        if ones == NULL:
            return False
        memset(ones, 1, b.rows)
        atlas_digest_lengths(digest, piece.leaf, ones, b.rows)
        PyMem_RawFree(ones)
    return True


@cython.final
cdef class Digest:
    """The content digest of a shard being written; blocks of a group must come in order."""
    cdef atlas_digest *c
    cdef list positions  # of each group: positions of its leaves
    cdef list nullable

    def __cinit__(self, list groups, list nullable):
        cdef atlas_error error
        error.status = ATLAS_OK
        self.positions = groups
        self.nullable = nullable
        atlas_digest_open(<uint32_t>len(nullable), &self.c, &error)
        check(&error, "digest")

    def __dealloc__(self):
        atlas_digest_close(self.c)

    def add(self, list blocks):
        cdef Block block
        cdef size_t i, k, count = 0
        cdef DigestPiece *pieces
        for block in blocks:
            count += block.count
        pieces = <DigestPiece *>PyMem_RawCalloc(count + 1, sizeof(DigestPiece))
        if pieces == NULL:
            raise MemoryError
        try:
            k = 0
            for block in blocks:
                for i in range(block.count):
                    pieces[k].leaf = self.positions[block.group][i]
                    pieces[k].nullable = self.nullable[pieces[k].leaf]
                    pieces[k].b = &block.buffers[i]
                    k += 1
            with nogil:
                for k in range(count):
                    if not digest_add(self.c, &pieces[k]):
                        break
                else:
                    k = count
        finally:
            PyMem_RawFree(pieces)
        if k < count:
            raise MemoryError

    def finish(self):
        cdef uint8_t out[16]
        atlas_digest_finish(self.c, out)
        return PyBytes_FromStringAndSize(<char *>out, 16)


def header_bytes(uint64_t nonce):
    cdef uint8_t out[64]
    atlas_header_write(out, nonce)
    return PyBytes_FromStringAndSize(<char *>out, 64)


def seal_chunk(bytes kind, bytes body, uint64_t nonce, uint64_t offset):
    """A whole chunk whose hash covers all of its body, padded to 64 bytes; and its hash."""
    cdef size_t size = ATLAS_CHUNK_BODY + len(body)
    cdef bytearray out = bytearray((size + 63) & ~<size_t>63)
    cdef uint8_t *p = <uint8_t *><char *>out
    cdef uint64_t hash
    memcpy(p + ATLAS_CHUNK_BODY, <char *>body, len(body))
    hash = atlas_chunk_seal(p, kind, len(body), <uint32_t>len(body), nonce, offset)
    return bytes(out), hash


def layout_bytes(list leaves, list rows_per_block, bytes schema_json):
    """The body of SCHM. leaves: (id, kind, group, dictionary, flags, width)."""
    cdef atlas_leaf leaf
    cdef uint8_t out[16]
    parts = [len(leaves).to_bytes(4, "little"), len(rows_per_block).to_bytes(4, "little"), len(schema_json).to_bytes(4, "little"), bytes(4)]
    for leaf.id, leaf.kind, leaf.group, leaf.dictionary, leaf.flags, leaf.width in leaves:
        atlas_leaf_write(out, &leaf)
        parts.append(PyBytes_FromStringAndSize(<char *>out, 16))
    for rows in rows_per_block:
        parts.append(int(rows).to_bytes(4, "little") + bytes(4))
    parts.append(schema_json)
    return b"".join(parts)


def footer_bytes(bytes header, uint64_t rows, uint64_t raw_bytes, bytes digest, bytes layout, list dictionaries, list index, bytes stats):
    """The body of FOOT. dictionaries: (offset, length, digest); index: (offset, bytes, raw_bytes, hash), group after group."""
    cdef atlas_shard facts
    cdef uint8_t fixed[128]
    cdef uint8_t entry[24]
    cdef bytearray table = bytearray(24 * len(index))
    cdef uint8_t *p = <uint8_t *><char *>table
    memset(&facts, 0, sizeof(facts))
    facts.rows, facts.raw_bytes, facts.layout_bytes = rows, raw_bytes, len(layout)
    facts.dictionary_count, facts.block_count, facts.stats_bytes = len(dictionaries), len(index), len(stats)
    atlas_footer_write(fixed, <const uint8_t *><char *>header, &facts, <const uint8_t *><char *>digest)
    for offset, size, raw, hash in index:
        atlas_index_write(p, offset, size, raw, hash)
        p += 24
    parts = [PyBytes_FromStringAndSize(<char *>fixed, 128), layout, bytes((8 - len(layout) % 8) % 8)]
    for offset, length, key in dictionaries:
        parts.append(int(offset).to_bytes(8, "little") + int(length).to_bytes(4, "little") + bytes(4) + key)
    parts += [bytes(table), stats]
    return b"".join(parts)


def trailer_bytes(uint64_t footer_offset, uint64_t body_bytes, uint64_t rows, uint64_t nonce, uint64_t footer_hash):
    cdef uint8_t out[64]
    atlas_trailer_write(out, footer_offset, ATLAS_CHUNK_BODY + body_bytes, rows, nonce, footer_hash)
    return PyBytes_FromStringAndSize(<char *>out, 64)


def trial(Column column, size_t start, size_t stop, Encoder encoder, int codec, bint cells, bint whole, bint light, int level, Dictionary dictionary=None):
    """(raw, stored, layout) of one page made of rows start .. stop of a waiting column: what a plan decides by."""
    cdef atlas_page_in page
    cdef atlas_error error
    cdef uint64_t bound, size = 0
    cdef uint32_t raw = 0
    cdef uint8_t *out
    error.status = ATLAS_OK
    memset(&page, 0, sizeof(page))
    stop = min(stop, column.b.rows)
    if start >= stop:
        return 0, 0, 0
    page.width, page.leaf = column.width, column.leaf.id
    page.kind = ATLAS_KIND_VARIABLE if column.variable else ATLAS_KIND_FIXED
    page.element, page.is_signed = column.leaf.element, column.leaf.signed
    page.codec, page.cells, page.whole, page.light, page.level = codec, cells, whole, light, level
    page.values = column.b.values if column.variable else column.b.values + start * column.width
    page.offsets = column.b.offsets + start if column.variable else NULL
    page.valid = column.b.valid + start if column.b.nulls else NULL
    if dictionary is not None:
        page.dict, page.dictionary = dictionary.c, 1
    bound = atlas_block_bound(&page, 1, <uint32_t>(stop - start))
    out = <uint8_t *>PyMem_RawMalloc(bound + 64)
    if out == NULL:
        raise MemoryError
    with nogil:
        atlas_block_write(encoder.c, &page, 1, 0, <uint32_t>(stop - start), 0, out, bound, &size, &raw, &error)
    PyMem_RawFree(out)
    check(&error, "plan")
    return page.out_raw, page.out_stored, page.out_layout


# --- order -------------------------------------------------------------------

cdef int64_t *int64_data(cnp.ndarray array):
    return <int64_t *>cnp.PyArray_DATA(array)


def order_key(*words):
    """A 64-bit key from whole numbers in [0, 2^64); the first says what it is for."""
    cdef cnp.ndarray c = np.array(words, np.uint64)
    return atlas_key(<const uint64_t *>cnp.PyArray_DATA(c), len(words))


@cython.final
cdef class Permutation:
    """A permutation of [0, n) named by the words of its key. Never changes: any thread may use it."""
    cdef atlas_permutation c
    cdef cnp.ndarray table

    def __init__(self, uint64_t n, *words):
        cdef cnp.ndarray key = np.array(words, np.uint64)
        if n >> 63:
            raise ValueError(f"a permutation of {n} numbers: 2^63 - 1 is the most")
        self.table = np.empty(n if n <= ATLAS_TABLE_MAX else 0, np.uint16)
        atlas_permutation_init(&self.c, n, <const uint64_t *>cnp.PyArray_DATA(key), len(words), <uint16_t *>cnp.PyArray_DATA(self.table))

    def take(self, uint64_t start, uint64_t count):
        """Where start, start + 1, ... go: int64 of shape (count,)."""
        cdef cnp.ndarray out
        cdef int64_t *data
        if start > self.c.n or count > self.c.n - start:
            raise IndexError(f"positions {start} to {start + count} of {self.c.n}")
        out = np.empty(count, np.int64)
        data = int64_data(out)
        with nogil:
            atlas_permutation_take(&self.c, start, count, data)
        return out

    def find(self, uint64_t y):
        """What goes to y: the inverse."""
        if y >= self.c.n:
            raise IndexError(f"{y} of {self.c.n}")
        return atlas_permutation_find(&self.c, y)


@cython.final
cdef class Windows:
    """Chunks dealt to lanes, rows permuted within windows of a lane. Taking opens windows: one thread at a time."""
    cdef atlas_windows c
    cdef Permutation chunks
    cdef readonly cnp.ndarray lane_rows  # int64, rows of each lane
    cdef tuple held  # the arrays whose memory c points to

    def __init__(self, Permutation chunks, cnp.ndarray starts, int64_t rows, int64_t rows_per_chunk, int64_t lanes, int64_t window, uint64_t stream, uint64_t seed, uint64_t epoch):
        cdef cnp.ndarray window_starts
        cdef int64_t *data
        cdef int64_t *of_lanes
        self.chunks = chunks
        self.c.chunks, self.c.chunk_count = chunks.c, <int64_t>chunks.c.n
        self.c.starts = NULL if starts is None else int64_data(starts)
        self.c.rows, self.c.rows_per_chunk, self.c.lanes, self.c.window = rows, rows_per_chunk, lanes, window
        self.c.stream, self.c.seed, self.c.epoch = stream, seed, epoch
        self.c.stride = atlas_windows_stride(&self.c)
        window_starts = np.empty(0 if starts is None else lanes * self.c.stride, np.int64)
        self.lane_rows = np.empty(lanes, np.int64)
        data, of_lanes = int64_data(window_starts), int64_data(self.lane_rows)
        with nogil:
            atlas_windows_measure(&self.c, data, of_lanes)
        self.c.most_chunks = min(window, (self.c.chunk_count + lanes - 1) // lanes)
        self.c.table_rows = min(atlas_windows_most_rows(&self.c), ATLAS_TABLE_MAX)
        slots = np.zeros(2 * lanes * sizeof(atlas_window), np.uint8)
        begins = np.empty(2 * lanes * self.c.most_chunks, np.int64)
        shifts = np.empty(2 * lanes * self.c.most_chunks, np.int64)
        tables = np.empty(2 * lanes * self.c.table_rows, np.uint16)
        self.c.open = <atlas_window *>cnp.PyArray_DATA(slots)
        self.c.begins, self.c.shifts = int64_data(begins), int64_data(shifts)
        self.c.tables = <uint16_t *>cnp.PyArray_DATA(tables)
        self.held = (starts, window_starts, slots, begins, shifts, tables)

    def deal(self, int64_t even, cnp.ndarray turns, cnp.ndarray by_length):
        """How lanes take turns: all of them for the first even positions, then as turns (int64, rows of position, offset, lanes) says."""
        self.c.even, self.c.turn_count = even, len(turns)
        self.c.turns, self.c.by_length = <const atlas_turn *>cnp.PyArray_DATA(turns), int64_data(by_length)
        self.held += (turns, by_length)

    def take(self, int64_t start, int64_t count, int64_t step=1):
        """The rows at positions start, start + step, ...: int64 of shape (count,)."""
        cdef cnp.ndarray out
        cdef int64_t *data
        if start < 0 or count < 0 or step < 1 or (count > 0 and (start >= self.c.rows or count - 1 > (self.c.rows - 1 - start) // step)):
            raise IndexError(f"{count} positions from {start}, {step} apart, of {self.c.rows}")
        if self.c.by_length == NULL:
            raise ValueError("windows that were not dealt")
        out = np.empty(count, np.int64)
        data = int64_data(out)
        with nogil:
            atlas_windows_take(&self.c, start, <size_t>count, step, data)
        return out


@cython.final
cdef class MixOrder:
    """Which dataset has its turn, by whole weights, from the mix's position origin on. One thread at a time: it keeps a block open."""
    cdef atlas_mix c
    cdef tuple held

    def __init__(self, cnp.ndarray ends, uint64_t seed, uint64_t origin):
        counts, table = np.zeros(len(ends), np.int64), np.empty(ends[len(ends) - 1], np.uint16)
        self.c.ends, self.c.count, self.c.seed, self.c.origin = int64_data(ends), len(ends), seed, origin
        self.c.counts, self.c.table = int64_data(counts), <uint16_t *>cnp.PyArray_DATA(table)
        self.held = (ends, counts, table)

    def take(self, uint64_t start, uint64_t count):
        """(dataset, position in it) of places start, start + 1, ... after origin: two int64 arrays of shape (count,)."""
        cdef cnp.ndarray datasets = np.empty(count, np.int64)
        cdef cnp.ndarray positions = np.empty(count, np.int64)
        cdef int64_t *which = int64_data(datasets)
        cdef int64_t *where = int64_data(positions)
        with nogil:
            atlas_mix_take(&self.c, start, count, which, where)
        return datasets, positions
