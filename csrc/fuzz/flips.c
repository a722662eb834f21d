/* flips.c - damage that must be seen. Every file made here differs from a good shard, and open + verify must refuse it.
 *
 *   flips bits SHARD [START STEP]     flips each bit (or every STEP-th from START on)
 *   flips reads SHARD [START STEP]    the same flips, read: each value of each leaf, as views and as columns, is right or refused
 *   flips cuts SHARD                  each truncation, and 1 .. 4096 more bytes (zeros, then noise)
 *   flips swaps COUNT A B [C ...]     swaps a DATA chunk of A with another of A or of B, C, ...
 *   flips sizes SHARD                 writes huge numbers in each size field, with right hashes
 *
 * Prints one line: cases, refused (reads: with an error), accepted (reads: with a wrong value), and for sizes the slowest case in microseconds and the growth of the RSS in KiB.
 */
#include <sys/resource.h>
#include <time.h>

#include "common.h"

static unsigned long cases, accepted;
static atlas_reader reader;

static uint8_t *file_read(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    uint8_t *bytes = malloc(1u << 22);
    MUST(bytes != NULL);
    *size = fread(bytes, 1, 1u << 22, f);
    fclose(f);
    return bytes;
}

static int whole_check(uint8_t *bytes, size_t size) {
    atlas_error error = {0};
    opened o;
    int status = opened_bind(&o, bytes, size, &error);
    if (status == ATLAS_OK) status = opened_verify(&o, &reader, NULL, &error);
    opened_unbind(&o);
    return status;
}

static void refused(uint8_t *bytes, size_t size, const char *what, unsigned long number) {
    cases++;
    if (whole_check(bytes, size) != ATLAS_OK) return;
    accepted++;
    fprintf(stderr, "accepted: %s %lu\n", what, number);
}

static void bits(uint8_t *bytes, size_t size, size_t start, size_t step) {
    for (size_t bit = start; bit < size * 8; bit += step) {
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << (bit % 8)));
        refused(bytes, size, "bit", bit);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << (bit % 8)));
    }
}

/* Whether a leaf's rows, as views (and as a column, if it is fixed) are the good ones, or an error. */
static bool leaf_right(const atlas_set *set, const atlas_leaf *leaf, uint32_t l, const int64_t *rows, size_t count, const uint64_t *good, bool *error_seen) {
    atlas_error error;
    atlas_view views[256];
    reader.used = 0;
    bool right = true;
    if (atlas_views(&reader, set, rows, count, NULL, count, &l, 1, views, &error) != ATLAS_OK) *error_seen = true;
    else for (size_t i = 0; i < count; i++) right &= view_hash(&views[i]) == good[rows[i]];
    if (leaf->kind != ATLAS_KIND_FIXED || count == 1) return right;
    uint8_t *out = malloc(count * leaf->width + 1), nulls[256];
    MUST(out != NULL);
    const atlas_column column = {.leaf = l, .stride = leaf->width, .out = out, .nulls = nulls};
    reader.used = 0;
    if (atlas_gather(&reader, set, rows, count, NULL, &column, 1, &error) != ATLAS_OK) *error_seen = true;
    else for (size_t i = 0; i < count; i++) right &= (nulls[i] ? 1 : hash64(out + i * leaf->width, leaf->width, 2)) == good[rows[i]];
    free(out);
    return right;
}

static unsigned long noticed;

