# Many shards, one sequence of rows. Longer than other files: reading, and what happens before and after it, share one class.

cdef extern from *:
    """
    /* An owned reference kept in one place, which threads take it from and put it back to, with or without a GIL. */
    #define swap_out(place) __atomic_exchange_n((place), NULL, __ATOMIC_ACQ_REL)
    #define swap_in(place, object) __atomic_exchange_n((place), (object), __ATOMIC_ACQ_REL)
    #define set_shard(place, shard) __atomic_store_n((place), (shard), __ATOMIC_RELEASE)
    """
    PyObject *swap_out(PyObject **place) nogil
    PyObject *swap_in(PyObject **place, PyObject *object) nogil
    void set_shard(atlas_shard **place, atlas_shard *shard) nogil

cdef int ENTER_TRIES = 8

cdef struct Pin:  # of a reader that is inside
    atlas_pins *where
    uint64_t token
    uint32_t forks

cdef int let_go(object hold) except -1:
    """Ends what a keeper returned, once more if it was interrupted (Ctrl-C): nobody comes after this
    caller."""
    try:
        hold.exit()
    except BaseException:
        hold.exit()
        raise
    return 0


@cython.final
cdef class ShardSet:
    """Shards one after another.

    opener: given a list of numbers, returns those Shards; it is called for shards that are needed
    first. keeper: None where nothing that was opened ever goes (few files, mapped); else an object
    with `pins`, and enter(shard_set, numbers, needs, alone), which puts shards into this set, makes
    the blocks present that needs() names, and returns an object whose exit() lets them go. alone:
    nobody else may take them away before. It alone calls put and take then. mend(shard_set, numbers,
    needs) is called after damage was found: whether reading again may do better.
    """
    cdef atlas_set c
    cdef cnp.ndarray starts
    cdef atlas_shard **shards
    cdef list opened
    cdef object opener
    cdef readonly object keeper
    cdef Pins pins
    cdef bint drops  # blocks go, too: an example must not point into a span
    cdef readonly States states  # of the shards, where there is a keeper
    cdef PyObject *spare  # a Context that waits for its next use
    cdef size_t missing
    cdef bint page_coded  # some leaf of an open shard may be compressed by whole pages: rows are read in their order
    cdef int verify
    cdef bint copy
    cdef uint32_t max_page
    cdef object __weakref__

    def __cinit__(self, starts, opener, *, int verify, bint copy, keeper=None, uint32_t max_page=MAX_PAGE):
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
        self.keeper = keeper
        if keeper is not None:
            self.pins, self.drops = keeper.pins, keeper.drops
            self.states = States(self.c.count)
            self.c.open = self.states.at
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
        shard = self.opened[k]
        if shard is not None and (self.keeper is None or self.states[k]):
            return shard
        if self.keeper is None:
            return self.put(k, self.opener([k])[0])
        hold = self.keeper.enter(self, [k], None, False)
        try:
            return self.opened[k]
        finally:
            let_go(hold)

    def put(self, size_t k, Shard shard):
        """Shard k is open from now on. Returns the one that is, if another thread was earlier."""
        if self.opened[k] is None:
            self.opened[k] = shard
            self.page_coded |= shard.has_page_coded()
            set_shard(&self.shards[k], &shard.c)
            self.missing -= 1
        return self.opened[k]

    def take(self, size_t k):
        """Removes shard k, which no reader is in, and returns it."""
        shard, self.opened[k] = self.opened[k], None
        set_shard(&self.shards[k], NULL)
        self.missing += 1
        return shard

    @property
    def is_open(self):
        """Numbers of the shards that are open."""
        return [k for k, shard in enumerate(self.opened) if shard is not None]

    cdef size_t locate(self, int64_t row) noexcept:
        return set_find(&self.c, row)

    # --- before and after reading ---

    cdef object enter(self, Projection projection, const int64_t *rows, size_t count, Pin *pin):
        """Opens the shards of some rows, and makes their blocks present. They stay until leave().
        Returns what keeps them besides the pin, if anything does."""
        if self.keeper is None:
            self.open_for(rows, count)
            return None
        hold = None
        for tries in range(ENTER_TRIES):
            self.go_in(pin)
            if self.present(projection, rows, count):
                return hold
            self.go_out(pin)
            if hold is not None:
                let_go(hold)
            # what is shared with other processes may be evicted before the pin: then all rows of the call are held in memory
            hold = self.enter_slowly(projection, rows, count, tries == ENTER_TRIES - 2)
        self.go_in(pin)
        return hold

    cdef inline void go_in(self, Pin *pin) noexcept:
        pin.where, pin.forks = self.pins.c, self.pins.forks
        pin.token = atlas_pin(pin.where)

    cdef inline void go_out(self, const Pin *pin) noexcept:
        if pin.forks == self.pins.forks:  # in a forked child, the memory may be the parent's
            atlas_unpin(pin.where, pin.token)

    cdef bint present(self, Projection projection, const int64_t *rows, size_t count) noexcept:
        """Whether all blocks of some rows are there at this moment."""
        cdef atlas_error error
        cdef size_t found = 0
        error.shard = 0
        return atlas_missing(
            &self.c, rows, count, projection.leaves, projection.leaf_count, 0, NULL, 0, &found, &error) == ATLAS_OK and found == 0

    cdef object enter_slowly(self, Projection projection, const int64_t *rows, size_t count, bint alone):
        cdef cnp.ndarray given = np.empty(count, np.int64)
        memcpy(cnp.PyArray_DATA(given), rows, count * 8)
        if count and not (0 <= given.min() and given.max() < self.c.starts[self.c.count]):
            row = given[(given < 0) | (given >= self.c.starts[self.c.count])][0]
            raise IndexError(f"row {row} is out of range for {self.c.starts[self.c.count]} rows")
        numbers = np.unique(self.shard_numbers(given)).tolist()
        return self.keeper.enter(self, numbers, lambda: self.needs(projection, given), alone)

    cdef bint count_reads(self, Projection projection, cnp.ndarray rows, bint all, size_t *found) noexcept:
        """How many blocks these rows read, one after another; all: or only those that are missing. Whether it can be said."""
        cdef atlas_error error
        cdef atlas_need first
        error.shard = 0
        return atlas_missing(
            &self.c, <const int64_t *>cnp.PyArray_DATA(rows), rows.shape[0], projection.leaves, projection.leaf_count, all, &first, 1, found,
            &error) == ATLAS_OK

    def ask(self, Projection projection, rows):
        """Makes the blocks of some rows (int64, in range) present before they are read. Returns what keeps
        them until its exit(), or None where nothing needs it. The keeper hears how many reads will find
        what was there before."""
        cdef cnp.ndarray given = np.ascontiguousarray(rows, np.int64)
        cdef Pin pin
        cdef size_t every = 0, missing = 0
        cdef bint known
        if self.keeper is None or len(given) == 0:
            return None
        self.go_in(&pin)
        known = self.count_reads(projection, given, False, &missing) and self.count_reads(projection, given, True, &every)
        self.go_out(&pin)
        if known:
            self.keeper.found(every - min(every, missing))
        if known and missing == 0 and self.keeper.shared:
            return None
        numbers = np.unique(self.shard_numbers(given)).tolist()
        return self.keeper.enter(self, numbers, lambda: self.needs(projection, given), False)

    cdef bint mend(self, Projection projection, cnp.ndarray rows) except -1:
        """After damage was found: whether blocks of these rows were damaged in a cache, and are right now."""
        if self.keeper is None:
            return False
        numbers = np.unique(self.shard_numbers(rows)).tolist()
        return self.keeper.mend(self, numbers, lambda: self.needs(projection, rows))

    cdef int leave(self, object hold, const Pin *pin) except -1:
        if self.keeper is not None:
            self.go_out(pin)
            if hold is not None:
                let_go(hold)
        return 0

    def needs(self, Projection projection, cnp.ndarray rows):
        """(shard, block in its index) of every block that holds rows of open shards, for the leaves
        of a projection."""
        cdef atlas_error error
        cdef size_t found = 0, count = rows.shape[0]
        cdef const int64_t *p = <const int64_t *>cnp.PyArray_DATA(rows)
        cdef size_t room = count * <size_t>projection.leaf_count
        cdef cnp.ndarray out = np.empty(room, np.uint64)
        cdef atlas_need *needs = <atlas_need *>cnp.PyArray_DATA(out)
        cdef int status
        error.shard = 0
        with nogil:
            status = atlas_missing(
                &self.c, p, count, projection.leaves, projection.leaf_count, 1, needs, room, &found, &error)
        if status != ATLAS_OK:
            check(&error, self.where(error.shard))
        pairs = np.unique(out[:found]).view(np.uint32).reshape(-1, 2)
        return list(zip(pairs[:, 0].tolist(), pairs[:, 1].tolist()))

    cdef int open_for(self, const int64_t *rows, size_t count) except -1:
        """Opens the shards of some rows, all in one step."""
        cdef size_t i, k = 0
        cdef set wanted = set()
        if self.missing == 0:
            return 0
        for i in range(count):
            if rows[i] < self.c.starts[k] or rows[i] >= self.c.starts[k + 1] or i == 0:
                if rows[i] < 0 or rows[i] >= self.c.starts[self.c.count]:
                    raise IndexError(f"row {rows[i]} is out of range for {self.c.starts[self.c.count]} rows")
                k = self.locate(rows[i])
                if self.shards[k] == NULL:
                    wanted.add(k)
        if wanted:
            numbers = sorted(wanted)
            for number, shard in zip(numbers, self.opener(numbers)):
                self.put(number, shard)
        return 0

    cdef Context acquire(self):
        cdef PyObject *spare = swap_out(&self.spare)
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

    cdef int release(self, Context context) except -1:
        Py_INCREF(context)
        Py_XDECREF(swap_in(&self.spare, <PyObject *>context))
        return 0

    cdef str where(self, size_t k):
        shard = self.opened[k] if k < self.c.count else None
        return (<Shard>shard).path if shard is not None else "dataset"

    cdef int read_views(
        self,
        Context context,
        const uint32_t *leaves,
        size_t leaf_count,
        const int64_t *rows,
        size_t count,
        const int64_t *order,
        bint alone,
    ) except -1:
        """Fills context.views, leaf after leaf. alone: without a helper."""
        cdef Lookup at
        cdef const atlas_shard *shard
        context.room(count * leaf_count)
        at.set, at.rows, at.count, at.order = &self.c, rows, count, order
        at.leaves, at.leaf_count, at.views = leaves, leaf_count, context.views
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
        """As read_views for one row, with nothing in between: others are not let run, and no work
        is shared."""
        cdef atlas_error error
        cdef int status
        context.room(projection.leaf_count)
        error.shard = 0
        while True:
            context.c.used = 0
            status = atlas_views(
                &context.c, &self.c, row, 1, NULL, 1, projection.leaves, projection.leaf_count, context.views, &error)
            if self.succeeded(context, status, &error):
                return 0

    cdef int read_alone(self, Context context, Lookup *at) except -1:
        cdef Worker worker
        worker.lookup, worker.reader = at, &context.c
        while True:
            at.taken = 0
            with nogil:
                look_up(&worker)
            if self.succeeded(context, worker.status, &worker.error):
                return 0

    cdef bint share(self, Context context, Lookup *at) except -1:
        """The pieces are shared with the helper: both fill the same views, each from an arena of
        its own. False: an arena was too small, and has grown."""
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
        own_done = self.succeeded(context, own.status, &own.error)
        return self.succeeded(context.second, other.status, &other.error) and own_done

    cdef bint succeeded(self, Context context, int status, atlas_error *error) except -1:
        """True after success; False once the arena has the size that the call asked for; else
        raises."""
        if status == ATLAS_OK:
            return True
        if status != ATLAS_MEMORY or context.c.need <= context.c.arena_bytes:
            check(error, self.where(error.shard))
        context.grow()
        return False

    cdef object order_of(self, cnp.ndarray rows):
        """In which order to go through rows so that each page is decoded once; None where pages are
        not compressed as a whole."""
        return np.argsort(rows, kind="stable").astype(np.int64, copy=False) if self.page_coded else None

    cdef object example(self, Projection projection, int64_t row):
        cdef size_t k = 0
        if self.c.count > 1:
            k = self.locate(row)
        if self.keeper is None:
            if self.shards[k] == NULL:
                self.shard(k)
            return self.read_example(projection, row, k)
        try:
            return self.kept_example(projection, row, k)
        except errors.CorruptError:
            if not self.mend(projection, np.array([row])):
                raise
        return self.kept_example(projection, row, k)

    cdef object kept_example(self, Projection projection, int64_t row, size_t k):
        cdef Pin pin
        hold = self.enter(projection, &row, 1, &pin)
        try:
            return self.read_example(projection, row, k)
        finally:
            self.leave(hold, &pin)

    cdef object read_example(self, Projection projection, int64_t row, size_t k):
        cdef Context context = self.acquire()
        try:
            self.read_one(context, projection, &row)
            return self.build_row(context, projection, 1, 0, k, row)
        finally:
            self.release(context)

    cdef object build_row(self, Context context, Projection projection, size_t count, size_t i, size_t k, int64_t row):
        """Row of shard k, whose views are the i-th of count."""
        try:
            if self.copy or self.drops:
                example = build(context, projection.root, context.views, count, i, None)
                context.finish_copies()
                return example
            return self.build_shared(context, projection, count, i, k)
        except (UnicodeDecodeError, errors.CorruptError, errors.LimitError, errors.UnsupportedError) as cause:
            raise damaged_value(cause, self.where(k), row - self.c.starts[k]) from cause
        finally:
            context.delayed = 0

    cdef object build_shared(self, Context context, Projection projection, size_t count, size_t i, size_t k):
        """An example whose values lie in the span where they can; those that were decoded are moved
        to memory of their own."""
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

    def examples(self, Projection projection, cnp.ndarray rows, bint own_bytes=False):
        """The examples of some rows (int64), as a list. own_bytes: bytes are bytes, even where
        copy=False makes everything a view."""
        rows = np.ascontiguousarray(rows, np.int64)
        try:
            return self._list(projection, rows, own_bytes)
        except errors.CorruptError:
            if not self.mend(projection, rows):
                raise
        return self._list(projection, rows, own_bytes)

    cdef list _list(self, Projection projection, cnp.ndarray rows, bint own_bytes):
        cdef size_t count = rows.shape[0], i, k = 0
        cdef const int64_t *p = <const int64_t *>cnp.PyArray_DATA(rows)
        cdef Pin pin
        cdef Context context
        cdef list out = []
        if count == 0:
            return out
        hold = self.enter(projection, p, count, &pin)
        try:
            order = self.order_of(rows)
            context = self.acquire()
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
                self.release(context)
        finally:
            self.leave(hold, &pin)
        return out

    def chunk_rows(self, Projection projection):
        """Rows that iteration reads at a time: about 4 MiB of raw data, at most 64 (what was
        decoded is still in the cache when examples are made of it), or 1,024 where a helper shares
        the work (which has to wake up)."""
        cdef uint64_t raw = 0, rows = 0
        cdef uint64_t most = 64
        cdef Shard shard
        for found in self.opened:
            if found is not None:
                shard = <Shard>found
                if not helper_off and has_coded(&shard.c, projection.leaves, projection.leaf_count):
                    most = 1024
                raw += shard.c.raw_bytes
                rows += shard.c.rows
        return max(1, min(most, READ_CHUNK * rows // max(raw, 1))) if rows else most

    def block_rows(self, Projection projection, int64_t row):
        """Of a row's shard: its first row, and the rows per block of its page-coded leaf with the
        smallest blocks, or 0."""
        cdef size_t k = self.locate(row)
        cdef Shard shard = <Shard>self.shard(k)
        return CodedBlock(self.c.starts[k], least_coded(&shard.c, projection.leaves, projection.leaf_count))

    @property
    def blocks_at_once(self):
        """Blocks that iteration reads at a time where pages are decoded as a whole: one for each
        thread that shares the work."""
        return 1 if helper_off else 2

    def batch(self, Projection projection, cnp.ndarray rows, out=None, bint alone=False):
        """Columns of some rows (int64): nested as an example is. out: {path: array} to fill instead
        of new ones. alone: without a helper."""
        if cnp.PyArray_TYPE(rows) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(rows):
            rows = np.ascontiguousarray(rows, np.int64)
        if self.keeper is None:
            return self._batch(projection, rows, out, alone)
        try:
            return self._batch(projection, rows, out, alone)
        except errors.CorruptError:
            if not self.mend(projection, rows):
                raise
        return self._batch(projection, rows, out, alone)

    cdef object _batch(self, Projection projection, cnp.ndarray rows, out, bint alone):
        cdef Pin pin
        hold = self.enter(projection, <const int64_t *>cnp.PyArray_DATA(rows), rows.shape[0], &pin)
        try:
            return Batch(self, projection, rows, out, alone).read()
        finally:
            self.leave(hold, &pin)
