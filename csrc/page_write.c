/* page_write.c - one page from a column: chooses its layout and codec, and writes it. FORMAT.md, section 8.
 *
 * The order of trials: CONST; NARROW or ENUM, the smaller, if either saves; then cells or the codec over the whole page, over the
 * numbers as NARROW has made them. Where cells have several values, they are compared with ENUM.
 */
#include "page_write.h"

#include "codec.h"
#include "error.h"
#include "hash.h"
#include "page.h"

#define ENUM_MOST 65536u
#define ENUM_LOOK 256u /* rows after which a column that repeats nothing is given up */

static uint8_t *write_validity(const source *s, uint8_t *out) {
    memset(out, 0, validity_of(s));
    for (uint32_t i = 0; s->nulls != 0 && i < s->rows; i++) {
        if (!is_null(s, i)) out[i >> 3] = (uint8_t)(out[i >> 3] | (1u << (i & 7)));
    }
    return out + validity_of(s);
}

/* Values as they are, after their offsets if they have any. *is_short: whether these are u16. */
static uint64_t write_values(const source *s, uint8_t *out, bool *is_short) {
    *is_short = false;
    if (s->kind == ATLAS_KIND_FIXED) {
        if (s->data_bytes != 0) memcpy(out, s->values, s->data_bytes);
        return s->data_bytes;
    }
    *is_short = s->data_bytes <= UINT16_MAX;
    const uint64_t used = ((uint64_t)s->rows + 1) * (*is_short ? 2 : 4), offsets = offsets_bytes(s->rows, *is_short);
    for (uint64_t i = 0; i <= s->rows; i++) {
        const uint32_t offset = s->offsets[i] - s->offsets[0];
        if (*is_short) store_u16(out + 2 * i, (uint16_t)offset);
        else store_u32(out + 4 * i, offset);
    }
    memset(out + used, 0, offsets - used);
    if (s->data_bytes != 0) memcpy(out + offsets, s->values + s->offsets[0], s->data_bytes);
    return offsets + s->data_bytes;
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

static uint64_t write_constant(const source *s, uint8_t *out) {
    uint8_t *p = write_validity(s, out);
    const uint32_t first = first_valid(s);
    uint32_t length = s->width;
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

typedef struct { /* numbers less a base, in fewer bytes; stored 0: not */
    uint64_t low; /* the base in ordered form */
    uint8_t stored;
} narrowing;

/* Bytes of a number up to most, or the element's if nothing is gained. */
static uint8_t bytes_for(uint64_t most, uint8_t element) {
    const uint8_t bytes = most <= 0xff ? 1 : most <= 0xffff ? 2 : most <= 0xffffffff ? 4 : 8;
    return bytes < element ? bytes : element;
}

/* Least and greatest number of a page, in ordered form; false where it has none, or where their range gains nothing. */
static bool range_of(const source *s, uint64_t *least, uint64_t *greatest) {
    const uint8_t element = s->element;
    *least = UINT64_MAX;
    *greatest = 0;
    for (uint32_t i = 0; i < s->rows; i++) {
        if (is_null(s, i)) continue;
        const uint32_t length = value_length(s, i);
        const uint8_t *bytes = value_at(s, i);
        if (length % element != 0) return false;
        for (uint32_t k = 0; k < length; k += element) {
            const uint64_t v = ordered(load_element(bytes + k, element), element, s->is_signed);
            if (v < *least) *least = v;
            if (v > *greatest) *greatest = v;
        }
        if (*least <= *greatest && bytes_for(*greatest - *least, element) == element) return false;
    }
    return *least <= *greatest;
}

/* The base is 0 where that takes no more bytes: then equal numbers are equal bytes in every page, which is what a dictionary needs. */
static narrowing narrowing_of(const source *s) {
    uint64_t least, greatest;
    if (s->element < 2 || !range_of(s, &least, &greatest)) return (narrowing){0, 0};
    const uint8_t stored = bytes_for(greatest - least, s->element);
    const uint64_t zero = ordered(0, s->element, s->is_signed);
    const bool from_zero = least >= zero && bytes_for(greatest - zero, s->element) == stored;
    return (narrowing){from_zero ? zero : least, stored};
}

static void narrow_numbers(const source *s, const narrowing *n, const uint8_t *from, uint64_t bytes, uint8_t *out) {
    const uint8_t element = s->element;
    for (uint64_t k = 0; k < bytes / element; k++) {
        const uint64_t v = ordered(load_element(from + k * element, element), element, s->is_signed) - n->low;
        if (n->stored == 1) out[k] = (uint8_t)v;
        else if (n->stored == 2) store_u16(out + 2 * k, (uint16_t)v);
        else store_u32(out + 4 * k, (uint32_t)v);
    }
}

/* The values of a page, narrowed, in memory of the encoder; false if there is too little. */
static bool narrow(atlas_encoder *encoder, const source *s, const narrowing *n, source *out) {
    const bool variable = s->kind == ATLAS_KIND_VARIABLE;
    *out = *s;
    out->width = s->width / s->element * n->stored;
    out->data_bytes = s->data_bytes / s->element * n->stored;
    uint32_t *offsets = (uint32_t *)(void *)atlas_encoder_scratch(encoder, (variable ? 4 * ((size_t)s->rows + 1) : 0) + out->data_bytes + 8);
    if (offsets == NULL) return false;
    uint8_t *numbers = (uint8_t *)offsets;
    out->values = numbers;
    if (!variable) {
        for (uint32_t i = 0; i < s->rows; i++, numbers += out->width) {
            if (is_null(s, i)) memset(numbers, 0, out->width);
            else narrow_numbers(s, n, value_at(s, i), s->width, numbers);
        }
        return true;
    }
    numbers += 4 * ((size_t)s->rows + 1);
    for (uint32_t i = 0; i <= s->rows; i++) offsets[i] = (s->offsets[i] - s->offsets[0]) / s->element * n->stored;
    narrow_numbers(s, n, s->values + s->offsets[0], s->data_bytes, numbers);
    out->values = numbers;
    out->offsets = offsets;
    return true;
}

static void write_narrow_head(const source *s, const narrowing *n, uint8_t *out) {
    memset(out, 0, ATLAS_NARROW_HEAD);
    store_u64(out, ordered(n->low, s->element, s->is_signed)); /* its own inverse */
    out[8] = s->element;
    out[9] = n->stored;
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
    uint8_t *memory = atlas_encoder_scratch(encoder, slots * 4 + most * 4 + (size_t)s->rows * 2);
    if (memory == NULL) return false;
    uint32_t *table = (uint32_t *)(void *)memory; /* code + 1 */
    d->first = table + slots;
    d->code = (uint16_t *)(void *)(d->first + most);
    memset(table, 0, slots * 4);
    const uint64_t per_value = s->kind == ATLAS_KIND_VARIABLE ? 4 : 0;
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
    const uint64_t table = s->kind == ATLAS_KIND_VARIABLE ? d->bytes + 4 : d->bytes;
    return validity_of(s) + ATLAS_ENUM_HEAD + pad_to((uint64_t)s->rows * (d->count > 256 ? 2 : 1), 8) + table;
}

static uint64_t write_enum(const source *s, const distinct *d, uint8_t *out) {
    uint8_t *p = write_validity(s, out);
    const uint32_t code_bytes = d->count > 256 ? 2 : 1;
    const uint64_t used = (uint64_t)s->rows * code_bytes;
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
    if (s->kind == ATLAS_KIND_VARIABLE) p += 4 * ((size_t)d->count + 1);
    uint32_t offset = 0;
    for (uint32_t k = 0; k < d->count; k++) {
        const uint32_t length = value_length(s, d->first[k]);
        if (s->kind == ATLAS_KIND_VARIABLE) store_u32(offsets + 4 * (size_t)k, offset);
        if (length != 0) memcpy(p, value_at(s, d->first[k]), length);
        p += length;
        offset += length;
    }
    if (s->kind == ATLAS_KIND_VARIABLE) store_u32(offsets + 4 * (size_t)d->count, offset);
    return (uint64_t)(p - out);
}

/* How to narrow the numbers of a page, if that saves, and what ENUM would take, if it saves more; UINT64_MAX if it does not. */
static uint64_t light_ways(atlas_encoder *encoder, const source *s, narrowing *n, distinct *d) {
    const uint64_t plain = validity_of(s) + content_bytes(s);
    uint64_t best = UINT64_MAX;
    *n = narrowing_of(s);
    const uint8_t stored = n->stored;
    if (stored != 0) best = plain + ATLAS_NARROW_HEAD - s->data_bytes + s->data_bytes / s->element * stored;
    if (!SAVES(best, plain)) *n = (narrowing){0, 0};
    const bool may_repeat = s->kind == ATLAS_KIND_VARIABLE || (s->width >= 2 && stored != 1);
    if (!may_repeat || !distinct_find(encoder, s, plain, d)) return UINT64_MAX;
    const uint64_t bytes = enum_bytes(s, d);
    return SAVES(bytes, plain) && (n->stored == 0 || bytes < best) ? bytes : UINT64_MAX;
}

/* FIXED, VAR or NARROW, with cells where they save. */
static uint64_t write_heavy(atlas_encoder *encoder, const source *s, const narrowing *n, uint8_t *out, atlas_page_in *to) {
    source narrowed;
    uint8_t *p = write_validity(s, out);
    to->out_layout = s->kind == ATLAS_KIND_FIXED ? ATLAS_FIXED : ATLAS_VAR;
    if (n->stored != 0 && narrow(encoder, s, n, &narrowed)) {
        to->out_layout = ATLAS_NARROW;
        write_narrow_head(s, n, p);
        p += ATLAS_NARROW_HEAD;
        s = &narrowed;
    }
    const uint64_t head = (uint64_t)(p - out);
    bool is_short = false;
    uint64_t size = 0;
    if (to->cell_rows != 0 && to->codec != ATLAS_CODEC_NONE && s->data_bytes != 0) size = atlas_cells_write(encoder, to, s, head, p, &is_short);
    if (size != 0) {
        to->out_codec = to->codec;
        to->out_flags |= ATLAS_PAGE_CELLS;
        to->out_raw = (uint32_t)(head + content_bytes(s));
    } else {
        size = write_values(s, p, &is_short);
    }
    if (is_short) to->out_flags |= ATLAS_PAGE_SHORT;
    return head + size;
}

/* The layout that takes least; with cells of several values, which hold what repeats too, ENUM only where it takes less than they do. */
static uint64_t write_form(atlas_encoder *encoder, const source *s, uint8_t *out, atlas_page_in *to) {
    narrowing n = {0, 0};
    distinct d;
    if (!to->light || s->rows < 2 || (s->kind == ATLAS_KIND_FIXED && s->width == 0)) return write_heavy(encoder, s, &n, out, to);
    if (is_constant(s)) {
        to->out_layout = ATLAS_CONST;
        return write_constant(s, out); /* 0 where all values are empty */
    }
    const uint64_t choice = light_ways(encoder, s, &n, &d);
    if (choice == UINT64_MAX) return write_heavy(encoder, s, &n, out, to);
    if (to->cell_rows > 1 && to->codec != ATLAS_CODEC_NONE) {
        const uint64_t size = write_heavy(encoder, s, &n, out, to);
        if (size <= choice || !distinct_find(encoder, s, validity_of(s) + content_bytes(s), &d)) return size;
        to->out_flags &= ATLAS_PAGE_VALIDITY;
        to->out_codec = ATLAS_CODEC_NONE;
        to->out_cell_rows = 0;
        to->out_raw = 0;
    }
    to->out_layout = ATLAS_ENUM;
    return write_enum(s, &d, out);
}

int atlas_page_write(atlas_encoder *encoder, atlas_page_in *to, uint32_t rows, uint8_t *out, atlas_error *error) {
    const source s = source_of(to, rows);
    to->out_flags = s.nulls != 0 ? ATLAS_PAGE_VALIDITY : 0;
    to->out_codec = ATLAS_CODEC_NONE;
    to->out_raw = 0;
    to->out_cell_rows = 0;
    uint64_t size = write_form(encoder, &s, out, to);
    if (to->out_raw == 0) to->out_raw = (uint32_t)size;
    if (to->whole && to->codec != ATLAS_CODEC_NONE && to->out_codec == ATLAS_CODEC_NONE && size >= 64) {
        const size_t most = size - size / 8;
        uint8_t *packed = atlas_encoder_scratch(encoder, most);
        ATLAS_REQUIRE(packed != NULL, MEMORY, 0, "out of memory");
        const size_t got = atlas_codec_encode(encoder->codecs, to->codec, to->dict, to->level, to->literals, out, size, packed, most);
        if (got != 0) {
            memcpy(out, packed, got);
            to->out_codec = to->codec;
            size = got;
        }
    }
    to->out_stored = (uint32_t)size;
    return ATLAS_OK;
}
