/* page.h - one page: its entry checked, its raw form opened, its values read.
 *
 * Everything here is bounds-checked at each use, whether the page was verified
 * before or not: a mapped file can change under us.
 */
#ifndef ATLAS_PAGE_H
#define ATLAS_PAGE_H

#include <stdbool.h>

#include "atlas.h"
#include "bytes.h"
#include "layout.h"

typedef struct { /* a page table entry, checked against its leaf and its chunk */
    const uint8_t *stored;
    uint64_t at; /* of the stored bytes, in the file */
    uint64_t hash;
    uint32_t stored_bytes;
    uint32_t raw;
    uint32_t nulls;
    uint32_t rows;
    uint8_t layout;
    uint8_t codec;
    uint8_t flags;
    uint16_t cell_rows; /* values of a cell; 0: no cells */
    const atlas_dict *dict;
} page;

typedef struct { /* a page's raw form, or that of a CELLS page */
    const uint8_t *validity; /* NULL: no nulls */
    const uint8_t *values;   /* FIXED, VAR, NARROW: stored values or cells; CONST: the value; ENUM: table of values */
    const uint8_t *offsets;  /* of the values or cells, where they are not of constant width; NULL where they are */
    const uint8_t *ends;     /* of the values within their cells, where a cell has several and they are not of constant width; else NULL */
    const uint8_t *codes;    /* ENUM */
    uint64_t at;             /* of the raw form in the file; of the stored page if it was decoded */
    uint64_t base;           /* NARROW */
    uint64_t values_bytes;   /* from values to the end of the page */
    uint32_t rows;
    uint32_t width;          /* of a value of a fixed leaf */
    uint32_t stored_width;   /* the same as it is stored: narrowed if NARROW */
    uint32_t count;          /* ENUM */
    uint8_t layout;
    uint8_t kind;
    uint8_t element;         /* NARROW */
    uint8_t stored;          /* NARROW */
    uint8_t code_bytes;      /* ENUM */
    uint8_t short_offsets;
    uint16_t cell_rows;      /* values of a cell; 0: no cells */
} content;

/* Reads and checks the entry of leaf in the block at chunk (chunk_bytes long, at in the file). */
int atlas_page_read(
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    const uint8_t *chunk,
    uint64_t chunk_bytes,
    uint32_t rows,
    uint32_t max_page,
    page *out,
    atlas_error *error);
/* Opens the raw form at bytes. */
int atlas_content_open(
    const page *p,
    const atlas_leaf *leaf,
    const uint8_t *bytes,
    uint64_t size,
    content *out,
    atlas_error *error);

static inline bool content_null(const content *c, uint32_t i) { return c->validity != NULL && !bit_at(c->validity, i); }

static inline bool page_whole_codec(const page *p) {
    return p->codec != ATLAS_CODEC_NONE && (p->flags & ATLAS_PAGE_CELLS) == 0;
}

static inline uint64_t validity_bytes(uint32_t rows) { return pad_to(((uint64_t)rows + 7) / 8, 64); }

static inline uint64_t offsets_bytes(uint32_t count, bool is_short) { return pad_to(((uint64_t)count + 1) * (is_short ? 2 : 4), 64); }

/* How many things the offsets of a page are of: its values, or its cells. */
static inline uint32_t offsets_count(uint32_t rows, uint16_t cell_rows) { return cell_rows > 1 ? (rows - 1) / cell_rows + 1 : rows; }

static inline bool has_ends(uint8_t kind, uint16_t cell_rows) { return kind == ATLAS_KIND_VARIABLE && cell_rows > 1; }

static inline uint64_t ends_bytes(uint32_t rows) { return pad_to(2 * (uint64_t)rows, 64); }

/* Whether values lie where offsets say; false: they are of constant width, or an ENUM or CONST page's. */
static inline bool has_offsets(uint8_t kind, uint8_t layout, uint8_t flags) {
    if ((flags & ATLAS_PAGE_CELLS) != 0) return true;
    return kind == ATLAS_KIND_VARIABLE && (layout == ATLAS_VAR || layout == ATLAS_NARROW);
}

