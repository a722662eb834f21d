# Looking up many rows in pieces, which a helper may share.

cdef extern from *:
    """
    #define count_up(number) __atomic_fetch_add((number), 1, __ATOMIC_RELAXED)
    """
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
    int64_t per       # rows per block of pages decoded as a whole, or 0: a piece begins where such a block does

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
    """Rows per block of the leaf with the smallest blocks among those whose pages are decoded as a
    whole; 0 if there is none."""
    cdef int64_t least = 0
    cdef const atlas_leaf *leaf
    cdef size_t l
    for l in range(leaf_count):
        leaf = &shard.leaves[leaves[l]]
        if leaf.flags & ATLAS_LEAF_PAGE_CODED and (least == 0 or leaf.rows_per_block < least):
            least = leaf.rows_per_block
    return least


cdef size_t border(const Lookup *at, size_t number) noexcept nogil:
    """Where a piece begins."""
    cdef size_t i = number * at.piece, k
    cdef int64_t before, row, block
    if i >= at.count:
        return at.count
    if at.per == 0 or i == 0:
        return i
    before = at.rows[at.order[i - 1] if at.order != NULL else i - 1]
    k = set_find(at.set, before)
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
        worker.status = atlas_views(
            worker.reader,
            at.set,
            at.rows + shift,
            stop - start,
            at.order + start if at.order != NULL else NULL,
            at.count,
            at.leaves,
            at.leaf_count,
            at.views + shift,
            &worker.error)
