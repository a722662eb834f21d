/* common.c - see common.h. */
#include "common.h"

int opened_bind(opened *o, uint8_t *bytes, size_t size, atlas_error *error) {
    memset(o, 0, sizeof *o);
    o->bytes = bytes;
    o->size = size;
    int status = atlas_shard_open(bytes, size, &o->shard, error);
    if (status != ATLAS_OK) return status;
    const atlas_shard *s = &o->shard;
    MUST(s->page_count <= size && s->block_count <= size && s->leaf_count <= ATLAS_MAX_LEAVES); /* what a caller allocates is bounded by the file */
    o->leaves = calloc(s->leaf_count, sizeof *o->leaves);
    o->pages = calloc(s->page_count + (s->page_count == 0), sizeof *o->pages);
    o->heads = calloc(s->block_count + (s->block_count == 0), 1);
    o->dicts = calloc(s->dictionary_count + 1u, sizeof(atlas_dict *));
    MUST(o->leaves && o->pages && o->heads && o->dicts);
    status = atlas_shard_bind(&o->shard, o->leaves, o->pages, o->heads, (const atlas_dict *const *)o->dicts, error);
    if (status != ATLAS_OK) return status;
    for (uint32_t k = 1; k <= s->dictionary_count; k++) {
        const uint8_t *dict;
        size_t length;
        atlas_error ignored;
        if (atlas_shard_dict(s, k, &dict, &length, &ignored) == ATLAS_OK) (void)atlas_dict_open(dict, length, 0, &o->dicts[k - 1], &ignored);
    }
    o->bound = true;
    return ATLAS_OK;
}

void opened_unbind(opened *o) {
    for (uint32_t k = 0; o->dicts != NULL && k < o->shard.dictionary_count; k++) atlas_dict_close(o->dicts[k]);
    free(o->dicts);
    free(o->heads);
    free(o->pages);
    free(o->leaves);
    memset(o, 0, sizeof *o);
}

int opened_open(opened *o, const uint8_t *bytes, size_t size, atlas_error *error) {
    uint8_t *copy = malloc(size != 0 ? size : 1);
    MUST(copy != NULL);
    if (size != 0) memcpy(copy, bytes, size);
    return opened_bind(o, copy, size, error);
}

void opened_close(opened *o) {
    uint8_t *bytes = o->bytes;
    opened_unbind(o);
    free(bytes);
}

void reader_open(atlas_reader *reader, size_t arena) {
    atlas_error error;
    MUST(atlas_reader_open(reader, &error) == ATLAS_OK);
    reader->arena_bytes = arena;
    reader->arena = malloc(arena);
    MUST(reader->arena != NULL);
}

void reader_close(atlas_reader *reader) {
    free(reader->arena);
    atlas_reader_close(reader);
}

uint64_t view_hash(const atlas_view *view) { return view->data == NULL ? 1 : hash64(view->data, view->size, 2); }

uint64_t *values_hash(const atlas_shard *shard) {
    atlas_error error;
    atlas_reader reader;
    atlas_view view;
    atlas_shard copy = *shard, *shards[1] = {&copy};
    const int64_t starts[2] = {0, (int64_t)shard->rows};
    const atlas_set set = {shards, starts, 1, NULL};
    uint64_t *hashes = calloc(shard->leaf_count * shard->rows, sizeof *hashes);
    MUST(hashes != NULL);
    reader_open(&reader, 16u << 20);
    for (uint32_t l = 0; l < shard->leaf_count; l++) {
        for (int64_t row = 0; row < (int64_t)shard->rows; row++) {
            reader.used = 0;
            MUST(atlas_views(&reader, &set, &row, 1, NULL, 1, &l, 1, &view, &error) == ATLAS_OK);
            hashes[l * shard->rows + (uint64_t)row] = view_hash(&view);
        }
    }
    reader_close(&reader);
    return hashes;
}

void reader_make(atlas_reader *reader, int control) {
    static void *zstd; /* one for all inputs: opening it takes longer than most inputs do */
    if (zstd == NULL) {
        atlas_error error;
        MUST(atlas_reader_open(reader, &error) == ATLAS_OK);
        zstd = reader->zstd;
    }
    memset(reader, 0, sizeof *reader);
    reader->zstd = zstd;
    reader->max_page = MOST_PAGE;
    reader->verify = (control & DO_ALWAYS) ? ATLAS_VERIFY_ALWAYS : (control & DO_NEVER) ? ATLAS_VERIFY_NEVER : ATLAS_VERIFY_FIRST;
    reader->arena_bytes = (control & DO_TINY_ARENA) ? 0 : 4096;
    reader->arena = reader->arena_bytes != 0 ? malloc(reader->arena_bytes) : NULL;
}