static void reads_case(uint8_t *bytes, size_t size, const uint64_t *good, uint32_t leaves, int64_t count, unsigned long number) {
    atlas_error error = {0};
    opened o;
    int64_t rows[256];
    bool right = true, error_seen = false;
    cases++;
    if (opened_bind(&o, bytes, size, &error) != ATLAS_OK) error_seen = true;
    else if (o.shard.leaf_count == leaves && (int64_t)o.shard.rows == count) {
        atlas_shard *shards[1] = {&o.shard};
        const int64_t starts[2] = {0, count};
        const atlas_set set = {shards, starts, 1, NULL};
        for (int64_t i = 0; i < count; i++) rows[i] = i;
        for (uint32_t l = 0; l < leaves; l++) {
            right &= leaf_right(&set, &o.leaves[l], l, rows + count / 2, 1, good + l * (uint64_t)count, &error_seen);
            right &= leaf_right(&set, &o.leaves[l], l, rows, (size_t)count, good + l * (uint64_t)count, &error_seen);
            right &= leaf_right(&set, &o.leaves[l], l, rows + count / 3, 1, good + l * (uint64_t)count, &error_seen);
        }
    } else right = false;
    opened_unbind(&o);
    noticed += error_seen;
    if (right) return;
    accepted++;
    fprintf(stderr, "read wrong: bit %lu\n", number);
}

static void reads(uint8_t *bytes, size_t size, size_t start, size_t step) {
    atlas_error error;
    opened o;
    MUST(opened_bind(&o, bytes, size, &error) == ATLAS_OK && o.shard.rows <= 256 && o.shard.rows > 2);
    uint64_t *good = values_hash(&o.shard);
    const uint32_t leaves = o.shard.leaf_count;
    const int64_t count = (int64_t)o.shard.rows;
    opened_unbind(&o);
    free(reader.arena);
    reader.arena_bytes = 16u << 20;
    reader.arena = malloc(reader.arena_bytes);
    MUST(reader.arena != NULL);
    for (size_t bit = start; bit < size * 8; bit += step) {
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << (bit % 8)));
        reads_case(bytes, size, good, leaves, count, bit);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << (bit % 8)));
    }
    free(good);
}

static void cuts(const uint8_t *bytes, size_t size) {
    uint64_t state = 1;
    for (size_t n = 0; n < size; n++) {
        uint8_t *cut = malloc(n + (n == 0)); /* exact, for ASan */
        MUST(cut != NULL);
        memcpy(cut, bytes, n);
        refused(cut, n, "cut", n);
        free(cut);
    }
    uint8_t *longer = malloc(size + 4096);
    MUST(longer != NULL);
    memcpy(longer, bytes, size);
    for (int noise = 0; noise < 2; noise++) {
        for (size_t i = 0; i < 4096; i++) longer[size + i] = noise ? (uint8_t)mix(&state) : 0;
        for (size_t n = 1; n <= 4096; n++) refused(longer, size + n, "longer", n);
    }
    free(longer);
}

typedef struct {
    uint8_t *bytes;
    size_t size;
    uint64_t offset[4096], length[4096]; /* of the DATA chunks, with their padding */
    size_t count;
} shard;

static void chunks_find(shard *s) {
    const uint64_t footer = load_u64(s->bytes + s->size - 64);
    for (uint64_t at = 64; at < footer;) {
        const uint64_t length = pad_to(ATLAS_CHUNK_BODY + load_u64(s->bytes + at + ATLAS_CHUNK_BODY_BYTES), 64);
        if (memcmp(s->bytes + at + ATLAS_CHUNK_KIND, ATLAS_KIND_DATA, 4) == 0) {
            MUST(s->count < 4096);
            s->offset[s->count] = at;
            s->length[s->count++] = length;
        }
        at += length;
    }
}

/* A with chunk i replaced by chunk j of other; and, within A, chunk j by chunk i. What lies between moves where lengths differ. */
static size_t swap(const shard *a, size_t i, const shard *other, size_t j, uint8_t *out) {
    size_t n = 0;
    uint64_t at = 0;
    for (size_t k = 0; k < a->count; k++) {
        const bool first = k == i, second = other == a && k == j;
        if (!first && !second) continue;
        memcpy(out + n, a->bytes + at, a->offset[k] - at);
        n += a->offset[k] - at;
        const shard *from = first ? other : a;
        const size_t which = first ? j : i;
        memcpy(out + n, from->bytes + from->offset[which], from->length[which]);
        n += from->length[which];
        at = a->offset[k] + a->length[k];
    }
    memcpy(out + n, a->bytes + at, a->size - at);
    return n + (a->size - at);
}

