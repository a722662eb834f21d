/* page_write.h - block_write.c for page_write.c and cell_write.c: one page on its way into a block. */
#ifndef ATLAS_PAGE_WRITE_H
#define ATLAS_PAGE_WRITE_H

#include <stdbool.h>

#include "atlas.h"
#include "bytes.h"
#include "codec.h"
#include "layout.h"

/* A form is kept only where it saves an eighth. */
#define SAVES(stored, raw) ((stored) <= (raw) - (raw) / 8)
#define CELL_SPARE 64u /* bytes after the values that cells may take while it is not clear whether they pay */

struct atlas_encoder {
    codec_encoder *codecs;
    uint8_t *scratch;
    size_t scratch_bytes;
};

typedef struct { /* the values of a page: as they are given, or narrowed */
    const uint8_t *values;
    const uint32_t *offsets; /* variable: rows + 1 */
    const uint8_t *valid;    /* NULL: no nulls */
    uint32_t rows;
    uint32_t nulls;
    uint32_t width; /* fixed */
    uint8_t kind;
    uint8_t element;
    uint8_t is_signed;
    uint64_t data_bytes;     /* sum of the lengths */
} source;

static inline source source_of(const atlas_page_in *in, uint32_t rows) {
    source s = {in->values, in->offsets, in->valid, rows, 0, in->width, in->kind, in->element, in->is_signed, (uint64_t)rows * in->width};
    for (uint32_t i = 0; in->valid != NULL && i < rows; i++) s.nulls += in->valid[i] == 0;
    if (in->kind == ATLAS_KIND_VARIABLE) s.data_bytes = (uint64_t)in->offsets[rows] - in->offsets[0];
    return s;
}

static inline uint32_t value_length(const source *s, uint32_t i) {
    return s->kind == ATLAS_KIND_FIXED ? s->width : s->offsets[i + 1] - s->offsets[i];
}

static inline const uint8_t *value_at(const source *s, uint32_t i) {
    return s->values + (s->kind == ATLAS_KIND_FIXED ? (size_t)i * s->width : s->offsets[i]);
}

static inline bool is_null(const source *s, uint32_t i) { return s->nulls != 0 && s->valid[i] == 0; }

static inline uint64_t validity_of(const source *s) { return s->nulls != 0 ? pad_to(((uint64_t)s->rows + 7) / 8, 64) : 0; }

/* Bytes of FIXED or VAR content, without validity, SHORT and CELLS. */
static inline uint64_t content_bytes(const source *s) {
    return (s->kind == ATLAS_KIND_VARIABLE ? pad_to(4 * ((uint64_t)s->rows + 1), 64) : 0) + s->data_bytes;
}

/* Memory of the encoder, whose content is gone at the next call; NULL if there is none. */
uint8_t *atlas_encoder_scratch(atlas_encoder *encoder, size_t size);

/* Writes a page's form to out and fills its out_ fields. */
int atlas_page_write(atlas_encoder *encoder, atlas_page_in *to, uint32_t rows, uint8_t *out, atlas_error *error);

/* The values as cells, with their offsets: bytes written, or 0 where that saves less than an eighth. head: bytes of the
 * page before them. *is_short: whether the offsets are u16. Fills how->out_cell_rows. */
uint64_t atlas_cells_write(
    atlas_encoder *encoder,
    atlas_page_in *how,
    const source *s,
    uint64_t head,
    uint8_t *out,
    bool *is_short);

#endif
