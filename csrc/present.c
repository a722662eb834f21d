/* present.c - spans with holes: which blocks some rows need that are not there, and the pins that keep
 * what is there while it is read. No I/O, no waiting: both are the caller's.
 *
 * States and pins use one total order (sequential consistency): either a reader sees that a state was
 * cleared, or whoever cleared it sees the reader inside. */
#include "error.h"
#include "read.h"

void atlas_state_set(uint8_t *state) { __atomic_store_n(state, ATLAS_PRESENT, __ATOMIC_SEQ_CST); }

void atlas_state_clear(uint8_t *state) { __atomic_store_n(state, ATLAS_ABSENT, __ATOMIC_SEQ_CST); }

int atlas_state_take_used(uint8_t *state) {
    uint8_t seen = ATLAS_USED;
    return __atomic_compare_exchange_n(state, &seen, ATLAS_PRESENT, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void atlas_state_age(uint8_t *state) {
    uint8_t seen = ATLAS_USED;
    __atomic_compare_exchange_n(state, &seen, ATLAS_COLD, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

int atlas_state_use(uint8_t *state) {
    uint8_t seen = __atomic_load_n(state, __ATOMIC_SEQ_CST);
    if (seen == ATLAS_PRESENT || seen == ATLAS_COLD) __atomic_compare_exchange_n(state, &seen, ATLAS_USED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return seen != ATLAS_ABSENT;
}

typedef struct { /* what a row needs, and the rows that need the same */
    int64_t low, high;
    atlas_need need;
    bool named; /* it is to be named: missing, or asked for */
} answer;

/* What a row of shard k needs of leaf l. */
static int need_find(
    const atlas_set *set,
    size_t k,
    int64_t row,
    const uint32_t *leaves,
    size_t l,
    bool all,
    answer *out,
    atlas_error *error
) {
    *out = (answer){set->starts[k], set->starts[k + 1], {(uint32_t)k, ATLAS_NO_BLOCK}, true};
    if (set->open != NULL && !atlas_state_use(&set->open[k])) return ATLAS_OK;
    const atlas_shard *shard = __atomic_load_n(&set->shards[k], __ATOMIC_ACQUIRE);
    if (shard == NULL) return ATLAS_OK;
    const uint64_t local = (uint64_t)(row - out->low);
    error->shard = (uint32_t)k;
    ATLAS_REQUIRE(leaves[l] < shard->leaf_count && local < shard->rows, ARG, 0, "leaf or row out of range");
    const atlas_leaf *leaf = &shard->leaves[leaves[l]];
    /* leaves of one group share their blocks, and mostly follow each other */
    const bool done = l != 0 && shard->leaves[leaves[l - 1]].group == leaf->group;
    uint8_t *present = __atomic_load_n(&shard->present, __ATOMIC_SEQ_CST);
    if (done || (present == NULL && !all)) {
        out->named = false;
        return ATLAS_OK;
    }
    const uint32_t number = block_of(leaf, local);
    out->low += (int64_t)((uint64_t)number * leaf->rows_per_block);
    if (out->high - out->low > leaf->rows_per_block) out->high = out->low + leaf->rows_per_block;
    out->need.block = leaf->first_block + number;
    out->named = present == NULL || !atlas_state_use(&present[out->need.block]) || all;
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
        answer at = {0, 0, {0, 0}, false};
        for (size_t r = 0; r < count; r++) {
            if (rows[r] >= at.low && rows[r] < at.high) continue;
            if (rows[r] < set->starts[k] || rows[r] >= set->starts[k + 1]) {
                ATLAS_REQUIRE(rows[r] >= 0 && rows[r] < set->starts[set->count], ARG, 0, "row out of range");
                k = set_find(set, rows[r]);
            }
            ATLAS_TRY(need_find(set, k, rows[r], leaves, l, all != 0, &at, error));
            if (!at.named) continue;
            if (*found < capacity) out[*found] = at.need;
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

uint32_t atlas_pins_empty(atlas_pins *pins) {
    uint32_t empty = 0, turn = __atomic_load_n(&pins->turn, __ATOMIC_SEQ_CST);
    for (uint32_t slot = 0; slot < 2; slot++) empty |= (uint32_t)(__atomic_load_n(&pins->inside[slot], __ATOMIC_SEQ_CST) == 0) << slot;
    const uint32_t other = (turn & 1) ^ 1;
    if (empty == 1u << other) __atomic_compare_exchange_n(&pins->turn, &turn, turn + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return empty;
}

void atlas_pins_reset(atlas_pins *pins) {
    __atomic_store_n(&pins->inside[0], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&pins->inside[1], 0, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&pins->life, 1, __ATOMIC_SEQ_CST);
}