static void swaps(shard *shards, size_t count, unsigned long most) {
    uint64_t state = 7;
    uint8_t *out = malloc(1u << 23);
    MUST(out != NULL);
    for (size_t k = 0; k < count; k++) {
        chunks_find(&shards[k]);
        MUST(whole_check(shards[k].bytes, shards[k].size) == ATLAS_OK && shards[k].count > 1);
    }
    while (cases < most) {
        shard *other = &shards[mix(&state) % count];
        const size_t i = mix(&state) % shards[0].count;
        const bool same_place = other != shards && other->count == shards[0].count && (mix(&state) & 1);
        const size_t j = same_place ? i : mix(&state) % other->count;
        const size_t n = swap(&shards[0], i, other, j, out);
        if (n == shards[0].size && memcmp(out, shards[0].bytes, n) == 0) continue; /* no change */
        refused(out, n, "swap", (unsigned long)(i * 10000 + j));
    }
    free(out);
}

/* --- sizes -------------------------------------------------------------- */

static long slowest;

static void size_case(const uint8_t *good, size_t size, uint64_t at, unsigned width, uint64_t value, bool refit) {
    struct timespec before, after;
    uint8_t *bytes = malloc(size);
    MUST(bytes != NULL && at + width <= size);
    memcpy(bytes, good, size);
    memcpy(bytes + at, &value, width);
    if (memcmp(bytes, good, size) != 0) reseal(bytes, size, refit);
    if (memcmp(bytes, good, size) != 0) {
        clock_gettime(CLOCK_MONOTONIC, &before);
        refused(bytes, size, "size at", at);
        clock_gettime(CLOCK_MONOTONIC, &after);
        const long took = (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
        if (took > slowest) slowest = took;
    }
    free(bytes);
}

static void size_field(const uint8_t *good, size_t size, uint64_t at, unsigned width) {
    static const uint64_t huge[] = {(uint64_t)1 << 63, INT64_MAX, UINT64_MAX, UINT64_MAX - 63, (uint64_t)1 << 62, (uint64_t)1 << 48, ((uint64_t)1 << 32) + 64, UINT32_MAX, UINT32_MAX - 63, 1u << 31, INT32_MAX, (1u << 30) + 1, 1u << 30, 1u << 28, 65535, 32768};
    for (size_t k = 0; k < sizeof huge / sizeof huge[0]; k++) {
        if (width < 8 && huge[k] >> (8 * width) != 0) continue;
        size_case(good, size, at, width, huge[k], false);
        size_case(good, size, at, width, huge[k], true);
    }
}

static void sizes(const uint8_t *g, size_t size) {
    const uint64_t trailer = size - 64, footer = load_u64(g + trailer), foot = footer + 32, layout = foot + 128;
    const uint32_t leaves = load_u32(g + layout);
    const uint64_t dictionaries = layout + pad_to(load_u32(g + foot + ATLAS_FOOT_LAYOUT_BYTES), 8);
    const uint64_t index = dictionaries + 32u * load_u32(g + foot + ATLAS_FOOT_DICTIONARY_COUNT);
    const uint64_t block = load_u64(g + index);
    const uint64_t chunks[] = {64, load_u64(g + dictionaries), block, footer};
    size_field(g, size, ATLAS_HEADER_HEADER_BYTES, 4);
    for (unsigned k = 0; k < 4; k++) size_field(g, size, trailer + 8 * k, 8);
    for (unsigned k = 0; k < 4; k++) {
        size_field(g, size, chunks[k] + ATLAS_CHUNK_BODY_BYTES, 8);
        size_field(g, size, chunks[k] + ATLAS_CHUNK_HEAD_BYTES, 4);
    }
    size_field(g, size, foot + ATLAS_FOOT_ROW_COUNT, 8);
    size_field(g, size, foot + ATLAS_FOOT_RAW_BYTES, 8);
    for (unsigned k = 0; k < 4; k++) size_field(g, size, foot + ATLAS_FOOT_LAYOUT_BYTES + 4 * k, 4);
    for (unsigned k = 0; k < 3; k++) size_field(g, size, layout + 4 * k, 4);
    for (uint32_t l = 0; l < leaves; l++) size_field(g, size, layout + 16 + 16 * l + ATLAS_LEAF_WIDTH, 4);
    size_field(g, size, layout + 16 + 16 * leaves, 4);
    size_field(g, size, dictionaries, 8);
    size_field(g, size, dictionaries + 8, 4);
    size_field(g, size, index, 8);
    size_field(g, size, index + ATLAS_INDEX_BYTES, 4);
    size_field(g, size, index + ATLAS_INDEX_RAW_BYTES, 4);
    size_field(g, size, block + ATLAS_BLOCK_FIRST_ROW, 8);
    size_field(g, size, block + ATLAS_BLOCK_ROWS, 4);
    size_field(g, size, block + ATLAS_BLOCK_PAGES, 2);
    for (unsigned i = 0; i < load_u16(g + block + ATLAS_BLOCK_PAGES); i++) {
        const uint64_t e = block + ATLAS_BLOCK_TABLE + 32u * i;
        for (unsigned k = 0; k < 4; k++) size_field(g, size, e + ATLAS_PAGE_OFFSET + 4 * k, 4);
        if (g[e + ATLAS_PAGE_LAYOUT] == ATLAS_ENUM) size_field(g, size, block + load_u32(g + e + ATLAS_PAGE_OFFSET), 4); /* count, or validity bits */
    }
}

int main(int argc, char **argv) {
    size_t size = 0;
    struct rusage before, after;
    if (argc < 3) return 2;
    reader_make(&reader, 0);
    if (strcmp(argv[1], "swaps") == 0) {
        const size_t count = (size_t)argc - 3;
        shard *shards = calloc(count, sizeof *shards);
        MUST(shards != NULL && count >= 1);
        for (size_t k = 0; k < count; k++) shards[k].bytes = file_read(argv[3 + k], &shards[k].size);
        swaps(shards, count, strtoul(argv[2], NULL, 10));
        for (size_t k = 0; k < count; k++) free(shards[k].bytes);
        free(shards);
    } else {
        uint8_t *bytes = file_read(argv[2], &size);
        bytes = realloc(bytes, size);
        MUST(bytes != NULL && whole_check(bytes, size) == ATLAS_OK);
        getrusage(RUSAGE_SELF, &before);
        if (strcmp(argv[1], "bits") == 0) bits(bytes, size, argc > 4 ? strtoul(argv[3], NULL, 10) : 0, argc > 4 ? strtoul(argv[4], NULL, 10) : 1);
        else if (strcmp(argv[1], "reads") == 0) reads(bytes, size, argc > 4 ? strtoul(argv[3], NULL, 10) : 0, argc > 4 ? strtoul(argv[4], NULL, 10) : 1);
        else if (strcmp(argv[1], "cuts") == 0) cuts(bytes, size);
        else if (strcmp(argv[1], "sizes") == 0) sizes(bytes, size);
        else return 2;
        getrusage(RUSAGE_SELF, &after);
        free(bytes);
    }
    reader_free(&reader);
    printf("%lu %lu %lu", cases, strcmp(argv[1], "reads") == 0 ? noticed : cases - accepted, accepted);
    if (strcmp(argv[1], "sizes") == 0) printf(" %ld %ld", slowest, after.ru_maxrss - before.ru_maxrss);
    printf("\n");
    return accepted != 0;
}