void reader_free(atlas_reader *reader) {
    free(reader->arena);
    reader->arena = NULL;
    reader->arena_bytes = 0;
}

/* After ATLAS_MEMORY: true if there is more room now. */
static bool reader_grow(atlas_reader *reader) {
    MUST(reader->need > reader->arena_bytes);
    if (reader->need > MOST_ARENA) return false;
    free(reader->arena);
    reader->arena_bytes = reader->need;
    reader->arena = malloc(reader->arena_bytes);
    MUST(reader->arena != NULL);
    return true;
}

int opened_verify(opened *o, atlas_reader *reader, uint8_t digest[16], atlas_error *error) {
    atlas_digest *d = NULL;
    uint32_t blocks = 0, dicts = 0;
    uint64_t offset = ATLAS_HEADER_SIZE;
    int status = atlas_digest_open(o->shard.leaf_count, &d, error);
    while (status == ATLAS_OK && offset < o->shard.footer_offset) {
        uint64_t next = 0;
        reader->used = 0;
        status = atlas_verify_chunk(reader, &o->shard, offset, d, &blocks, &dicts, &next, error);
        if (status == ATLAS_MEMORY && reader_grow(reader)) status = atlas_verify_chunk(reader, &o->shard, offset, d, &blocks, &dicts, &next, error);
        MUST(status != ATLAS_OK || next > offset);
        offset = next;
    }
    if (status == ATLAS_OK && digest != NULL) atlas_digest_finish(d, digest);
    if (status == ATLAS_OK) status = atlas_verify_rest(&o->shard, d, blocks, dicts, error);
    atlas_digest_close(d);
    return status;
}

static volatile uint8_t sink;

static void touch(const uint8_t *p, uint64_t n) {
    uint8_t x = 0;
    if (n > 65536) n = 65536; /* ASan sees the ends; the middle of one value is in one allocation */
    for (uint64_t i = 0; i < n; i++) x ^= p[i];
    sink = x;
}

static int read_views(atlas_reader *reader, const atlas_set *set, const int64_t *rows, size_t count, const int64_t *order, const uint32_t *leaves, size_t leaf_count, atlas_error *error) {
    atlas_view *views = malloc((count * leaf_count + 1) * sizeof *views);
    MUST(views != NULL);
    memset(views, 0xa5, (count * leaf_count + 1) * sizeof *views); /* one that is not written is seen */
    reader->used = 0;
    int status = atlas_views(reader, set, rows, count, order, count, leaves, leaf_count, views, error);
    if (status == ATLAS_MEMORY && reader_grow(reader)) {
        reader->used = 0;
        status = atlas_views(reader, set, rows, count, order, count, leaves, leaf_count, views, error);
        MUST(status != ATLAS_MEMORY || reader->need > reader->arena_bytes);
    }
    for (size_t i = 0; status == ATLAS_OK && i < count * leaf_count; i++) {
        MUST(views[i].data != NULL || views[i].size == 0);
        if (views[i].data != NULL) {
            touch(views[i].data, views[i].size);
            if (views[i].size != 0) touch(views[i].data + views[i].size - 1, 1);
        }
    }
    free(views);
    return status;
}

static int read_columns(opened *o, atlas_reader *reader, const atlas_set *set, const int64_t *rows, size_t count, const int64_t *order, atlas_error *error) {
    int status = ATLAS_OK;
    for (uint32_t l = 0; l < o->shard.leaf_count && status == ATLAS_OK; l++) {
        const atlas_leaf *leaf = &o->leaves[l];
        if (leaf->kind != ATLAS_KIND_FIXED || leaf->width > MOST_INPUT) continue;
        atlas_column column = {.leaf = l, .stride = leaf->width, .out = malloc(count * leaf->width + 1), .nulls = malloc(count + 1)};
        MUST(column.out != NULL && column.nulls != NULL);
        for (int turn = 0; turn < 3; turn++) { /* need speaks of one page at a time */
            reader->used = 0;
            status = atlas_gather(reader, set, rows, count, order, &column, 1, error);
            if (status != ATLAS_MEMORY || !reader_grow(reader)) break;
        }
        free(column.out);
        free(column.nulls);
    }
    return status;
}

