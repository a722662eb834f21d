/* literals.c - Huffman-coded literals in four streams, where zstd's encoder made one: RFC 8878, sections 3.1.1.3.1 and 4.2.
 *
 * The encoder chooses one stream for up to 1,023 literals if a dictionary's table fits them, and up to 255 otherwise.
 * Decoders read four streams side by side, up to three times as fast, and the format allows four from 6 literals on.
 * Nothing else is changed: the same table, the same sequences. Whatever is not as expected here leaves the frame as it is. */
#include "literals.h"

#include <stdbool.h>

#include "bytes.h"
#include "codec.h"

#define ONE_STREAM_MOST 1023u /* literals: what the header of one stream can say */
#define JUMPS 6u              /* bytes of the sizes of the first three streams */
#define STREAM_MOST (((ONE_STREAM_MOST + 3) / 4 * HUFFMAN_BITS) / 8 + 1)
#define DICTIONARY_MAGIC 0xEC30A437u
#define DICTIONARY_HEAD 8u
#define WEIGHTS 255u         /* that a table can state; one more follows from them */
#define SHARES (HUFFMAN_BITS + 1u)
#define FSE_LOG_MOST 6u

static unsigned high_bit(uint32_t value) { return 31u - (unsigned)__builtin_clz(value); }

/* Bits that are read from the last one written to the first. */
typedef struct {
    const uint8_t *bytes;
    size_t left; /* bytes not in bits yet */
    uint64_t bits;
    int held; /* the lower bits of `bits`, not read yet; below 0: more was read than there was */
} backward;

static bool backward_open(backward *from, const uint8_t *bytes, size_t size) {
    if (size == 0 || bytes[size - 1] == 0) return false;
    *from = (backward){bytes, size - 1, bytes[size - 1], (int)high_bit(bytes[size - 1])};
    return true;
}

/* The next count bits (at most 11), zeros after the last; they stay. */
static uint32_t backward_peek(backward *from, unsigned count) {
    const uint32_t mask = (1u << count) - 1;
    while (from->held < (int)count && from->left != 0) {
        const bool many = from->left >= 4;
        from->left -= many ? 4 : 1;
        from->bits = many ? from->bits << 32 | load_u32(from->bytes + from->left) : from->bits << 8 | from->bytes[from->left];
        from->held += many ? 32 : 8;
    }
    if (from->held < 0) return 0;
    const int beyond = (int)count - from->held;
    return (uint32_t)(beyond > 0 ? from->bits << beyond : from->bits >> -beyond) & mask;
}

static uint32_t backward_take(backward *from, unsigned count) {
    const uint32_t value = backward_peek(from, count);
    from->held -= (int)count;
    return value;
}

/* count bits (at most 8) from bit `at` on, zeros after the end. */
static uint32_t bits_from(const uint8_t *bytes, size_t size, size_t at, unsigned count) {
    const size_t byte = at >> 3;
    const uint32_t low = byte < size ? bytes[byte] : 0, high = byte + 1 < size ? bytes[byte + 1] : 0;
    return (low | high << 8) >> (at & 7) & ((1u << count) - 1);
}

/* How many cells of the decoding table each weight has (-1: one, at the end). Returns the bytes read, or 0. */
static size_t read_shares(const uint8_t *bytes, size_t size, int shares[SHARES], unsigned *log) {
    size_t at = 4;
    *log = bits_from(bytes, size, 0, 4) + 5;
    if (*log > FSE_LOG_MOST) return 0;
    int left = 1 << *log;
    for (unsigned weight = 0; left > 0; weight++) {
        if (weight >= SHARES) return 0;
        const unsigned count = high_bit((uint32_t)left + 1) + 1;
        const uint32_t half = 1u << (count - 1), spare = 2 * half - 2 - (uint32_t)left;
        uint32_t value = bits_from(bytes, size, at, count);
        const bool is_short = (value & (half - 1)) < spare;
        if (is_short) value &= half - 1;
        else if (value >= half) value -= spare;
        at += is_short ? count - 1 : count;
        shares[weight] = (int)value - 1;
        left -= value == 0 ? 1 : (int)value - 1;
        for (uint32_t zeros = 3; value == 1 && zeros == 3; at += 2) {
            zeros = bits_from(bytes, size, at, 2);
            weight += zeros;
            if (weight >= SHARES) return 0;
        }
    }
    const size_t used = (at + 7) / 8;
    return left == 0 && used <= size ? used : 0;
}

typedef struct { uint8_t weight, bits, base; } fse_cell;

