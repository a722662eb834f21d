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
    const atlas_dict *dict;
} page;

typedef struct { /* a page's raw form, or that of a CELLS page */
    const uint8_t *validity; /* NULL: no nulls */
    const uint8_t *values;   /* FIXED, VAR, NARROW: stored values or cells; CONST: the value; ENUM: table of values */
    const uint8_t *offsets;  /* of the values, where they are not of constant width; NULL where they are */
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
    uint8_t cells;           /* each value is a cell */
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

static inline uint64_t offsets_bytes(uint32_t rows, bool is_short) { return pad_to(((uint64_t)rows + 1) * (is_short ? 2 : 4), 64); }

/* Whether values lie where offsets say; false: they are of constant width, or an ENUM or CONST page's. */
static inline bool has_offsets(uint8_t kind, uint8_t layout, uint8_t flags) {
    if ((flags & ATLAS_PAGE_CELLS) != 0) return true;
    return kind == ATLAS_KIND_VARIABLE && (layout == ATLAS_VAR || layout == ATLAS_NARROW);
}

enum { CELL_RAW, CELL_BLOCK, CELL_FRAME, CELL_EMPTY };
enum { CELL_BLOCK_HEAD = 2, CELL_RAW_HEAD = 3, CELL_FRAME_HEAD = 7 };

typedef struct { /* a value that is not null, found and measured, not decoded */
    const uint8_t *body;
    uint64_t body_bytes;
    uint64_t stored; /* bytes of the value as it is stored: narrowed if NARROW, without codec */
    uint64_t size;   /* bytes of the value */
    int form;        /* CELL_RAW also where there are no cells */
} page_value;

/* Finds value i. */
int atlas_value_find(const page *p, const content *c, uint32_t i, page_value *out, atlas_error *error);

/* Whether a value lies in the page as it is: body, size bytes long. */
static inline bool value_in_place(const content *c, const page_value *v) { return v->form == CELL_RAW && c->layout != ATLAS_NARROW; }

/* Bytes that writing a value takes beside it: its frame with the headers that were left out, and its narrowed numbers. */
#define VALUE_ROOM 64u
static inline uint64_t value_room(const content *c, const page_value *v) {
    if (v->form != CELL_BLOCK && v->form != CELL_FRAME) return 0;
    return pad_to(v->body_bytes + VALUE_ROOM, 64) + (c->layout == ATLAS_NARROW ? v->stored : 0);
}
/* Writes a value to out, size bytes long; temp has value_room bytes. */
int atlas_value_write(
    void *zstd,
    const page *p,
    const content *c,
    const page_value *v,
    uint8_t *temp,
    uint8_t *out,
    atlas_error *error);
/* Finds the bytes (or the cell) of value i as they are stored. */
int atlas_content_stored(const content *c, uint32_t i, const uint8_t **bytes, uint64_t *size, atlas_error *error);

#endif
