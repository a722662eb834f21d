/* permute.c - orders over [0, n): keys, permutations, windows of chunks, mixes. Arithmetic only; docs/order.md is its specification. */
#include <string.h>

#include "atlas.h"

__extension__ typedef unsigned __int128 uint128;

static const uint64_t golden = 0x9e3779b97f4a7c15u;

/* The low half of bits times n, divided by 2^64: a number below n. */
static inline uint64_t scale(uint64_t bits, uint64_t n) { return (uint64_t)(((uint128)bits * n) >> 64); }

/* SplitMix64's output function (Steele, Lea, Flood 2014; Stafford's variant 13). */
static inline uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* --- keys --------------------------------------------------------------- */

static uint64_t absorb(uint64_t hash, uint64_t word) { return mix(hash ^ mix(word + golden)) + golden; }

uint64_t atlas_key(const uint64_t *words, size_t count) {
    uint64_t hash = golden;
    for (size_t i = 0; i < count; i++) hash = absorb(hash, words[i]);
    return hash;
}

/* --- permutations ------------------------------------------------------- */

/* The least a with a * a >= n; n >= 1. */
static uint64_t ceil_sqrt(uint64_t n) {
    uint64_t least = 1, most = 3037000500u; /* its square is above 2^63 */
    while (least < most) {
        uint64_t middle = least + (most - least) / 2;
        if (middle * middle >= n) most = middle;
        else least = middle + 1;
    }
    return least;
}

static void shuffle(uint16_t *table, uint64_t n, uint64_t key) {
    for (uint64_t i = 0; i < n; i++) table[i] = (uint16_t)i;
    uint64_t state = key;
    for (uint64_t i = n; i-- > 1;) {
        state += golden;
        uint64_t j = scale(mix(state), i + 1);
        uint16_t value = table[i];
        table[i] = table[j];
        table[j] = value;
    }
}

void atlas_permutation_init(
    atlas_permutation *p,
    uint64_t n,
    const uint64_t *words,
    size_t count,
    uint16_t *table
) {
    uint64_t key = atlas_key(words, count);
    memset(p, 0, sizeof *p);
    p->n = n;
    if (n <= ATLAS_TABLE_MAX) {
        shuffle(table, n, key);
        p->table = table;
        return;
    }
    p->a = ceil_sqrt(n);
    p->b = (n + p->a - 1) / p->a;
    for (uint64_t i = 0; i < ATLAS_ROUNDS; i++) p->keys[i] = absorb(key, i);
}

/* The round function: what is added to the other half, below n. */
static inline uint64_t spread(uint64_t half, uint64_t key, uint64_t n) {
    uint64_t z = (half ^ key) * 0xd6e8feb86659fd93u;
    z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93u;
    return scale(z, n);
}

/* (x + y) mod n and (x - y) mod n of numbers below n, without a division. */
static inline uint64_t add_mod(uint64_t x, uint64_t y, uint64_t n) {
    uint64_t sum = x + y;
    return sum >= n ? sum - n : sum;
}

static inline uint64_t subtract_mod(uint64_t x, uint64_t y, uint64_t n) { return x >= y ? x - y : x + n - y; }

/* The 8 rounds over several halves at once: one chain of multiplications is 130 cycles long, four side by side take little more. */
static inline void rounds(const atlas_permutation *p, uint64_t *left, uint64_t *right, int lanes) {
    for (int k = 0; k < ATLAS_ROUNDS; k += 2) {
        for (int i = 0; i < lanes; i++) left[i] = add_mod(left[i], spread(right[i], p->keys[k], p->a), p->a);
        for (int i = 0; i < lanes; i++) right[i] = add_mod(right[i], spread(left[i], p->keys[k + 1], p->b), p->b);
    }
}

/* Rounds until the number is below n: a * b - n < a, so one pass is enough but about once in sqrt(n). */
static inline uint64_t walk(const atlas_permutation *p, uint64_t left, uint64_t right) {
    uint64_t x = 0;
    do {
        rounds(p, &left, &right, 1);
        x = left * p->b + right;
    } while (x >= p->n);
    return x;
}

uint64_t atlas_permutation_at(const atlas_permutation *p, uint64_t x) {
    if (p->table != NULL) return p->table[x];
    return walk(p, x / p->b, x % p->b);
}

uint64_t atlas_permutation_find(const atlas_permutation *p, uint64_t y) {
    uint64_t x = 0;
    if (p->table != NULL) {
        while (p->table[x] != y) x++;
        return x;
    }
    x = y;
    do {
        uint64_t left = x / p->b, right = x % p->b;
        for (int k = ATLAS_ROUNDS - 2; k >= 0; k -= 2) {
            right = subtract_mod(right, spread(left, p->keys[k + 1], p->b), p->b);
            left = subtract_mod(left, spread(right, p->keys[k], p->a), p->a);
        }
        x = left * p->b + right;
    } while (x >= p->n);
    return x;
}

