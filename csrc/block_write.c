/* block_write.c - one block from columns: chooses each page's layout and codec, and writes the DATA chunk.
 *
 * A choice is kept only where it saves an eighth. The order of trials: CONST, NARROW or ENUM (small and still O(1)), then cells or
 * the whole-page codec, then the values as they are. Longer than other files because the five forms share one set of helpers.
 */
#include <stdlib.h>

#include "bytes.h"
#include "codec.h"
#include "error.h"
#include "hash.h"
#include "layout.h"
#include "page.h"

#define SAVES(stored, raw) ((stored) <= (raw) - (raw) / 8)
#define CELL_SPARE 64u
#define ENUM_MOST 65536u
#define ENUM_LOOK 256u /* rows after which a column that repeats nothing is given up */

struct atlas_encoder {
    void *zstd;
    uint8_t *scratch;
    size_t scratch_bytes;
};

typedef struct { /* the column being written, and how many rows */
    const atlas_page_in *in;
    uint32_t rows;
    uint32_t nulls;
    uint64_t validity_bytes;
    uint64_t data_bytes; /* variable: sum of the lengths */
} source;

int atlas_encoder_open(atlas_encoder **out, atlas_error *error) {
    *out = NULL;
    atlas_encoder *encoder = calloc(1, sizeof *encoder);
    ATLAS_REQUIRE(encoder != NULL, MEMORY, 0, "out of memory");
    encoder->zstd = atlas_codec_encoder_open();
    if (encoder->zstd == NULL) {
        free(encoder);
        return atlas_fail(error, ATLAS_MEMORY, 0, "out of memory");
    }
    *out = encoder;
    return ATLAS_OK;
}

void atlas_encoder_close(atlas_encoder *encoder) {
    if (encoder == NULL) return;
    atlas_codec_encoder_close(encoder->zstd);
    free(encoder->scratch);
    free(encoder);
}

static uint8_t *scratch(atlas_encoder *encoder, size_t size) {
    if (size > encoder->scratch_bytes) {
        free(encoder->scratch);
        encoder->scratch_bytes = 0;
        encoder->scratch = malloc(size + size / 4);
        if (encoder->scratch != NULL) encoder->scratch_bytes = size + size / 4;
    }
    return encoder->scratch;
}

static uint32_t value_length(const source *s, uint32_t i) {
    return s->in->kind == ATLAS_KIND_FIXED ? s->in->width : s->in->offsets[i + 1] - s->in->offsets[i];
}

static const uint8_t *value_at(const source *s, uint32_t i) {
    return s->in->values + (s->in->kind == ATLAS_KIND_FIXED ? (size_t)i * s->in->width : s->in->offsets[i]);
}

static bool is_null(const source *s, uint32_t i) { return s->nulls != 0 && s->in->valid[i] == 0; }

static uint64_t raw_form_bytes(const source *s) {
    if (s->in->kind == ATLAS_KIND_FIXED) return s->validity_bytes + (uint64_t)s->rows * s->in->width;
    return s->validity_bytes + pad_to(4 * ((uint64_t)s->rows + 1), 64) + s->data_bytes;
}

static void source_open(source *s, const atlas_page_in *in, uint32_t rows) {
    *s = (source){.in = in, .rows = rows};
    if (in->valid != NULL) {
        for (uint32_t i = 0; i < rows; i++) s->nulls += in->valid[i] == 0;
    }
    s->validity_bytes = s->nulls != 0 ? pad_to(((uint64_t)rows + 7) / 8, 64) : 0;
    if (in->kind == ATLAS_KIND_VARIABLE) s->data_bytes = (uint64_t)in->offsets[rows] - in->offsets[0];
}

uint64_t atlas_block_bound(const atlas_page_in *pages, uint32_t page_count, uint32_t rows) {
    uint64_t raw = 0;
    if (rows == 0 || rows > ATLAS_MAX_ROWS || page_count > ATLAS_MAX_LEAVES) return 0;
    for (uint32_t i = 0; i < page_count; i++) {
        source s;
        source_open(&s, &pages[i], rows);
        raw += raw_form_bytes(&s);
        if (raw > ATLAS_MAX_PAGE) return 0;
    }
    /* padding, and what cells need while it is not clear whether they pay */
    return ATLAS_BLOCK_TABLE + raw + (uint64_t)page_count * (ATLAS_PAGE_SIZE + 128 + CELL_SPARE);
}

