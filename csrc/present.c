/* present.c - spans with holes: which blocks some rows need that are not there, and the pins that keep
 * what is there while it is read. No I/O, no waiting: both are the caller's.
 *
 * States and pins use one total order (sequential consistency): either a reader sees that a state was
 * cleared, or whoever cleared it sees the reader inside. */
#include "error.h"
#include "read.h"

void atlas_state_set(uint8_t *state) { __atomic_store_n(state, ATLAS_PRESENT, __ATOMIC_SEQ_CST); }

void atlas_state_clear(uint8_t *state) { __atomic_store_n(state, ATLAS_ABSENT, __ATOMIC_SEQ_CST); }

int atlas_state_rest(uint8_t *state) {
    uint8_t seen = ATLAS_USED;
    return __atomic_compare_exchange_n(state, &seen, ATLAS_PRESENT, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Whether it is there. A state that is cleared at the same moment is never set again by this. */
static inline bool state_use(uint8_t *state) {
    uint8_t seen = __atomic_load_n(state, __ATOMIC_SEQ_CST);
    if (seen == ATLAS_PRESENT) __atomic_compare_exchange_n(state, &seen, ATLAS_USED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return seen != ATLAS_ABSENT;
}

typedef struct { /* rows that one answer holds for */
    int64_t low, high;
} answered;

/* The need of a row, and whether it is there; until: the rows that share the answer. */
static int row_need(
    const atlas_set *set,
    size_t k,
    int64_t row,
    const uint32_t *leaves,
    size_t l,
    int all,
    atlas_need *need,
    bool *wanted,
    answered *until,
    atlas_error *error
) {
    *need = (atlas_need){(uint32_t)k, ATLAS_NO_BLOCK};
    *until = (answered){set->starts[k], set->starts[k + 1]};
    *wanted = true;
    error->shard = (uint32_t)k;
    if (set->open != NULL && !state_use(&set->open[k])) return ATLAS_OK;
    const atlas_shard *shard = __atomic_load_n(&set->shards[k], __ATOMIC_ACQUIRE);
    if (shard == NULL) return ATLAS_OK;
    const uint64_t local = (uint64_t)(row - set->starts[k]);
    ATLAS_REQUIRE(leaves[l] < shard->leaf_count && local < shard->rows, ARG, 0, "leaf or row out of range");
    const atlas_leaf *leaf = &shard->leaves[leaves[l]];
    /* leaves of one group share their blocks, and mostly follow each other */
    *wanted = !(shard->present == NULL && !all) && !(l != 0 && shard->leaves[leaves[l - 1]].group == leaf->group);
    if (!*wanted) return ATLAS_OK;
    const uint32_t number = block_of(leaf, local);
    until->low = set->starts[k] + (int64_t)((uint64_t)number * leaf->rows_per_block);
    if (until->high - until->low > leaf->rows_per_block) until->high = until->low + leaf->rows_per_block;
    need->block = leaf->first_block + number;
    *wanted = shard->present == NULL || !state_use(&shard->present[need->block]) || all;
    return ATLAS_OK;
}

int atlas_missing(
    const atlas_set *set,
    const int64_t *rows,
    size_t count,
    const uint32_t *leaves,
    size_t leaf_count,
    int all,
    atlas_need *out,
    size_t capacity,
    size_t *found,
    atlas_error *error
) {
    size_t k = 0;
    *found = 0;
    ATLAS_REQUIRE(set->count >= 1, ARG, 0, "set is empty");
    for (size_t l = 0; l < leaf_count; l++) {
        answered until = {0, 0};
        for (size_t r = 0; r < count; r++) {
            if (rows[r] >= until.low && rows[r] < until.high) continue;
            if (rows[r] < set->starts[k] || rows[r] >= set->starts[k + 1]) {
                ATLAS_REQUIRE(rows[r] >= 0 && rows[r] < set->starts[set->count], ARG, 0, "row out of range");
                k = set_find(set, rows[r]);
            }
            atlas_need need;
            bool wanted;
            ATLAS_TRY(row_need(set, k, rows[r], leaves, l, all, &need, &wanted, &until, error));
            if (!wanted) continue;
            if (*found < capacity) out[*found] = need;
            ++*found;
            if (capacity == 0) return ATLAS_OK;
        }
    }
    return ATLAS_OK;
}

uint64_t atlas_pin(atlas_pins *pins) {
    const uint32_t life = __atomic_load_n(&pins->life, __ATOMIC_RELAXED);
    const uint32_t slot = __atomic_load_n(&pins->turn, __ATOMIC_SEQ_CST) & 1;
    __atomic_fetch_add(&pins->inside[slot], 1, __ATOMIC_SEQ_CST);
    return (uint64_t)life << 1 | slot;
}

void atlas_unpin(atlas_pins *pins, uint64_t token) {
    if (token >> 1 != __atomic_load_n(&pins->life, __ATOMIC_RELAXED)) return;
    __atomic_fetch_sub(&pins->inside[token & 1], 1, __ATOMIC_SEQ_CST);
}

uint32_t atlas_pins_turn(atlas_pins *pins) { return __atomic_fetch_add(&pins->turn, 1, __ATOMIC_SEQ_CST) & 1; }

uint64_t atlas_pins_inside(const atlas_pins *pins, uint32_t slot) {
    return __atomic_load_n(&pins->inside[slot & 1], __ATOMIC_SEQ_CST);
}

void atlas_pins_reset(atlas_pins *pins) {
    __atomic_store_n(&pins->inside[0], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&pins->inside[1], 0, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&pins->life, 1, __ATOMIC_SEQ_CST);
}
