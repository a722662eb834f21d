# A thread's decoder.

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
