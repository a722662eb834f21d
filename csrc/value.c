/* value.c - one value of an opened page: found, taken out of its cell, widened. FORMAT.md, sections 8 and 9. */
#include "codec.h"
#include "error.h"
#include "page.h"

/* Takes a cell apart. */
static int cell_open(const page *p, page_value *v, atlas_error *error) {
    const uint8_t *cell = v->body;
    const uint64_t size = v->body_bytes;
    ATLAS_REQUIRE(size >= CELL_BLOCK_HEAD + 1, CORRUPT, p->at, "cell is too short");
    uint64_t head = CELL_BLOCK_HEAD;
    v->stored = load_u16(cell);
    v->form = CELL_BLOCK;
    if (v->stored == 0) {
        const uint8_t form = cell[2];
        ATLAS_REQUIRE(form <= 1 && size > (form == 0 ? CELL_RAW_HEAD : CELL_FRAME_HEAD), CORRUPT, p->at, "cell is too short, or of a form that is not 0 or 1");
        v->form = form == 0 ? CELL_RAW : CELL_FRAME;
        head = form == 0 ? CELL_RAW_HEAD : CELL_FRAME_HEAD;
        v->stored = form == 0 ? size - head : load_u32(cell + 3);
    }
    v->body = cell + head;
    v->body_bytes = size - head;
    ATLAS_REQUIRE(v->stored >= 1 && v->stored <= p->raw, CORRUPT, p->at, "cell: value is longer than the page's raw, or empty");
    return ATLAS_OK;
}

int atlas_value_find(const page *p, const content *c, uint32_t i, page_value *out, atlas_error *error) {
    ATLAS_TRY(atlas_content_stored(c, i, &out->body, &out->body_bytes, error));
    out->stored = out->body_bytes;
    out->form = CELL_RAW;
    if (c->cells) {
        if (out->body_bytes != 0) ATLAS_TRY(cell_open(p, out, error));
        else if (c->kind == ATLAS_KIND_FIXED) {
            out->stored = c->stored_width;
            out->form = CELL_EMPTY;
        }
        ATLAS_REQUIRE(c->kind == ATLAS_KIND_VARIABLE || out->stored == c->stored_width, CORRUPT, p->at, "cell: value has not the leaf's width");
    }
    out->size = out->stored;
    if (c->layout != ATLAS_NARROW) return ATLAS_OK;
    ATLAS_REQUIRE(out->stored % c->stored == 0, CORRUPT, p->at, "NARROW: value is not a multiple of its stored numbers");
    out->size = out->stored / c->stored * c->element;
    return ATLAS_OK;
}

#define WIDEN(from, to)                                          \
    for (uint64_t k = 0; k < count; k++) {                       \
        from narrow;                                             \
        memcpy(&narrow, numbers + k * sizeof(from), sizeof(from)); \
        const to wide = (to)((to)c->base + (to)narrow);          \
        memcpy(out + k * sizeof(to), &wide, sizeof(to));         \
    }

static void widen(const content *c, const uint8_t *numbers, uint64_t count, uint8_t *out) {
    switch (c->element * 8 + c->stored) {
    case 2 * 8 + 1: WIDEN(uint8_t, uint16_t) break;
    case 4 * 8 + 1: WIDEN(uint8_t, uint32_t) break;
    case 4 * 8 + 2: WIDEN(uint16_t, uint32_t) break;
    case 8 * 8 + 1: WIDEN(uint8_t, uint64_t) break;
    case 8 * 8 + 2: WIDEN(uint16_t, uint64_t) break;
    default: WIDEN(uint32_t, uint64_t) break;
    }
}

/* Decodes a block or a frame into out. */
static int cell_decode(void *zstd, const page *p, const page_value *v, uint8_t *temp, uint8_t *out, atlas_error *error) {
    const uint8_t *body = v->body;
    uint64_t size = v->body_bytes;
    if (p->codec == ATLAS_CODEC_ZSTD) {
        static const uint8_t magic[ZSTD_MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
        size_t head = sizeof magic;
        if (v->form == CELL_BLOCK) {
            ATLAS_REQUIRE(size < CELL_BLOCK_MOST, CORRUPT, p->at, "cell: block is longer than its value can be");
            head = atlas_frame_head((uint32_t)v->stored, size, temp);
        } else {
            memcpy(temp, magic, sizeof magic);
        }
        memcpy(temp + head, body, size);
        body = temp;
        size += head;
    }
    ATLAS_REQUIRE(atlas_codec_decode(zstd, p->codec, p->dict, body, size, out, v->stored), CODEC, p->at, "cell does not decode to its length");
    return ATLAS_OK;
}

int atlas_value_write(
    void *zstd,
    const page *p,
    const content *c,
    const page_value *v,
    uint8_t *temp,
    uint8_t *out,
    atlas_error *error
) {
    const bool narrow = c->layout == ATLAS_NARROW;
    const uint64_t count = narrow ? v->stored / c->stored : 0;
    switch (v->form) {
    case CELL_RAW:
        if (narrow) widen(c, v->body, count, out);
        else if (v->size != 0) memcpy(out, v->body, v->size);
        return ATLAS_OK;
    case CELL_EMPTY: /* numbers that are all 0: the base, again and again */
        for (uint64_t k = 0; narrow && k < count; k++) memcpy(out + k * c->element, &c->base, c->element);
        if (!narrow) memset(out, 0, v->size);
        return ATLAS_OK;
    default: {
        uint8_t *numbers = narrow ? temp + pad_to(v->body_bytes + VALUE_ROOM, 64) : out;
        ATLAS_TRY(cell_decode(zstd, p, v, temp, numbers, error));
        if (narrow) widen(c, numbers, count, out);
        return ATLAS_OK;
    }
    }
}