static uint8_t *write_validity(const source *s, uint8_t *out) {
    memset(out, 0, s->validity_bytes);
    for (uint32_t i = 0; s->nulls != 0 && i < s->rows; i++) {
        if (!is_null(s, i)) out[i >> 3] = (uint8_t)(out[i >> 3] | (1u << (i & 7)));
    }
    return out + s->validity_bytes;
}

static void write_offset(uint8_t *offsets, uint64_t i, uint64_t value, bool is_short) {
    if (is_short) store_u16(offsets + 2 * i, (uint16_t)value);
    else store_u32(offsets + 4 * i, (uint32_t)value);
}

/* FIXED or VAR as they are. */
static uint64_t write_plain(const source *s, uint8_t *out, atlas_page_in *to) {
    uint8_t *p = write_validity(s, out);
    if (s->in->kind == ATLAS_KIND_FIXED) {
        to->out_layout = ATLAS_FIXED;
        const size_t bytes = (size_t)s->rows * s->in->width;
        if (bytes != 0) memcpy(p, s->in->values, bytes);
        return (uint64_t)(p - out) + bytes;
    }
    const bool is_short = s->data_bytes <= UINT16_MAX;
    const uint64_t used = ((uint64_t)s->rows + 1) * (is_short ? 2 : 4);
    to->out_layout = ATLAS_VAR;
    if (is_short) to->out_flags |= ATLAS_PAGE_SHORT;
    for (uint64_t i = 0; i <= s->rows; i++) write_offset(p, i, s->in->offsets[i] - s->in->offsets[0], is_short);
    memset(p + used, 0, pad_to(used, 64) - used);
    p += pad_to(used, 64);
    if (s->data_bytes != 0) memcpy(p, s->in->values + s->in->offsets[0], s->data_bytes);
    return (uint64_t)(p - out) + s->data_bytes;
}

static uint32_t first_valid(const source *s) {
    uint32_t i = 0;
    while (i < s->rows && is_null(s, i)) i++;
    return i;
}

static bool is_constant(const source *s) {
    const uint32_t first = first_valid(s);
    if (first == s->rows) return true;
    const uint8_t *value = value_at(s, first);
    const uint32_t length = value_length(s, first);
    for (uint32_t i = first + 1; i < s->rows; i++) {
        if (is_null(s, i)) continue;
        if (value_length(s, i) != length || (length != 0 && memcmp(value, value_at(s, i), length) != 0)) return false;
    }
    return true;
}

static uint64_t write_constant(const source *s, uint8_t *out, atlas_page_in *to) {
    uint8_t *p = write_validity(s, out);
    const uint32_t first = first_valid(s);
    uint32_t length = s->in->width;
    to->out_layout = ATLAS_CONST;
    if (first == s->rows) {
        memset(p, 0, length);
    } else {
        length = value_length(s, first);
        if (length != 0) memcpy(p, value_at(s, first), length);
    }
    return (uint64_t)(p - out) + length;
}

static uint64_t load_element(const uint8_t *p, uint8_t element) {
    switch (element) {
    case 2: return load_u16(p);
    case 4: return load_u32(p);
    default: return load_u64(p);
    }
}

/* Sign-extended and moved so that unsigned order is the numbers' order. */
static uint64_t ordered(uint64_t v, uint8_t element, uint8_t is_signed) {
    if (!is_signed) return v;
    const unsigned bits = 8u * element;
    const uint64_t top = (uint64_t)1 << (bits - 1);
    return (v ^ top) & (bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1);
}