int opened_read(opened *o, atlas_reader *reader, uint64_t seed, size_t count, bool ordered, atlas_error *error) {
    int64_t rows[64], order[64];
    uint32_t leaves[64];
    atlas_shard *shards[1] = {&o->shard};
    const int64_t starts[2] = {0, (int64_t)o->shard.rows};
    const atlas_set set = {shards, starts, 1, NULL};
    if (o->shard.rows == 0) return ATLAS_OK;
    if (count > 64) count = 64;
    for (size_t i = 0; i < count; i++) {
        rows[i] = (int64_t)(i == 0 ? 0 : i == 1 ? o->shard.rows - 1 : (i & 1) ? (uint64_t)rows[i - 1] : mix(&seed) % o->shard.rows);
        order[i] = (int64_t)(count - 1 - i);
    }
    int status = ATLAS_OK, last = ATLAS_OK;
    const uint32_t leaf_count = o->shard.leaf_count < 64 ? o->shard.leaf_count : 64;
    for (uint32_t l = 0; l < leaf_count; l++) { /* one by one, so that a bad leaf does not hide the others */
        leaves[l] = l;
        status = read_views(reader, &set, rows, count, ordered ? order : NULL, &l, 1, error);
        if (status != ATLAS_OK) last = status;
        status = read_views(reader, &set, rows + count - 1, 1, NULL, &l, 1, error); /* by its memo alone, where that says enough */
        if (status != ATLAS_OK) last = status;
    }
    status = read_views(reader, &set, rows, count, ordered ? order : NULL, leaves, leaf_count, error);
    if (status != ATLAS_OK) last = status;
    status = read_columns(o, reader, &set, rows, count, ordered ? order : NULL, error);
    return status != ATLAS_OK ? status : last;
}

/* --- resealing ---------------------------------------------------------- */

typedef struct { /* the span being resealed; out of bounds reads as 0 and is not written */
    uint8_t *bytes;
    uint64_t size;
    uint64_t *left; /* bytes that may still be hashed: tables whose entries overlap must not take quadratic time */
} span;

static bool inside(const span *s, uint64_t at, uint64_t n) { return at <= s->size && n <= s->size - at; }

static uint64_t get(const span *s, uint64_t at, unsigned n) {
    uint64_t v = 0;
    if (inside(s, at, n)) memcpy(&v, s->bytes + at, n);
    return v;
}

static void put(const span *s, uint64_t at, uint64_t v, unsigned n) {
    if (inside(s, at, n)) memcpy(s->bytes + at, &v, n);
}

static bool spend(const span *s, uint64_t n) {
    const bool enough = *s->left >= n + 64;
    *s->left -= enough ? n + 64 : *s->left;
    return enough;
}

static void seal(const span *s, uint64_t at, uint64_t nonce) {
    const uint64_t head = get(s, at + ATLAS_CHUNK_HEAD_BYTES, 4);
    if (inside(s, at, ATLAS_CHUNK_BODY + head) && spend(s, head)) put(s, at, chunk_hash(s->bytes + at, (uint32_t)head, nonce, at), 8);
}

static uint64_t seal_pages(const span *s, uint64_t at, bool refit) {
    uint64_t sum = 0;
    const uint64_t pages = get(s, at + ATLAS_BLOCK_PAGES, 2);
    for (uint64_t i = 0; i < pages; i++) {
        const uint64_t e = at + ATLAS_BLOCK_TABLE + i * ATLAS_PAGE_SIZE;
        const uint64_t start = at + get(s, e + ATLAS_PAGE_OFFSET, 4), stored = get(s, e + ATLAS_PAGE_STORED, 4);
        if (!inside(s, e, ATLAS_PAGE_SIZE)) break;
        if (!spend(s, 0)) break;
        if (inside(s, start, stored) && spend(s, stored)) put(s, e + ATLAS_PAGE_HASH, hash64(s->bytes + start, stored, 0), 8);
        if (refit && get(s, e + ATLAS_PAGE_CODEC, 1) == ATLAS_CODEC_NONE) put(s, e + ATLAS_PAGE_RAW, stored, 4);
        sum += get(s, e + ATLAS_PAGE_RAW, 4);
    }
    return sum;
}

