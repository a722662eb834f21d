/* fuzz_round.c - columns of any shape through atlas_block_write into a whole shard, which must verify and give every value back. */
#include "common.h"

#define MOST_PAGES 4u

typedef struct { /* a column of all rows of the shard, and how it shall be written */
    atlas_page_in in;
    uint8_t *values;
    uint32_t *offsets;
    uint8_t *valid;
} column;

typedef struct {
    const uint8_t *data;
    size_t size;
    size_t at;
} source;

static uint8_t next_byte(source *s) { return s->size == 0 ? 0 : s->data[s->at++ % s->size]; }

static uint32_t value_size(const column *c, source *s, unsigned mode, bool large) {
    if (c->in.kind == ATLAS_KIND_FIXED) return c->in.width;
    const uint32_t n = mode == 2 ? 24 : next_byte(s), size = large && n == 0xff ? 70000 : (n & 0xc0) == 0xc0 ? n * 4 : n & 0x3f;
    return c->in.element > 1 && (n & 0xc0) != 0x80 ? size / c->in.element * c->in.element : size;
}

/* mode: 0 bytes as they come, 1 few distinct values, 2 one value, 3 numbers that differ in their first near bytes.
 * runs: each value is one number again and again, half of them zero, so that they become smaller one by one. */
static void column_fill(column *c, source *s, uint32_t rows, unsigned mode, bool nullable, bool runs, uint32_t near) {
    const size_t start = s->at;
    uint64_t at = 0;
    uint64_t room = c->in.kind == ATLAS_KIND_FIXED ? rows * (c->in.width + 1u) : 2048; /* grows */
    c->values = calloc(room, 1);
    c->offsets = calloc(rows + 1u, 4);
    c->valid = calloc(rows, 1);
    MUST(c->values && c->offsets && c->valid);
    for (uint32_t i = 0; i < rows; i++) {
        if (mode == 1) s->at = start + (next_byte(s) & 3) * 7u;
        if (mode == 2) s->at = start;
        c->valid[i] = !nullable || (next_byte(s) & 3) != 0;
        const uint32_t n = value_size(c, s, mode, runs && rows <= 2);
        c->offsets[i] = (uint32_t)at;
        if (c->in.kind == ATLAS_KIND_VARIABLE && at + n > room) MUST((c->values = realloc(c->values, room = 2 * (at + n))) != NULL);
        if (mode == 2) s->at = start + 1;
        if (!c->valid[i]) {
            if (c->in.kind == ATLAS_KIND_FIXED) at += n;
            continue;
        }
        const uint64_t first = at;
        const bool zero = runs && (next_byte(s) & 1);
        for (uint32_t k = 0; k < n; k++) {
            if (zero) c->values[at++] = 0;
            else if (runs && k >= 8) c->values[at++] = c->values[first + k % 8];
            else c->values[at++] = mode == 3 ? (uint8_t)(c->in.element > 1 && k % c->in.element >= near ? 7 : next_byte(s)) : next_byte(s);
        }
        if (mode == 1) s->at = start + i;
    }
    c->offsets[rows] = (uint32_t)at;
    c->in.values = c->values;
    if (c->in.kind == ATLAS_KIND_VARIABLE) c->in.offsets = c->offsets;
    if (nullable) c->in.valid = c->valid;
}