/* Bytes of a number that spans the page's range, or the element's if nothing is gained; *low is the base in ordered form. */
static uint8_t narrow_bytes(const source *s, uint64_t *low) {
    const uint8_t element = s->in->element;
    const uint64_t per_row = s->in->width / element;
    const uint64_t most = element == 2 ? 0xff : element == 4 ? 0xffff : 0xffffffff;
    uint64_t least = UINT64_MAX, greatest = 0;
    for (uint32_t i = 0; i < s->rows; i++) {
        if (is_null(s, i)) continue;
        const uint8_t *value = value_at(s, i);
        for (uint64_t k = 0; k < per_row; k++) {
            const uint64_t v = ordered(load_element(value + k * element, element), element, s->in->is_signed);
            if (v < least) least = v;
            if (v > greatest) greatest = v;
        }
        if (least <= greatest && greatest - least > most) return element;
    }
    if (least > greatest) return element;
    *low = least;
    const uint64_t span = greatest - least;
    return span <= 0xff ? 1 : span <= 0xffff ? 2 : 4;
}

static uint64_t write_narrow(
    const source *s,
    uint8_t stored,
    uint64_t low,
    uint8_t *out,
    atlas_page_in *to
) {
    uint8_t *p = write_validity(s, out);
    const uint8_t element = s->in->element;
    const size_t per_row = s->in->width / element;
    to->out_layout = ATLAS_NARROW;
    memset(p, 0, ATLAS_NARROW_HEAD);
    store_u64(p, ordered(low, element, s->in->is_signed)); /* its own inverse */
    p[8] = element;
    p[9] = stored;
    p += ATLAS_NARROW_HEAD;
    for (uint32_t i = 0; i < s->rows; i++, p += per_row * stored) {
        if (is_null(s, i)) {
            memset(p, 0, per_row * stored);
            continue;
        }
        const uint8_t *value = value_at(s, i);
        for (size_t k = 0; k < per_row; k++) {
            const uint64_t v = ordered(load_element(value + k * element, element), element, s->in->is_signed) - low;
            if (stored == 1) p[k] = (uint8_t)v;
            else if (stored == 2) store_u16(p + 2 * k, (uint16_t)v);
            else store_u32(p + 4 * k, (uint32_t)v);
        }
    }
    return (uint64_t)(p - out);
}

typedef struct { /* distinct values of a page */
    uint32_t count;
    uint64_t bytes;    /* of the distinct values */
    uint32_t *first;   /* row of each value's first appearance */
    uint16_t *code;    /* of each row */
} distinct;

/* Finds the distinct values, or gives up (count 0) where an ENUM page would not save an eighth of plain bytes. */
static bool distinct_find(atlas_encoder *encoder, const source *s, uint64_t plain, distinct *d) {
    const uint64_t most = s->rows / 2 < ENUM_MOST ? s->rows / 2 : ENUM_MOST;
    size_t slots = 16;
    while (slots < 2 * most) slots *= 2;
    d->count = 0;
    d->bytes = 0;
    uint8_t *memory = scratch(encoder, slots * 4 + most * 4 + (size_t)s->rows * 2);
    if (memory == NULL) return false;
    uint32_t *table = (uint32_t *)(void *)memory; /* code + 1 */
    d->first = table + slots;
    d->code = (uint16_t *)(void *)(d->first + most);
    memset(table, 0, slots * 4);
    const uint64_t per_value = s->in->kind == ATLAS_KIND_VARIABLE ? 4 : 0;
    for (uint32_t i = 0; i < s->rows; i++) {
        d->code[i] = 0;
        if (is_null(s, i)) continue;
        const uint32_t length = value_length(s, i);
        const uint8_t *value = value_at(s, i);
        size_t slot = hash64(value, length, 0) & (slots - 1);
        while (table[slot] != 0) {
            const uint32_t other = d->first[table[slot] - 1];
            if (value_length(s, other) == length && (length == 0 || memcmp(value_at(s, other), value, length) == 0)) break;
            slot = (slot + 1) & (slots - 1);
        }
        if (table[slot] == 0) {
            d->bytes += length + per_value;
            if (d->count == most || !SAVES(d->bytes, plain) || (i >= ENUM_LOOK && d->count > i - i / 8)) return false;
            d->first[d->count++] = i;
            table[slot] = d->count;
        }
        d->code[i] = (uint16_t)(table[slot] - 1);
    }
    return d->count != 0;
}

static uint64_t enum_bytes(const source *s, const distinct *d) {
    const uint64_t table = s->in->kind == ATLAS_KIND_VARIABLE ? d->bytes + 4 : d->bytes;
    return s->validity_bytes + ATLAS_ENUM_HEAD + pad_to((uint64_t)s->rows * (d->count > 256 ? 2 : 1), 8) + table;
}