static uint64_t seal_tables(const span *s, uint64_t footer, uint64_t nonce, bool refit) {
    const uint64_t body = footer + ATLAS_CHUNK_BODY;
    const uint64_t layout_bytes = get(s, body + ATLAS_FOOT_LAYOUT_BYTES, 4);
    const uint64_t tables = body + ATLAS_FOOT_LAYOUT + pad_to(layout_bytes, 8);
    const uint64_t dictionaries = get(s, body + ATLAS_FOOT_DICTIONARY_COUNT, 4), blocks = get(s, body + ATLAS_FOOT_BLOCK_COUNT, 4);
    const uint64_t index = tables + dictionaries * ATLAS_DICTIONARY_SIZE;
    uint64_t total = 0;
    if (refit && inside(s, body + ATLAS_FOOT_LAYOUT, layout_bytes) && get(s, 64 + ATLAS_CHUNK_BODY_BYTES, 8) == layout_bytes && inside(s, 96, layout_bytes)) {
        memmove(s->bytes + 96, s->bytes + body + ATLAS_FOOT_LAYOUT, layout_bytes);
        seal(s, 64, nonce);
    }
    for (uint64_t i = 0; i < dictionaries && inside(s, tables + i * ATLAS_DICTIONARY_SIZE, ATLAS_DICTIONARY_SIZE); i++) {
        const uint64_t e = tables + i * ATLAS_DICTIONARY_SIZE, at = get(s, e, 8), n = get(s, e + ATLAS_DICTIONARY_BYTES, 4);
        seal(s, at, nonce);
        if (at < s->size && inside(s, at + ATLAS_CHUNK_BODY, n) && spend(s, n)) atlas_hash128(s->bytes + at + ATLAS_CHUNK_BODY, n, s->bytes + e + ATLAS_DICTIONARY_DIGEST);
    }
    for (uint64_t i = 0; i < blocks && inside(s, index + i * ATLAS_INDEX_SIZE, ATLAS_INDEX_SIZE); i++) {
        const uint64_t e = index + i * ATLAS_INDEX_SIZE, at = get(s, e, 8);
        if (at >= s->size || !inside(s, at, ATLAS_BLOCK_TABLE)) continue;
        const uint64_t sum = seal_pages(s, at, refit);
        seal(s, at, nonce);
        put(s, e + ATLAS_INDEX_HASH, get(s, at, 8), 8);
        if (refit) put(s, e + ATLAS_INDEX_RAW_BYTES, sum, 4);
        total += get(s, e + ATLAS_INDEX_RAW_BYTES, 4);
    }
    return total;
}

void reseal(uint8_t *bytes, size_t size, bool refit) {
    uint64_t left = 4u * size + 4096;
    const span s = {bytes, size, &left};
    if (size < ATLAS_HEADER_SIZE + ATLAS_TRAILER_SIZE) return;
    const uint64_t trailer = size - ATLAS_TRAILER_SIZE;
    const uint64_t footer = get(&s, trailer, 8), nonce = get(&s, ATLAS_HEADER_NONCE, 8);
    put(&s, ATLAS_HEADER_HASH, hash64(bytes, ATLAS_HEADER_HASH, 0), 8);
    uint64_t at = ATLAS_HEADER_SIZE;
    for (int i = 0; i < 4096 && at < footer && inside(&s, at, ATLAS_CHUNK_BODY); i++) {
        const uint64_t body = get(&s, at + ATLAS_CHUNK_BODY_BYTES, 8);
        if (memcmp(bytes + at + ATLAS_CHUNK_KIND, ATLAS_KIND_DATA, 4) == 0) (void)seal_pages(&s, at, refit);
        seal(&s, at, nonce);
        if (body > size) break;
        at = pad_to(at + ATLAS_CHUNK_BODY + body, ATLAS_CHUNK_ALIGN);
    }
    if (footer < trailer && inside(&s, footer, ATLAS_CHUNK_BODY + ATLAS_FOOT_LAYOUT)) {
        const uint64_t body = footer + ATLAS_CHUNK_BODY;
        if (refit) memmove(bytes + body, bytes, ATLAS_HEADER_SIZE);
        put(&s, body + ATLAS_HEADER_HASH, hash64(bytes + body, ATLAS_HEADER_HASH, 0), 8);
        const uint64_t total = seal_tables(&s, footer, nonce, refit);
        if (refit) {
            put(&s, body + ATLAS_FOOT_RAW_BYTES, total, 8);
            put(&s, trailer + ATLAS_TRAILER_ROW_COUNT, get(&s, body + ATLAS_FOOT_ROW_COUNT, 8), 8);
            put(&s, trailer + ATLAS_TRAILER_NONCE, nonce, 8);
            put(&s, trailer + ATLAS_TRAILER_FILE_BYTES, size, 8);
        }
        left = 2u * size;
        seal(&s, footer, nonce);
        put(&s, trailer + ATLAS_TRAILER_FOOTER_HASH, get(&s, footer, 8), 8);
    }
    put(&s, trailer + ATLAS_TRAILER_HASH, hash64(bytes + trailer, ATLAS_TRAILER_HASH, 0), 8);
}

