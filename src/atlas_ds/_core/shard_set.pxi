# Many shards, one sequence of rows: look-ups, shared with the helper where they are large.

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

cdef extern from "helper.h":
    ctypedef struct helper:
        pass
    bint helper_off
    helper *helper_give(void (*work)(void *) noexcept nogil, void *given) nogil
    void helper_finish(helper *h) nogil

# Processes that were started to be workers (and one-core machines) have no core to spare.
helper_off = parent_process() is not None or len(os.sched_getaffinity(0)) < 2

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