static uint64_t write_enum(const source *s, const distinct *d, uint8_t *out, atlas_page_in *to) {
    uint8_t *p = write_validity(s, out);
    const uint32_t code_bytes = d->count > 256 ? 2 : 1;
    const uint64_t used = (uint64_t)s->rows * code_bytes;
    to->out_layout = ATLAS_ENUM;
    store_u32(p, d->count);
    store_u32(p + 4, code_bytes);
    p += ATLAS_ENUM_HEAD;
    for (uint32_t i = 0; i < s->rows; i++) {
        if (code_bytes == 1) p[i] = (uint8_t)d->code[i];
        else store_u16(p + 2 * (size_t)i, d->code[i]);
    }
    memset(p + used, 0, pad_to(used, 8) - used);
    p += pad_to(used, 8);
    uint8_t *offsets = p;
    if (s->in->kind == ATLAS_KIND_VARIABLE) p += 4 * ((size_t)d->count + 1);
    uint32_t offset = 0;
    for (uint32_t k = 0; k < d->count; k++) {
        const uint32_t length = value_length(s, d->first[k]);
        if (s->in->kind == ATLAS_KIND_VARIABLE) store_u32(offsets + 4 * (size_t)k, offset);
        if (length != 0) memcpy(p, value_at(s, d->first[k]), length);
        p += length;
        offset += length;
    }
    if (s->in->kind == ATLAS_KIND_VARIABLE) store_u32(offsets + 4 * (size_t)d->count, offset);
    return (uint64_t)(p - out);
}

/* CONST, NARROW or ENUM, the smallest that saves an eighth; 0 if none does. */
static uint64_t write_light(atlas_encoder *encoder, const source *s, uint8_t *out, atlas_page_in *to) {
    const uint64_t plain = raw_form_bytes(s);
    if (s->rows < 2 || (s->in->kind == ATLAS_KIND_FIXED && s->in->width == 0)) return 0;
    if (is_constant(s)) return write_constant(s, out, to);
    uint64_t best = UINT64_MAX, low = 0;
    uint8_t stored = s->in->element;
    if (s->in->element >= 2) {
        stored = narrow_bytes(s, &low);
        if (stored < s->in->element) best = s->validity_bytes + ATLAS_NARROW_HEAD + (uint64_t)s->rows * (s->in->width / s->in->element) * stored;
        if (!SAVES(best, plain)) best = UINT64_MAX;
    }
    distinct d;
    const bool may_repeat = s->in->kind == ATLAS_KIND_VARIABLE || (s->in->width >= 2 && stored != 1);
    if (may_repeat && distinct_find(encoder, s, plain, &d)) {
        const uint64_t bytes = enum_bytes(s, &d);
        if (SAVES(bytes, plain) && bytes < best) return write_enum(s, &d, out, to);
    }
    return best != UINT64_MAX ? write_narrow(s, stored, low, out, to) : 0;
}

/* The block of a frame that atlas_frame_head would head alike, moved to the front of frame; 0 if the frame is not such a one. */
static size_t frame_block(uint8_t *frame, size_t size, uint32_t length) {
    uint8_t head[FRAME_HEAD];
    for (int rle = 0; rle < 2; rle++) {
        const size_t body = rle ? 1 : size - (length < 256 ? 9 : 10);
        const size_t head_bytes = atlas_frame_head(length, body, head);
        if (head_bytes + body == size && (rle || body > 1) && memcmp(frame, head, head_bytes) == 0) {
            memmove(frame, frame + head_bytes, body);
            return body;
        }
    }
    return 0;
}