enum { CELL_RAW, CELL_BLOCK, CELL_FRAME, CELL_EMPTY };
enum { CELL_BLOCK_HEAD = 2, CELL_RAW_HEAD = 3, CELL_FRAME_HEAD = 7 };

typedef struct { /* a value that is not null, found and measured, not decoded */
    const uint8_t *body; /* of its cell, after the cell's head */
    uint64_t body_bytes;
    uint64_t cell;   /* bytes that the body yields */
    uint64_t skip;   /* of these, those before the value */
    uint64_t stored; /* bytes of the value as it is stored: narrowed if NARROW, without codec */
    uint64_t size;   /* bytes of the value */
    int form;        /* CELL_RAW also where there are no cells */
} stored_value;

/* How many values a cell has that begins with row `first`. */
static inline uint32_t cell_count(const content *c, uint32_t first) {
    return c->rows - first < c->cell_rows ? c->rows - first : c->cell_rows;
}

/* Where value i is in what its cell yields; first: the first row of that cell. False: its ends decrease. */
static inline bool place_in_cell(const content *c, uint32_t first, uint32_t i, stored_value *v) {
    if (c->ends == NULL) {
        v->skip = (uint64_t)(i - first) * c->stored_width;
        v->stored = c->stored_width;
        return true;
    }
    const uint16_t start = i == first ? 0 : load_u16(c->ends + 2 * ((size_t)i - 1)), end = load_u16(c->ends + 2 * (size_t)i);
    v->skip = start;
    v->stored = (uint64_t)end - start;
    return start <= end;
}

/* Makes size of stored. False: the value is not a multiple of its narrowed numbers. */
static inline bool value_sized(const content *c, stored_value *v) {
    const bool narrow = c->layout == ATLAS_NARROW;
    v->size = narrow ? v->stored / c->stored * c->element : v->stored;
    return !narrow || v->stored % c->stored == 0;
}

/* Finds value i. */
int atlas_value_find(const page *p, const content *c, uint32_t i, stored_value *out, atlas_error *error);

/* Whether a value lies in the page as it is: at body + skip, size bytes long. */
static inline bool value_in_place(const content *c, const stored_value *v) { return v->form == CELL_RAW && c->layout != ATLAS_NARROW; }

/* Whether a value's cell has to be decoded. */
static inline bool value_coded(const stored_value *v) { return v->form == CELL_BLOCK || v->form == CELL_FRAME; }

/* Bytes that decoding a cell takes beside what it yields: its frame with the headers that were left out. */
#define VALUE_ROOM 64u
static inline uint64_t cell_room(const stored_value *v) { return pad_to(v->body_bytes + VALUE_ROOM, 64); }
/* Decodes the cell of a coded value to out, v->cell bytes long; temp has cell_room bytes. */
int atlas_cell_decode(void *zstd, const page *p, const stored_value *v, uint8_t *temp, uint8_t *out, atlas_error *error);
/* Writes a value to out, size bytes long; cell: what its cell yields, if it is coded. */
void atlas_value_take(const content *c, const stored_value *v, const uint8_t *cell, uint8_t *out);

/* The same in one step. Bytes that it takes beside the value: the frame, and the cell where that is not the value itself. */
static inline uint64_t value_room(const content *c, const stored_value *v) {
    if (!value_coded(v)) return 0;
    return cell_room(v) + (c->layout == ATLAS_NARROW || c->cell_rows > 1 ? v->cell : 0);
}
/* Writes a value to out; temp has value_room bytes. */
int atlas_value_write(
    void *zstd,
    const page *p,
    const content *c,
    const stored_value *v,
    uint8_t *temp,
    uint8_t *out,
    atlas_error *error);

typedef struct { /* the cell that was decoded last, so that the next of its values need not decode it again */
    const uint8_t *body; /* NULL: none */
    uint64_t body_bytes;
    uint64_t size;
    uint8_t *bytes;
} decoded_cell;

static inline bool cell_is(const decoded_cell *cell, const stored_value *v) { return cell->body == v->body && cell->body_bytes == v->body_bytes && cell->size == v->cell; }

/* Finds the bytes of value i, or of cell i, as they are stored. */
int atlas_content_stored(const content *c, uint32_t i, const uint8_t **bytes, uint64_t *size, atlas_error *error);

#endif