static void spread_shares(const int shares[SHARES], unsigned log, fse_cell cells[1u << FSE_LOG_MOST]) {
    const uint32_t size = 1u << log, step = (size >> 1) + (size >> 3) + 3;
    uint32_t next[SHARES], end = size, at = 0;
    for (uint32_t weight = 0; weight < SHARES; weight++) {
        next[weight] = shares[weight] < 0 ? 1 : (uint32_t)shares[weight];
        if (shares[weight] < 0) cells[--end].weight = (uint8_t)weight;
    }
    for (uint32_t weight = 0; weight < SHARES; weight++) {
        for (int i = 0; i < shares[weight]; i++) {
            cells[at].weight = (uint8_t)weight;
            do at = (at + step) & (size - 1); while (at >= end);
        }
    }
    for (uint32_t i = 0; i < size; i++) {
        const uint32_t state = next[cells[i].weight]++;
        cells[i].bits = (uint8_t)(log - high_bit(state));
        cells[i].base = (uint8_t)((state << cells[i].bits) - size);
    }
}

/* Weights coded by two FSE states in turn. Returns how many, or 0. */
static size_t fse_weights(const uint8_t *bytes, size_t size, uint8_t weights[WEIGHTS]) {
    int shares[SHARES] = {0};
    fse_cell cells[1u << FSE_LOG_MOST];
    unsigned log = 0;
    backward from;
    const size_t used = read_shares(bytes, size, shares, &log);
    if (used == 0 || !backward_open(&from, bytes + used, size - used)) return 0;
    spread_shares(shares, log, cells);
    uint32_t states[2];
    states[0] = backward_take(&from, log);
    states[1] = backward_take(&from, log);
    if (from.held < 0) return 0;
    for (size_t i = 0; i + 2 <= WEIGHTS; i++) {
        const fse_cell cell = cells[states[i & 1]];
        weights[i] = cell.weight;
        states[i & 1] = cell.base + backward_take(&from, cell.bits);
        if (from.held < 0) {
            weights[i + 1] = cells[states[(i + 1) & 1]].weight;
            return i + 2;
        }
    }
    return 0;
}

/* Codes from the weights of the first bytes; the last weight fills what is left. */
static bool assign_codes(atlas_huffman *table, uint8_t weights[WEIGHTS + 1], size_t count) {
    uint32_t total = 0, starts[HUFFMAN_BITS + 2] = {0};
    for (size_t i = 0; i < count; i++) {
        if (weights[i] > HUFFMAN_BITS) return false;
        total += 1u << weights[i] >> 1;
    }
    if (total == 0 || high_bit(total) >= HUFFMAN_BITS) return false;
    const unsigned longest = high_bit(total) + 1;
    const uint32_t rest = (1u << longest) - total;
    if ((rest & (rest - 1)) != 0) return false;
    weights[count] = (uint8_t)(high_bit(rest) + 1);
    for (size_t i = 0; i <= count; i++) starts[weights[i] + 1] += 1u << weights[i] >> 1;
    for (unsigned weight = 1; weight <= HUFFMAN_BITS; weight++) starts[weight] += starts[weight - 1];
    memset(table->lengths, 0, sizeof table->lengths);
    for (size_t i = 0; i <= count; i++) {
        if (weights[i] == 0) continue;
        const unsigned length = longest + 1 - weights[i];
        const uint32_t start = starts[weights[i]], end = start + (1u << (weights[i] - 1));
        table->lengths[i] = (uint8_t)length;
        table->codes[i] = (uint16_t)(start >> (weights[i] - 1));
        for (uint32_t k = start; k < end; k++) table->next[k] = (uint16_t)(i | length << 8);
        starts[weights[i]] = end;
    }
    table->longest = (uint8_t)longest;
    return true;
}