/* A value as a cell at out, where room bytes are; 0 if there is too little room. */
static size_t write_cell(
    atlas_encoder *encoder,
    const atlas_page_in *in,
    const uint8_t *value,
    uint32_t length,
    uint8_t *out,
    uint64_t room
) {
    const bool zstd = in->codec == ATLAS_CODEC_ZSTD;
    uint8_t *body = out + CELL_FRAME_HEAD;
    size_t got = 0;
    if (room > CELL_FRAME_HEAD + 16u && length > 4) {
        const uint64_t most = room - CELL_FRAME_HEAD < length ? room - CELL_FRAME_HEAD : length;
        got = atlas_codec_encode(encoder->zstd, in->codec, zstd ? in->dict : NULL, in->level, value, length, body, most);
    }
    const size_t block = got == 0 || length > CELL_BLOCK_MOST ? 0 : zstd ? frame_block(body, got, length) : got;
    if (block != 0 && block + CELL_BLOCK_HEAD < length) {
        store_u16(out, (uint16_t)length);
        memmove(out + CELL_BLOCK_HEAD, body, block);
        return block + CELL_BLOCK_HEAD;
    }
    store_u16(out, 0);
    if (block == 0 && got != 0 && got + CELL_FRAME_HEAD < length) {
        const size_t magic = zstd ? ZSTD_MAGIC_BYTES : 0;
        out[2] = 1;
        store_u32(out + 3, length);
        memmove(body, body + magic, got - magic);
        return got - magic + CELL_FRAME_HEAD;
    }
    if (room < (uint64_t)length + CELL_RAW_HEAD) return 0;
    out[2] = 0;
    memcpy(out + CELL_RAW_HEAD, value, length);
    return (size_t)length + CELL_RAW_HEAD;
}

static uint64_t write_cells(atlas_encoder *encoder, const source *s, uint8_t *out, atlas_page_in *to) {
    const uint64_t plain = raw_form_bytes(s);
    uint32_t *ends = (uint32_t *)(void *)scratch(encoder, 4 * (size_t)s->rows);
    if (ends == NULL || s->data_bytes == 0) return 0;
    /* u32 offsets for now; moved down if u16 turn out to be enough */
    const uint64_t wide = pad_to(4 * ((uint64_t)s->rows + 1), 64);
    uint8_t *offsets = write_validity(s, out);
    uint8_t *data = offsets + wide;
    const uint64_t room = s->data_bytes + CELL_SPARE; /* atlas_block_bound has it */
    uint64_t size = 0;
    for (uint32_t i = 0; i < s->rows; i++) {
        const uint32_t length = value_length(s, i);
        const size_t got = length != 0 ? write_cell(encoder, s->in, value_at(s, i), length, data + size, room - size) : 0;
        size += got;
        ends[i] = (uint32_t)size;
        if (size > s->data_bytes || (length != 0 && got == 0)) return 0;
    }
    const bool is_short = size <= UINT16_MAX;
    const uint64_t used = ((uint64_t)s->rows + 1) * (is_short ? 2 : 4);
    if (!SAVES(s->validity_bytes + pad_to(used, 64) + size, plain)) return 0;
    memset(offsets, 0, pad_to(used, 64));
    for (uint32_t i = 0; i < s->rows; i++) write_offset(offsets, (uint64_t)i + 1, ends[i], is_short);
    if (is_short) memmove(offsets + pad_to(used, 64), data, size);
    to->out_layout = ATLAS_VAR;
    to->out_codec = s->in->codec;
    to->out_flags = (uint8_t)(to->out_flags | ATLAS_PAGE_CELLS | (is_short ? ATLAS_PAGE_SHORT : 0));
    to->out_raw = (uint32_t)plain;
    return s->validity_bytes + pad_to(used, 64) + size;
}

static int write_page(
    atlas_encoder *encoder,
    atlas_page_in *to,
    uint32_t rows,
    uint8_t *out,
    atlas_error *error
) {
    source s;
    source_open(&s, to, rows);
    to->out_flags = s.nulls != 0 ? ATLAS_PAGE_VALIDITY : 0;
    to->out_codec = ATLAS_CODEC_NONE;
    to->out_raw = 0;
    uint64_t size = to->light ? write_light(encoder, &s, out, to) : 0;
    if (size == 0 && to->per_value && to->codec != ATLAS_CODEC_NONE && to->kind == ATLAS_KIND_VARIABLE) size = write_cells(encoder, &s, out, to);
    if (size == 0) size = write_plain(&s, out, to);
    if (to->out_raw == 0) to->out_raw = (uint32_t)size;
    if (to->whole && to->codec != ATLAS_CODEC_NONE && to->out_codec == ATLAS_CODEC_NONE && size >= 64) {
        const size_t most = size - size / 8;
        uint8_t *packed = scratch(encoder, most);
        ATLAS_REQUIRE(packed != NULL, MEMORY, 0, "out of memory");
        const size_t got = atlas_codec_encode(encoder->zstd, to->codec, NULL, to->level, out, size, packed, most);
        if (got != 0) {
            memcpy(out, packed, got);
            to->out_codec = to->codec;
            size = got;
        }
    }
    to->out_stored = (uint32_t)size;
    return ATLAS_OK;
}