/* --- mutating ----------------------------------------------------------- */

static const uint64_t interesting[] = {0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 63, 64, 65, 127, 128, 255, 256, 4095, 4096, 4097, 65535, 65536, 65537, 1u << 20, (1u << 20) + 1, 1u << 30, (1u << 30) + 1, INT32_MAX, 1u << 31, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX - 63, UINT64_MAX};

static void change(const span *s, uint64_t at, uint64_t *state) {
    const unsigned n = 1u << (mix(state) & 3);
    at -= at % n; /* fields lie at multiples of their size */
    const uint64_t old = get(s, at, n);
    switch (mix(state) % 5) {
    case 0: put(s, at, interesting[mix(state) % (sizeof interesting / sizeof interesting[0])], n); break;
    case 1: put(s, at, old + 1 + mix(state) % 8, n); break;
    case 2: put(s, at, old - 1 - mix(state) % 8, n); break;
    case 3: put(s, at, old ^ ((uint64_t)1 << (mix(state) % (8 * n))), n); break;
    default: put(s, at, mix(state), n); break;
    }
}

void mutate_fields(uint8_t *data, size_t size, unsigned seed) {
    uint64_t state = seed;
    const span s = {data + 1, size - 1, NULL};
    if (size < 1 + ATLAS_HEADER_SIZE + ATLAS_TRAILER_SIZE) return;
    const uint64_t trailer = s.size - ATLAS_TRAILER_SIZE, footer = get(&s, trailer, 8);
    const uint64_t body = footer + ATLAS_CHUNK_BODY, layout_bytes = get(&s, body + ATLAS_FOOT_LAYOUT_BYTES, 4);
    const uint64_t tables = body + ATLAS_FOOT_LAYOUT + pad_to(layout_bytes, 8);
    const uint64_t index = tables + get(&s, body + ATLAS_FOOT_DICTIONARY_COUNT, 4) * ATLAS_DICTIONARY_SIZE;
    const uint64_t blocks = get(&s, body + ATLAS_FOOT_BLOCK_COUNT, 4), leaves = get(&s, body + ATLAS_FOOT_LAYOUT, 4);
    const unsigned times = 1 + (unsigned)(mix(&state) % 3);
    for (unsigned i = 0; i < times; i++) {
        const uint64_t block = blocks != 0 && blocks < 65536 ? get(&s, index + mix(&state) % blocks * ATLAS_INDEX_SIZE, 8) : ATLAS_HEADER_SIZE;
        const uint64_t pages = get(&s, block + ATLAS_BLOCK_PAGES, 2);
        const uint64_t entry = block + ATLAS_BLOCK_TABLE + (pages != 0 ? mix(&state) % pages : 0) * ATLAS_PAGE_SIZE;
        const uint64_t page = block + get(&s, entry + ATLAS_PAGE_OFFSET, 4), stored = get(&s, entry + ATLAS_PAGE_STORED, 4);
        switch (mix(&state) % 10) {
        case 0: change(&s, mix(&state) % ATLAS_HEADER_SIZE, &state); break;
        case 1: change(&s, trailer + mix(&state) % 48, &state); break;
        case 2: change(&s, body + 64 + mix(&state) % 64, &state); break;
        case 3: change(&s, body + ATLAS_FOOT_LAYOUT + (leaves != 0 && leaves < 4096 ? mix(&state) % (16 + leaves * 16 + 16) : 0), &state); break;
        case 4: change(&s, tables + mix(&state) % (index - tables + 24 * blocks + 8), &state); break;
        case 5: change(&s, block + mix(&state) % ATLAS_BLOCK_TABLE, &state); break;
        case 6: case 7: change(&s, entry + mix(&state) % 24, &state); break;
        default: change(&s, page + (stored != 0 ? mix(&state) % ((mix(&state) & 1) && stored > 80 ? 80 : stored) : 0), &state); break;
        }
    }
    data[0] = (uint8_t)((data[0] & ~(DO_RESEAL | DO_REFIT)) | DO_RESEAL | ((mix(&state) & 3) != 0 ? DO_REFIT : 0));
}
