/* value.c - one value of an opened page: found, taken out of its cell, widened. FORMAT.md, sections 8 and 9. */
#include "codec.h"
#include "error.h"
#include "page.h"

/* Takes a cell apart. */
static int cell_open(const page *p, stored_value *v, atlas_error *error) {
    const uint8_t *cell = v->body;
    const uint64_t size = v->body_bytes;
    ATLAS_REQUIRE(size >= CELL_BLOCK_HEAD + 1, CORRUPT, p->at, "cell is too short");
    uint64_t head = CELL_BLOCK_HEAD;
    v->cell = load_u16(cell);
    v->form = CELL_BLOCK;
    if (v->cell == 0) {
        const uint8_t form = cell[2];
        ATLAS_REQUIRE(form <= 1 && size > (form == 0 ? CELL_RAW_HEAD : CELL_FRAME_HEAD), CORRUPT, p->at, "cell is too short, or of a form that is not 0 or 1");
        v->form = form == 0 ? CELL_RAW : CELL_FRAME;
        head = form == 0 ? CELL_RAW_HEAD : CELL_FRAME_HEAD;
        v->cell = form == 0 ? size - head : load_u32(cell + 3);
    }
    v->body = cell + head;
    v->body_bytes = size - head;
    ATLAS_REQUIRE(v->cell >= 1 && v->cell <= p->raw, CORRUPT, p->at, "cell: its values are longer than the page's raw, or empty");
    return ATLAS_OK;
}

static int find_in_cell(const page *p, const content *c, uint32_t i, stored_value *v, atlas_error *error) {
    const bool fixed = c->kind == ATLAS_KIND_FIXED, alone = c->cell_rows == 1;
    uint64_t yield = fixed ? c->stored_width : 0; /* of a variable value alone in its cell: whatever it announces */
    if (!alone) {
        const uint32_t first = i - i % c->cell_rows, count = cell_count(c, first);
        yield = fixed ? count * yield : load_u16(c->ends + 2 * ((size_t)first + count - 1));
        ATLAS_REQUIRE(place_in_cell(c, first, i, v) && v->skip + v->stored <= yield, CORRUPT, c->at, "ends decrease within a cell");
    }
    if (v->body_bytes != 0) {
        ATLAS_TRY(cell_open(p, v, error));
    } else {
        v->cell = fixed ? yield : 0;
        if (fixed) v->form = CELL_EMPTY;
    }
    if (alone) v->stored = v->cell;
    ATLAS_REQUIRE((alone && !fixed) || v->cell == yield, CORRUPT, p->at, "cell: it does not yield what its values take");
    if (v->stored == 0 && v->form != CELL_EMPTY) { /* one that is empty, among others */
        v->form = CELL_RAW;
        v->skip = v->cell = 0;
    }
    return ATLAS_OK;
}

int atlas_value_find(const page *p, const content *c, uint32_t i, stored_value *out, atlas_error *error) {
    ATLAS_TRY(atlas_content_stored(c, c->cell_rows > 1 ? i / c->cell_rows : i, &out->body, &out->body_bytes, error));
    out->stored = out->cell = out->body_bytes;
    out->skip = 0;
    out->form = CELL_RAW;
    if (c->cell_rows != 0) ATLAS_TRY(find_in_cell(p, c, i, out, error));
    ATLAS_REQUIRE(value_sized(c, out), CORRUPT, p->at, "NARROW: value is not a multiple of its stored numbers");
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

int atlas_cell_decode(void *zstd, const page *p, const stored_value *v, uint8_t *temp, uint8_t *out, atlas_error *error) {
    const uint8_t *body = v->body;
    uint64_t size = v->body_bytes;
    if (p->codec == ATLAS_CODEC_ZSTD) {
        static const uint8_t magic[ZSTD_MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
        size_t head = sizeof magic;
        if (v->form == CELL_BLOCK) {
            ATLAS_REQUIRE(size < v->cell || size == 1, CORRUPT, p->at, "cell: block is not shorter than what it yields");
            head = atlas_frame_head((uint32_t)v->cell, size, temp);
        } else {
            memcpy(temp, magic, sizeof magic);
        }
        memcpy(temp + head, body, size);
        body = temp;
        size += head;
    }
    ATLAS_REQUIRE(atlas_codec_decode(zstd, p->codec, p->dict, body, size, out, v->cell), CODEC, p->at, "cell does not decode to its length");
    return ATLAS_OK;
}

void atlas_value_take(const content *c, const stored_value *v, const uint8_t *cell, uint8_t *out) {
    const bool narrow = c->layout == ATLAS_NARROW;
    const uint64_t count = narrow ? v->stored / c->stored : 0;
    if (v->form == CELL_EMPTY) { /* numbers that are all 0: the base, again and again */
        for (uint64_t k = 0; narrow && k < count; k++) memcpy(out + k * c->element, &c->base, c->element);
        if (!narrow) memset(out, 0, v->size);
        return;
    }
    const uint8_t *from = (value_coded(v) ? cell : v->body) + v->skip;
    if (narrow) widen(c, from, count, out);
    else if (v->size != 0) memcpy(out, from, v->size);
}

int atlas_value_write(
    void *zstd,
    const page *p,
    const content *c,
    const stored_value *v,
    uint8_t *temp,
    uint8_t *out,
    atlas_error *error
) {
    if (!value_coded(v)) {
        atlas_value_take(c, v, NULL, out);
        return ATLAS_OK;
    }
    const bool apart = c->layout == ATLAS_NARROW || c->cell_rows > 1;
    uint8_t *cell = apart ? temp + cell_room(v) : out;
    ATLAS_TRY(atlas_cell_decode(zstd, p, v, temp, cell, error));
    if (apart) atlas_value_take(c, v, cell, out);
    return ATLAS_OK;
}