/* Returns the bytes of the table's description, or 0 if it is none. */
static size_t read_table(atlas_huffman *table, const uint8_t *bytes, size_t size) {
    uint8_t weights[WEIGHTS + 1];
    if (size == 0) return 0;
    const bool plain = bytes[0] >= 128;
    size_t count = plain ? bytes[0] - 127u : 0;
    const size_t used = 1 + (plain ? (count + 1) / 2 : bytes[0]);
    if (used > size) return 0;
    for (size_t i = 0; i < count; i++) weights[i] = bytes[1 + i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
    if (!plain) count = fse_weights(bytes + 1, used - 1, weights);
    return count != 0 && assign_codes(table, weights, count) ? used : 0;
}

void atlas_huffman_of_dictionary(atlas_huffman *table, const uint8_t *dictionary, size_t size) {
    table->longest = 0;
    if (size < DICTIONARY_HEAD || load_u32(dictionary) != DICTIONARY_MAGIC) return;
    if (read_table(table, dictionary + DICTIONARY_HEAD, size - DICTIONARY_HEAD) == 0) table->longest = 0;
}

static bool decode_stream(const atlas_huffman *table, const uint8_t *bytes, size_t size, uint8_t *out, size_t count) {
    backward from;
    if (!backward_open(&from, bytes, size)) return false;
    for (size_t i = 0; i < count; i++) {
        const uint16_t found = table->next[backward_peek(&from, table->longest)];
        out[i] = (uint8_t)found;
        from.held -= found >> 8;
    }
    return from.held == 0 && from.left == 0;
}

/* The last byte first, so that the first is read first. Returns the bytes written. */
static size_t encode_stream(const atlas_huffman *table, const uint8_t *bytes, size_t count, uint8_t *out) {
    uint64_t bits = 0;
    unsigned held = 0;
    size_t size = 0;
    while (count-- != 0) {
        bits |= (uint64_t)table->codes[bytes[count]] << held;
        held += table->lengths[bytes[count]];
        if (held < 32) continue;
        store_u32(out + size, (uint32_t)bits);
        size += 4, held -= 32, bits >>= 32;
    }
    for (bits |= 1ull << held; bits != 0; bits >>= 8) out[size++] = (uint8_t)bits;
    return size;
}

/* Four streams after their sizes. Returns the bytes written. */
static size_t encode_four(const atlas_huffman *table, const uint8_t *bytes, size_t count, uint8_t out[JUMPS + 4 * STREAM_MOST]) {
    const size_t part = (count + 3) / 4;
    size_t size = JUMPS;
    for (size_t k = 0; k < 4; k++) {
        const size_t got = encode_stream(table, bytes + k * part, k < 3 ? part : count - 3 * part, out + size);
        if (k < 3) store_u16(out + 2 * k, (uint16_t)got);
        size += got;
    }
    return size;
}

/* Where the one block of a frame begins; 0 if it is not one compressed block in a frame that states its content only. */
static size_t find_block(const uint8_t *frame, size_t size, uint64_t *content) {
    static const uint8_t content_bytes[4] = {1, 2, 4, 8};
    if (size <= ZSTD_MAGIC_BYTES || !atlas_frame_content_size(frame + ZSTD_MAGIC_BYTES, size - ZSTD_MAGIC_BYTES, content)) return 0;
    if ((frame[ZSTD_MAGIC_BYTES] & 0x20) == 0) return 0;
    const size_t start = ZSTD_MAGIC_BYTES + 1u + content_bytes[frame[ZSTD_MAGIC_BYTES] >> 6] + 3u;
    if (size < start + 5) return 0; /* the least that coded literals and sequences take */
    const uint32_t head = load_u32(frame + start - 3) & 0xffffff;
    return (head & 7) == 5 && start + (head >> 3) == size ? start : 0;
}

/* The literals of a block as four streams in packed; *tree: the bytes of the table before them. Returns the bytes in packed, or 0. */
static size_t repack(
    const uint8_t *block,
    size_t size,
    const atlas_huffman *known,
    size_t least,
    size_t *tree,
    uint8_t packed[JUMPS + 4 * STREAM_MOST]
) {
    const uint32_t head = load_u32(block) & 0xffffff;
    const size_t count = head >> 4 & 0x3ff, coded = head >> 14;
    const unsigned kind = head & 15;
    uint8_t bytes[ONE_STREAM_MOST];
    atlas_huffman own;
    if ((kind != 2 && kind != 3) || count < least || count < 6 || coded > size - 3) return 0;
    *tree = kind == 2 ? read_table(&own, block + 3, coded) : 0;
    const atlas_huffman *table = kind == 2 ? &own : known;
    if ((kind == 2 && *tree == 0) || table == NULL || table->longest == 0) return 0;
    if (!decode_stream(table, block + 3 + *tree, coded - *tree, bytes, count)) return 0;
    return encode_four(table, bytes, count, packed);
}

size_t atlas_literals_split(uint8_t *frame, size_t size, size_t capacity, const atlas_huffman *known, size_t least) {
    uint8_t packed[JUMPS + 4 * STREAM_MOST];
    uint64_t content = 0;
    size_t tree = 0;
    const size_t start = find_block(frame, size, &content);
    const size_t streams = start != 0 ? repack(frame + start, size - start, known, least, &tree, packed) : 0;
    if (streams == 0) return size;
    uint8_t *block = frame + start;
    const uint32_t old = load_u32(block) & 0xffffff, count = old >> 4 & 0x3ff;
    const size_t coded = tree + streams, head = coded > 0x3ff ? 4 : 3, end = 3 + (old >> 14);
    const size_t grown = size + head + coded - end;
    if (grown > capacity || grown - start >= content) return size; /* a block is never longer than its content */
    memmove(block + head + coded, block + end, size - start - end);
    memmove(block + head, block + 3, tree);
    memcpy(block + head + tree, packed, streams);
    const uint32_t kind = old & 3, kinds = head == 4 ? kind | 2u << 2 : kind | 1u << 2;
    const uint32_t heads = kinds | count << 4 | (uint32_t)coded << (head == 4 ? 18 : 14);
    memcpy(block, &heads, head);
    const uint32_t block_head = 5u | (uint32_t)(grown - start) << 3;
    memcpy(frame + start - 3, &block_head, 3);
    return grown;
}