/* wide: also variable leaves of numbers, arrays, and values that become smaller one by one. */
static void column_make(column *c, source *s, uint32_t rows, uint16_t id, const atlas_dict *dict, bool wide) {
    const uint8_t a = next_byte(s), b = next_byte(s), w = next_byte(s), how = next_byte(s);
    memset(c, 0, sizeof *c);
    c->in.leaf = id;
    c->in.kind = (a & 1) ? ATLAS_KIND_FIXED : ATLAS_KIND_VARIABLE;
    if ((a & 1) || wide) {
        c->in.element = (uint8_t)(1u << ((a >> 1) & 3));
        if (a & 1) c->in.width = wide && (a & 32) ? c->in.element * (w & 63u) : (a & 8) ? w & 31u : c->in.element * (w & 3u);
        if (c->in.width % c->in.element != 0) c->in.element = 0;
        c->in.is_signed = (a >> 4) & 1;
    }
    c->in.codec = b % 3;
    c->in.cell_rows = (uint16_t)((b >> 2) & 1 ? 1 + (how >> 6) * (how >> 6) : 0);
    c->in.whole = (b >> 3) & 1;
    c->in.light = (b >> 4) & 1;
    c->in.level = (int8_t)(1 + ((b >> 6) & 3));
    if ((b & 32) && dict != NULL && c->in.codec == ATLAS_CODEC_ZSTD) {
        c->in.dict = dict;
        c->in.dictionary = 1;
    }
    column_fill(c, s, rows, how & 3, (how & 4) != 0, wide && (how & 8), wide ? 1u << ((how >> 4) & 3) : 1);
}

static void column_free(column *c) {
    free(c->values);
    free(c->offsets);
    free(c->valid);
}

typedef struct {
    uint8_t *bytes;
    uint64_t size;
} file;

static uint8_t *grow(file *f, uint64_t more) {
    f->bytes = realloc(f->bytes, f->size + more);
    MUST(f->bytes != NULL);
    memset(f->bytes + f->size, 0, more);
    f->size += more;
    return f->bytes + f->size - more;
}

static uint64_t append(file *f, const char *kind, const uint8_t *body, uint32_t size, uint64_t nonce) {
    const uint64_t at = f->size;
    uint8_t *chunk = grow(f, pad_to(ATLAS_CHUNK_BODY + size, 64));
    if (size != 0) memcpy(chunk + ATLAS_CHUNK_BODY, body, size);
    return atlas_chunk_seal(chunk, kind, size, size, nonce, at);
}

/* Writes rows first .. first + n as a DATA chunk; its index entry to entry. */
static uint32_t write_block(file *f, atlas_encoder *encoder, const column *columns, uint32_t count, uint32_t first, uint32_t n, uint64_t nonce, uint8_t entry[24]) {
    atlas_page_in in[MOST_PAGES];
    atlas_error error = {0};
    uint64_t size = 0;
    uint32_t raw = 0;
    for (uint32_t k = 0; k < count; k++) {
        in[k] = columns[k].in;
        if (in[k].kind == ATLAS_KIND_FIXED) in[k].values += (size_t)first * in[k].width;
        else in[k].offsets += first;
        if (in[k].valid != NULL) in[k].valid += first;
    }
    const uint64_t bound = atlas_block_bound(in, count, n);
    MUST(bound != 0);
    uint8_t *out = malloc(bound); /* exact: ASan sees a byte too many */
    MUST(out != NULL && atlas_block_write(encoder, in, count, first, n, 0, out, bound - 1, &size, &raw, &error) == ATLAS_ARG);
    MUST(atlas_block_write(encoder, in, count, first, n, 0, out, bound, &size, &raw, &error) == ATLAS_OK && size <= bound);
    const uint64_t at = f->size;
    memcpy(grow(f, pad_to(size, 64)), out, size);
    free(out);
    const uint64_t hash = atlas_chunk_seal(f->bytes + at, ATLAS_KIND_DATA, size - ATLAS_CHUNK_BODY, ATLAS_BLOCK_HEAD + count * ATLAS_PAGE_SIZE, nonce, at);
    atlas_index_write(entry, at, (uint32_t)size, raw, hash);
    return raw;
}