void atlas_permutation_take(const atlas_permutation *p, uint64_t start, size_t count, int64_t *out) {
    enum { LANES = 4 };
    if (p->table != NULL) {
        for (size_t i = 0; i < count; i++) out[i] = p->table[start + i];
        return;
    }
    uint64_t row = start / p->b, column = start % p->b;
    size_t done = 0;
    for (; done + LANES <= count; done += LANES) {
        uint64_t left[LANES], right[LANES];
        for (int i = 0; i < LANES; i++) {
            left[i] = row;
            right[i] = column;
            column++;
            if (column == p->b) {
                column = 0;
                row++;
            }
        }
        rounds(p, left, right, LANES);
        for (int i = 0; i < LANES; i++) {
            uint64_t x = left[i] * p->b + right[i];
            out[done + (size_t)i] = (int64_t)(x < p->n ? x : walk(p, left[i], right[i]));
        }
    }
    for (; done < count; done++) out[done] = (int64_t)atlas_permutation_at(p, start + done);
}

/* --- windows of chunks -------------------------------------------------- */

static int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }

static int64_t lane_chunks(const atlas_windows *o, int64_t lane) { return (o->chunk_count - lane + o->lanes - 1) / o->lanes; }

/* How many chunks a lane's first window is short of: more the higher its number, so that lanes do not open windows together. */
static int64_t stagger(const atlas_windows *o, int64_t lane) { return lane * o->window / o->lanes; }

/* Chunks of the lane before its window-th window. */
static int64_t chunks_before(const atlas_windows *o, int64_t lane, int64_t window) {
    return window == 0 ? 0 : least(lane_chunks(o, lane), window * o->window - stagger(o, lane));
}

static int64_t window_count(const atlas_windows *o, int64_t lane) { return (lane_chunks(o, lane) - 1 + stagger(o, lane)) / o->window + 1; }

/* Rows of the lane before its window-th window. */
static int64_t rows_before(const atlas_windows *o, int64_t lane, int64_t window) {
    if (o->starts != NULL) return o->window_starts[lane * o->stride + window];
    int64_t chunks = chunks_before(o, lane, window), rows = chunks * o->rows_per_chunk;
    int64_t missing = o->chunk_count * o->rows_per_chunk - o->rows; /* rows that the last chunk is short of */
    return o->last_at % o->lanes == lane && o->last_at / o->lanes < chunks ? rows - missing : rows;
}

static int64_t chunk_start(const atlas_windows *o, int64_t chunk) {
    return o->starts != NULL ? o->starts[chunk] : least(chunk * o->rows_per_chunk, o->rows);
}

int64_t atlas_windows_stride(const atlas_windows *o) {
    int64_t most = 0;
    for (int64_t lane = 0; lane < o->lanes; lane++) {
        int64_t count = window_count(o, lane);
        if (count > most) most = count;
    }
    return most + 1;
}

/* The rows of every chunk, in the order dealt, added up by lane and written where a window ends. */
static void add_up(const atlas_windows *o, int64_t *window_starts) {
    enum { BATCH = 256 };
    int64_t dealt[BATCH], lane = 0, at = 0; /* at: chunks that the lane was dealt before */
    for (int64_t i = 0; i < o->lanes * o->stride; i++) window_starts[i] = 0;
    for (int64_t base = 0; base < o->chunk_count; base += BATCH) {
        int64_t count = least(BATCH, o->chunk_count - base);
        atlas_permutation_take(&o->chunks, (uint64_t)base, (size_t)count, dealt);
        for (int64_t i = 0; i < count; i++) {
            int64_t window = (at + stagger(o, lane)) / o->window;
            window_starts[lane * o->stride + window + 1] += o->starts[dealt[i] + 1] - o->starts[dealt[i]];
            lane++;
            if (lane == o->lanes) {
                lane = 0;
                at++;
            }
        }
    }
    for (lane = 0; lane < o->lanes; lane++) {
        int64_t *of_lane = window_starts + lane * o->stride;
        for (int64_t i = 1; i < o->stride; i++) of_lane[i] += of_lane[i - 1];
    }
}

void atlas_windows_measure(atlas_windows *o, int64_t *window_starts, int64_t *lane_rows) {
    o->last_at = (int64_t)atlas_permutation_find(&o->chunks, (uint64_t)o->chunk_count - 1);
    o->window_starts = window_starts;
    if (o->starts != NULL) add_up(o, window_starts);
    for (int64_t lane = 0; lane < o->lanes; lane++) lane_rows[lane] = rows_before(o, lane, window_count(o, lane));
}

int64_t atlas_windows_most_rows(const atlas_windows *o) {
    if (o->starts == NULL) return least(o->most_chunks * o->rows_per_chunk, o->rows);
    int64_t most = 0;
    for (int64_t lane = 0; lane < o->lanes; lane++) {
        const int64_t *of_lane = o->window_starts + lane * o->stride;
        for (int64_t i = 1; i < o->stride; i++) {
            if (of_lane[i] - of_lane[i - 1] > most) most = of_lane[i] - of_lane[i - 1];
        }
    }
    return most;
}

