# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Orders over row numbers: permutations, windows, mixes. Arithmetic only.

It may import errors, text, progress and forks of this package, nothing else.
"""
cimport cython
cimport numpy as cnp

from atlas_ds._core.c cimport *

import numpy as np

cnp.import_array()

cdef int64_t *int64_data(cnp.ndarray array):
    return <int64_t *>cnp.PyArray_DATA(array)


def order_key(*words):
    """A 64-bit key from whole numbers in [0, 2^64); the first says what it is for."""
    cdef cnp.ndarray c = np.array(words, np.uint64)
    return atlas_key(<const uint64_t *>cnp.PyArray_DATA(c), len(words))


@cython.final
cdef class Permutation:
    """A permutation of [0, n) named by the words of its key. Never changes: any thread may use
    it."""
    cdef atlas_permutation c
    cdef cnp.ndarray table

    def __init__(self, uint64_t n, *words):
        cdef cnp.ndarray key = np.array(words, np.uint64)
        if n >> 63:
            raise ValueError(f"a permutation of {n} numbers: the limit is 2^63 - 1")
        self.table = np.empty(n if n <= ATLAS_TABLE_MAX else 0, np.uint16)
        atlas_permutation_init(
            &self.c,
            n,
            <const uint64_t *>cnp.PyArray_DATA(key),
            len(words),
            <uint16_t *>cnp.PyArray_DATA(self.table))

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
    """Chunks dealt to lanes, rows permuted within windows of a lane. Taking opens windows: one
    thread at a time."""
    cdef atlas_windows c
    cdef Permutation chunks
    cdef readonly cnp.ndarray lane_rows  # int64, rows of each lane
    cdef tuple held  # the arrays whose memory c points to

    def __init__(
        self,
        Permutation chunks,
        cnp.ndarray starts,
        int64_t rows,
        int64_t rows_per_chunk,
        int64_t lanes,
        int64_t window,
        uint64_t stream,
        uint64_t seed,
        uint64_t epoch,
    ):
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
        windows = np.zeros(2 * lanes * sizeof(atlas_window), np.uint8)
        begins = np.empty(2 * lanes * self.c.most_chunks, np.int64)
        shifts = np.empty(2 * lanes * self.c.most_chunks, np.int64)
        tables = np.empty(2 * lanes * self.c.table_rows, np.uint16)
        self.c.open = <atlas_window *>cnp.PyArray_DATA(windows)
        self.c.begins, self.c.shifts = int64_data(begins), int64_data(shifts)
        self.c.tables = <uint16_t *>cnp.PyArray_DATA(tables)
        self.held = (starts, window_starts, windows, begins, shifts, tables)

    def deal(self, int64_t even, cnp.ndarray turns, cnp.ndarray by_length):
        """How lanes take turns: all of them for the first even positions, then as turns (int64,
        rows of position, offset, lanes) says."""
        self.c.even, self.c.turn_count = even, len(turns)
        self.c.turns, self.c.by_length = <const atlas_turn *>cnp.PyArray_DATA(turns), int64_data(by_length)
        self.held += (turns, by_length)

    def take(self, int64_t start, int64_t count, int64_t step=1):
        """The rows at positions start, start + step, ...: int64 of shape (count,)."""
        cdef cnp.ndarray out
        cdef int64_t *data
        if start < 0 or count < 0 or step < 1 or (
            count > 0 and (start >= self.c.rows or count - 1 > (self.c.rows - 1 - start) // step)
        ):
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
    """Which dataset has its turn, by whole weights, from the mix's position origin on. One thread
    at a time: it keeps a block open."""
    cdef atlas_mix c
    cdef tuple held

    def __init__(self, cnp.ndarray ends, uint64_t seed, uint64_t origin):
        counts, table = np.zeros(len(ends), np.int64), np.empty(ends[len(ends) - 1], np.uint16)
        self.c.ends, self.c.count, self.c.seed, self.c.origin = int64_data(ends), len(ends), seed, origin
        self.c.counts, self.c.table = int64_data(counts), <uint16_t *>cnp.PyArray_DATA(table)
        self.held = (ends, counts, table)

    def take(self, uint64_t start, uint64_t count):
        """(dataset, position in it) of places start, start + 1, ... after origin: two int64 arrays
        of shape (count,)."""
        cdef cnp.ndarray datasets = np.empty(count, np.int64)
        cdef cnp.ndarray positions = np.empty(count, np.int64)
        cdef int64_t *which = int64_data(datasets)
        cdef int64_t *where = int64_data(positions)
        with nogil:
            atlas_mix_take(&self.c, start, count, which, where)
        return datasets, positions