static void digest_columns(const column *columns, uint32_t count, uint32_t rows, uint8_t out[16]) {
    atlas_digest *digest = NULL;
    atlas_error error;
    MUST(atlas_digest_open(count, &digest, &error) == ATLAS_OK);
    for (uint32_t k = 0; k < count; k++) {
        const column *c = &columns[k];
        for (uint32_t i = 0; i < rows; i++) {
            const uint32_t length = c->valid[i] ? c->offsets[i + 1] - c->offsets[i] : UINT32_MAX;
            if (c->in.kind == ATLAS_KIND_VARIABLE) atlas_digest_lengths(digest, k, &length, 4);
            else if (c->in.valid != NULL) atlas_digest_lengths(digest, k, &c->valid[i], 1);
        }
        atlas_digest_values(digest, k, c->values, c->offsets[rows]);
    }
    atlas_digest_finish(digest, out);
    atlas_digest_close(digest);
}

static void write_shard(file *f, const column *columns, uint32_t count, uint32_t rows, uint32_t per_block, const uint8_t *dict, uint32_t dict_bytes, uint64_t nonce) {
    uint8_t layout[16 + 16 * MOST_PAGES + 8 + 2] = {0}, index[24 * 8], table[32] = {0}, digest[16], foot[2048] = {0};
    const uint32_t layout_bytes = 16 + 16 * count + 8 + 2, blocks = (rows + per_block - 1) / per_block;
    static atlas_encoder *encoder; /* one for all inputs, as a writer has one for all blocks: what one leaves behind, the next meets */
    atlas_error error;
    atlas_shard facts = {.rows = rows, .layout_bytes = layout_bytes, .dictionary_count = dict_bytes != 0, .block_count = blocks};
    MUST(blocks <= 8 && (encoder != NULL || atlas_encoder_open(&encoder, &error) == ATLAS_OK));
    store_u32(layout, count);
    store_u32(layout + 4, 1);
    store_u32(layout + 8, 2);
    for (uint32_t k = 0; k < count; k++) {
        const atlas_page_in *in = &columns[k].in;
        const atlas_leaf leaf = {.id = in->leaf, .kind = in->kind, .width = in->width, .dictionary = in->dictionary, .flags = (uint8_t)((in->valid != NULL) | ATLAS_LEAF_PAGE_CODED)};
        atlas_leaf_write(layout + 16 + 16 * k, &leaf);
    }
    store_u32(layout + 16 + 16 * count, per_block);
    memcpy(layout + 24 + 16 * count, "{}", 2);
    atlas_header_write(grow(f, 64), nonce);
    (void)append(f, ATLAS_KIND_LAYOUT, layout, layout_bytes, nonce);
    if (dict_bytes != 0) {
        store_u64(table, f->size);
        store_u32(table + 8, dict_bytes);
        atlas_hash128(dict, dict_bytes, table + 16);
        (void)append(f, ATLAS_KIND_DICTIONARY, dict, dict_bytes, nonce);
    }
    for (uint32_t b = 0; b < blocks; b++) {
        const uint32_t first = b * per_block, n = rows - first < per_block ? rows - first : per_block;
        facts.raw_bytes += write_block(f, encoder, columns, count, first, n, nonce, index + 24 * b);
    }
    digest_columns(columns, count, rows, digest);
    atlas_footer_write(foot, f->bytes, &facts, digest);
    memcpy(foot + 128, layout, layout_bytes);
    uint64_t at = 128 + pad_to(layout_bytes, 8);
    if (dict_bytes != 0) memcpy(foot + at, table, 32);
    at += dict_bytes != 0 ? 32 : 0;
    memcpy(foot + at, index, 24 * blocks);
    at += 24 * blocks;
    const uint64_t offset = f->size, root = append(f, ATLAS_KIND_FOOTER, foot, (uint32_t)at, nonce);
    atlas_trailer_write(grow(f, 64), offset, ATLAS_CHUNK_BODY + at, rows, nonce, root);
}