/* The index of the last of count rising numbers that is <= value; the first one is. */
static int64_t last_not_above(const int64_t *numbers, int64_t count, int64_t value) {
    int64_t low = 0;
    while (count > 1) {
        int64_t half = count / 2;
        low = numbers[low + half] <= value ? low + half : low;
        count -= half;
    }
    return low;
}

static int64_t window_at(const atlas_windows *o, int64_t lane, int64_t offset) {
    int64_t low = 0, high = window_count(o, lane);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (rows_before(o, lane, middle) <= offset) low = middle;
        else high = middle;
    }
    return low;
}

/* Opens the window that holds offset. A lane has two slots, so that one reader may look ahead by a window while another follows. */
static atlas_window *open_window(atlas_windows *o, int64_t lane, int64_t offset) {
    int64_t number = window_at(o, lane, offset), slot = 2 * lane + (number & 1);
    int64_t first = chunks_before(o, lane, number), stop = chunks_before(o, lane, number + 1);
    atlas_window *window = &o->open[slot];
    window->begins = o->begins + slot * o->most_chunks;
    window->shifts = o->shifts + slot * o->most_chunks;
    window->chunks = stop - first;
    window->start = rows_before(o, lane, number);
    window->stop = rows_before(o, lane, number + 1);
    int64_t rows = 0;
    for (int64_t i = 0; i < window->chunks; i++) {
        int64_t chunk = (int64_t)atlas_permutation_at(&o->chunks, (uint64_t)(lane + (first + i) * o->lanes));
        window->begins[i] = rows;
        window->shifts[i] = chunk_start(o, chunk) - rows;
        rows += chunk_start(o, chunk + 1) - chunk_start(o, chunk);
    }
    const uint64_t words[] = {ATLAS_ROLE_WINDOW, o->stream, o->seed, o->epoch, (uint64_t)lane, (uint64_t)number};
    atlas_permutation_init(&window->rows, (uint64_t)rows, words, sizeof words / sizeof words[0], o->tables + slot * o->table_rows);
    return window;
}

static int64_t row_in_lane(atlas_windows *o, int64_t lane, int64_t offset) {
    atlas_window *window = &o->open[2 * lane];
    if (offset < window->start || offset >= window->stop) window++;
    if (offset < window->start || offset >= window->stop) window = open_window(o, lane, offset);
    int64_t row = (int64_t)atlas_permutation_at(&window->rows, (uint64_t)(offset - window->start));
    return row + window->shifts[last_not_above(window->begins, window->chunks, row)];
}

void atlas_windows_take(
    atlas_windows *o,
    int64_t start,
    size_t count,
    int64_t step,
    int64_t *out
) {
    int64_t turn = 0; /* positions rise, and so do turns */
    for (size_t i = 0; i < count; i++) {
        int64_t position = start + (int64_t)i * step;
        if (position < o->even) {
            out[i] = row_in_lane(o, position % o->lanes, position / o->lanes);
            continue;
        }
        while (turn + 1 < o->turn_count && o->turns[turn + 1].position <= position) turn++;
        const atlas_turn *now = &o->turns[turn];
        int64_t past = position - now->position;
        out[i] = row_in_lane(o, o->by_length[past % now->lanes], now->offset + past / now->lanes);
    }
}

/* --- mixes -------------------------------------------------------------- */

void atlas_mix_take(
    atlas_mix *m,
    uint64_t start,
    size_t count,
    int64_t *datasets,
    int64_t *positions
) {
    uint64_t total = (uint64_t)m->ends[m->count - 1];
    for (size_t i = 0; i < count; i++) {
        uint64_t block = (start + i) / total, place = (start + i) % total;
        if (!m->is_open || block != m->block) {
            const uint64_t words[] = {ATLAS_ROLE_MIX, m->seed, m->origin, block};
            atlas_permutation_init(&m->slots, total, words, sizeof words / sizeof words[0], m->table);
            m->block = block;
            m->is_open = 1;
            m->place = total + 1; /* counts are those of no place */
        }
        if (place < m->place) {
            memset(m->counts, 0, m->count * sizeof *m->counts);
            m->place = 0;
        }
        for (; m->place <= place; m->place++) {
            int64_t slot = m->slots.table[m->place];
            size_t low = 0, high = m->count - 1;
            while (low < high) { /* the first dataset that ends above the slot */
                size_t middle = low + (high - low) / 2;
                if (m->ends[middle] > slot) high = middle;
                else low = middle + 1;
            }
            int64_t weight = m->ends[low] - (low == 0 ? 0 : m->ends[low - 1]);
            datasets[i] = (int64_t)low;
            positions[i] = (int64_t)block * weight + m->counts[low];
            m->counts[low]++;
        }
    }
}
