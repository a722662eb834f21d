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
    const uint8_t *values;   /* FIXED and CONST: values; VAR: data; NARROW: numbers; ENUM: table of values */
    const uint8_t *offsets;  /* VAR, and ENUM of a variable leaf */
    const uint8_t *codes;    /* ENUM */
    uint64_t at;             /* of the raw form in the file; of the stored page if it was decoded */
    uint64_t base;           /* NARROW */
    uint64_t values_bytes;   /* VAR, CONST, ENUM: bytes of values */
    uint32_t rows;
    uint32_t width;
    uint32_t count;          /* ENUM */
    uint8_t layout;
    uint8_t kind;
    uint8_t element;         /* NARROW */
    uint8_t stored;          /* NARROW */
    uint8_t code_bytes;      /* ENUM */
    uint8_t short_offsets;
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

/* Value i of a fixed leaf that is not null, in place; not for NARROW. */
int atlas_content_fixed(const content *c, uint32_t i, const uint8_t **value, atlas_error *error);
/* Value (or cell) i of a variable leaf that is not null. */
int atlas_content_variable(
    const content *c,
    uint32_t i,
    const uint8_t **value,
    uint64_t *size,
    atlas_error *error);
/* Widens value i of a NARROW page into out. */
void atlas_content_narrow(const content *c, uint32_t i, uint8_t *out);
enum { CELL_RAW, CELL_BLOCK, CELL_FRAME };
enum { CELL_BLOCK_HEAD = 2, CELL_RAW_HEAD = 3, CELL_FRAME_HEAD = 7 };

typedef struct { /* a cell taken apart, FORMAT.md section 9 */
    const uint8_t *body;
    uint64_t body_bytes;
    uint64_t size; /* of the value */
    int form;
} cell;

int atlas_cell_open(
    const page *p,
    const uint8_t *bytes,
    uint64_t size,
    cell *out,
    atlas_error *error);
/* Decodes a cell that is not CELL_RAW into out, c->size bytes long; temp holds c->body_bytes + CELL_ROOM. */
#define CELL_ROOM 16u
int atlas_cell_decode(
    void *zstd,
    const page *p,
    const cell *c,
    uint8_t *temp,
    uint8_t *out,
    atlas_error *error);

#endif