int atlas_block_write(
    atlas_encoder *encoder,
    atlas_page_in *pages,
    uint32_t page_count,
    uint64_t first_row,
    uint32_t rows,
    uint16_t group,
    uint8_t *out,
    uint64_t capacity,
    uint64_t *size,
    uint32_t *raw,
    atlas_error *error
) {
    const uint64_t bound = atlas_block_bound(pages, page_count, rows);
    ATLAS_REQUIRE(bound != 0, LIMIT, 0, "block > limit of 2^30 bytes or 2^20 rows");
    ATLAS_REQUIRE(bound <= capacity && page_count >= 1 && page_count <= ATLAS_MAX_LEAVES, ARG, 0, "capacity < atlas_block_bound");
    uint64_t end = ATLAS_BLOCK_TABLE + (uint64_t)page_count * ATLAS_PAGE_SIZE;
    uint64_t raw_sum = 0;
    memset(out, 0, end);
    store_u64(out + ATLAS_BLOCK_FIRST_ROW, first_row);
    store_u32(out + ATLAS_BLOCK_ROWS, rows);
    store_u16(out + ATLAS_BLOCK_GROUP, group);
    store_u16(out + ATLAS_BLOCK_PAGES, (uint16_t)page_count);
    for (uint32_t i = 0; i < page_count; i++) {
        atlas_page_in *to = &pages[i];
        source s;
        ATLAS_REQUIRE(to->kind == ATLAS_KIND_FIXED || to->kind == ATLAS_KIND_VARIABLE, ARG, 0, "page.kind is not 1 or 2");
        ATLAS_REQUIRE(to->element <= 1 || ((to->element == 2 || to->element == 4 || to->element == 8) && to->width % to->element == 0), ARG, 0, "page.element is not 2, 4 or 8, or does not divide width");
        ATLAS_REQUIRE(to->dict == NULL || to->dictionary != 0, ARG, 0, "page.dict without its number");
        source_open(&s, to, rows);
        uint64_t start = pad_to(end, 64);
        memset(out + end, 0, start - end);
        ATLAS_TRY(write_page(encoder, to, rows, out + start, error));
        const bool whole = to->out_codec != ATLAS_CODEC_NONE && (to->out_flags & ATLAS_PAGE_CELLS) == 0;
        if (whole && pad_to(end, 8) != start) {
            memmove(out + pad_to(end, 8), out + start, to->out_stored);
            start = pad_to(end, 8);
        }
        uint8_t *e = out + ATLAS_BLOCK_TABLE + (size_t)i * ATLAS_PAGE_SIZE;
        store_u16(e + ATLAS_PAGE_LEAF, to->leaf);
        e[ATLAS_PAGE_LAYOUT] = to->out_layout;
        e[ATLAS_PAGE_CODEC] = to->out_codec;
        e[ATLAS_PAGE_FLAGS] = to->out_flags;
        e[ATLAS_PAGE_DICTIONARY] = to->dict != NULL && (to->out_flags & ATLAS_PAGE_CELLS) != 0 ? to->dictionary : 0;
        store_u32(e + ATLAS_PAGE_OFFSET, (uint32_t)start);
        store_u32(e + ATLAS_PAGE_STORED, to->out_stored);
        store_u32(e + ATLAS_PAGE_RAW, to->out_raw);
        store_u32(e + ATLAS_PAGE_NULLS, s.nulls);
        store_u64(e + ATLAS_PAGE_HASH, hash64(out + start, to->out_stored, 0));
        end = start + to->out_stored;
        raw_sum += to->out_raw;
    }
    *size = end;
    *raw = (uint32_t)raw_sum;
    return ATLAS_OK;
}