static void compare(opened *o, atlas_reader *reader, const column *columns, uint32_t count, uint32_t rows) {
    atlas_error error;
    atlas_shard *shards[1] = {&o->shard};
    const int64_t starts[2] = {0, rows};
    const atlas_set set = {shards, starts, 1, NULL};
    int64_t *wanted = malloc(rows * sizeof *wanted);
    atlas_view *views = malloc(rows * sizeof *views);
    MUST(wanted && views);
    for (uint32_t i = 0; i < rows; i++) wanted[i] = i;
    for (uint32_t k = 0; k < count; k++) {
        const column *c = &columns[k];
        reader->used = 0;
        int status = atlas_views(reader, &set, wanted, rows, NULL, rows, &k, 1, views, &error);
        if (status == ATLAS_MEMORY) {
            reader_free(reader);
            reader->arena_bytes = reader->need;
            reader->arena = malloc(reader->need);
            MUST(reader->arena != NULL);
            reader->used = 0;
            status = atlas_views(reader, &set, wanted, rows, NULL, rows, &k, 1, views, &error);
        }
        MUST(status == ATLAS_OK);
        for (uint32_t i = 0; i < rows; i++) {
            const uint32_t n = c->offsets[i + 1] - c->offsets[i];
            if (c->in.valid != NULL && !c->valid[i]) MUST(views[i].data == NULL);
            else MUST(views[i].data != NULL && views[i].size == n && memcmp(views[i].data, c->values + c->offsets[i], n) == 0);
        }
        if (c->in.kind != ATLAS_KIND_FIXED) continue;
        uint8_t *out = malloc((size_t)rows * c->in.width + 1), *nulls = malloc(rows);
        MUST(out && nulls);
        const atlas_column to = {.leaf = k, .out = out, .stride = c->in.width, .nulls = nulls};
        reader->used = 0;
        status = atlas_gather(reader, &set, wanted, rows, NULL, &to, 1, &error);
        MUST(status == ATLAS_OK && memcmp(out, c->values, (size_t)rows * c->in.width) == 0);
        for (uint32_t i = 0; i < rows; i++) MUST(nulls[i] == !c->valid[i]);
        free(out);
        free(nulls);
    }
    free(wanted);
    free(views);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    atlas_error error = {0};
    if (size < 8 || size > MOST_INPUT) return 0;
    source s = {data, size, 3};
    const uint32_t rows = 1u + ((data[1] & 0xc0) == 0xc0 ? data[0] | (data[1] & 1u) << 8 : data[0] & 31u), count = 1u + (data[2] & 3u);
    const uint32_t per_block = (data[1] & 2) ? (rows + 1) / 2 : (data[1] & 4) ? rows : rows + 3;
    const uint32_t dict_bytes = (data[1] & 8) ? (size < 1024 ? (uint32_t)size : 1024) : 0;
    atlas_dict *dict = NULL;
    if (dict_bytes != 0 && atlas_dict_open(data, dict_bytes, 1, &dict, &error) != ATLAS_OK) return 0;
    column columns[MOST_PAGES];
    for (uint32_t k = 0; k < count; k++) column_make(&columns[k], &s, rows, (uint16_t)(k * 7), dict, (data[1] & 16) != 0);
    file f = {NULL, 0};
    write_shard(&f, columns, count, rows, per_block, data, dict_bytes, size * 77);
    atlas_reader reader;
    opened o;
    reader_make(&reader, DO_TINY_ARENA);
    MUST(atlas_header_check(f.bytes, f.size, &error) == ATLAS_OK);
    MUST(opened_open(&o, f.bytes, f.size, &error) == ATLAS_OK);
    const int status = opened_verify(&o, &reader, NULL, &error);
    if (status != ATLAS_OK) fprintf(stderr, "verify: %d at %llu: %s\n", status, (unsigned long long)error.at, error.why);
    MUST(status == ATLAS_OK);
    compare(&o, &reader, columns, count, rows);
    reader_free(&reader);
    opened_close(&o);
    free(f.bytes);
    for (uint32_t k = 0; k < count; k++) column_free(&columns[k]);
    atlas_dict_close(dict);
    return 0;
}
