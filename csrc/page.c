/* page.c - the raw forms of FORMAT.md, section 8 and 9, for reading. */
#include "page.h"

#include "codec.h"
#include "error.h"

int atlas_page_read(
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    const uint8_t *chunk,
    uint64_t chunk_bytes,
    uint32_t rows,
    uint32_t max_page,
    page *out,
    atlas_error *error
) {
    const uint8_t *e = chunk + ATLAS_BLOCK_TABLE + (size_t)leaf->rank * ATLAS_PAGE_SIZE;
    const uint64_t at = (uint64_t)(e - shard->base);
    const uint32_t offset = load_u32(e + ATLAS_PAGE_OFFSET);
    const uint8_t dictionary = e[ATLAS_PAGE_DICTIONARY];
    const uint8_t layout = e[ATLAS_PAGE_LAYOUT], codec = e[ATLAS_PAGE_CODEC], flags = e[ATLAS_PAGE_FLAGS];
    out->layout = layout;
    out->codec = codec;
    out->flags = flags;
    out->rows = rows;
    out->stored_bytes = load_u32(e + ATLAS_PAGE_STORED);
    out->raw = load_u32(e + ATLAS_PAGE_RAW);
    out->nulls = load_u32(e + ATLAS_PAGE_NULLS);
    out->hash = load_u64(e + ATLAS_PAGE_HASH);
    out->dict = NULL;
    ATLAS_REQUIRE(load_u16(e + ATLAS_PAGE_LEAF) == leaf->id, CORRUPT, at, "page.leaf is not the leaf at this place");
    ATLAS_REQUIRE(layout >= ATLAS_FIXED && layout <= ATLAS_ENUM, CORRUPT, at + ATLAS_PAGE_LAYOUT, "page.layout is not in 1 .. 5");
    ATLAS_REQUIRE(leaf->kind == ATLAS_KIND_FIXED ? layout != ATLAS_VAR : layout != ATLAS_FIXED && layout != ATLAS_NARROW, CORRUPT, at + ATLAS_PAGE_LAYOUT, "page.layout is not for this kind of leaf");
    ATLAS_REQUIRE(codec <= ATLAS_CODEC_ZSTD, CORRUPT, at + ATLAS_PAGE_CODEC, "page.codec is not in 0 .. 2");
    ATLAS_REQUIRE((flags & ~(ATLAS_PAGE_VALIDITY | ATLAS_PAGE_CELLS | ATLAS_PAGE_SHORT)) == 0, CORRUPT, at + ATLAS_PAGE_FLAGS, "page.flags has unknown bits");
    ATLAS_REQUIRE(layout == ATLAS_VAR || (flags & (ATLAS_PAGE_CELLS | ATLAS_PAGE_SHORT)) == 0, CORRUPT, at + ATLAS_PAGE_FLAGS, "page.flags: CELLS and SHORT are for VAR pages");
    ATLAS_REQUIRE((flags & ATLAS_PAGE_CELLS) == 0 || codec != ATLAS_CODEC_NONE, CORRUPT, at + ATLAS_PAGE_FLAGS, "page.flags: CELLS without a codec");
    ATLAS_REQUIRE(!page_whole_codec(out) || (leaf->flags & ATLAS_LEAF_PAGE_CODED) != 0, CORRUPT, at + ATLAS_PAGE_CODEC, "page.codec: the leaf is not PAGE_CODED");
    ATLAS_REQUIRE(load_u16(e + ATLAS_PAGE_RESERVED) == 0, CORRUPT, at + ATLAS_PAGE_RESERVED, "page.reserved is not zero");
    ATLAS_REQUIRE(offset >= ATLAS_BLOCK_TABLE + (uint64_t)ATLAS_PAGE_SIZE * leaf->group_leaves && (uint64_t)offset + out->stored_bytes <= chunk_bytes, CORRUPT, at + ATLAS_PAGE_OFFSET, "page.offset + stored reaches out of the chunk");
    ATLAS_REQUIRE(offset % (page_whole_codec(out) ? 8 : 64) == 0, CORRUPT, at + ATLAS_PAGE_OFFSET, "page.offset is not aligned");
    ATLAS_REQUIRE(out->raw <= max_page && out->stored_bytes <= (uint64_t)max_page + (max_page >> 1) + 64, LIMIT, at + ATLAS_PAGE_RAW, "page.raw > limit");
    ATLAS_REQUIRE((uint64_t)rows * leaf->width <= ATLAS_MAX_PAGE, LIMIT, at + ATLAS_PAGE_RAW, "page: its values are more than 2^30 bytes");
    ATLAS_REQUIRE(leaf->width <= 8 * (uint64_t)out->raw, CORRUPT, at + ATLAS_PAGE_RAW, "page.raw is too small for a value");
    ATLAS_REQUIRE(codec != ATLAS_CODEC_NONE || (flags & ATLAS_PAGE_CELLS) != 0 || out->raw == out->stored_bytes, CORRUPT, at + ATLAS_PAGE_RAW, "page.raw != stored without a codec");
    ATLAS_REQUIRE(out->nulls <= rows && (out->nulls != 0) == ((flags & ATLAS_PAGE_VALIDITY) != 0), CORRUPT, at + ATLAS_PAGE_NULLS, "page.nulls does not match VALIDITY");
    ATLAS_REQUIRE(out->nulls == 0 || (leaf->flags & ATLAS_LEAF_NULLABLE) != 0, CORRUPT, at + ATLAS_PAGE_NULLS, "page.nulls: the leaf is not NULLABLE");
    if (dictionary != 0) {
        ATLAS_REQUIRE(dictionary == leaf->dictionary && codec != ATLAS_CODEC_NONE, CORRUPT, at + ATLAS_PAGE_DICTIONARY, "page.dictionary is not the leaf's");
        out->dict = shard->dicts[dictionary - 1];
        ATLAS_REQUIRE(out->dict != NULL, ARG, at + ATLAS_PAGE_DICTIONARY, "dictionary is not open");
    }
    out->stored = chunk + offset;
    out->at = (uint64_t)(out->stored - shard->base);
    return ATLAS_OK;
}

static int narrow_open(content *c, const uint8_t *p, uint64_t left, atlas_error *error) {
    ATLAS_REQUIRE(left >= ATLAS_NARROW_HEAD, CORRUPT, c->at, "NARROW page is too short");
    c->base = load_u64(p);
    c->element = p[8];
    c->stored = p[9];
    ATLAS_REQUIRE(c->element == 2 || c->element == 4 || c->element == 8, CORRUPT, c->at, "NARROW.element is not 2, 4 or 8");
    ATLAS_REQUIRE((c->stored == 1 || c->stored == 2 || c->stored == 4) && c->stored < c->element, CORRUPT, c->at, "NARROW.stored is not 1, 2 or 4 and less than element");
    ATLAS_REQUIRE(all_zero(p + 10, 6), CORRUPT, c->at, "NARROW: reserved bytes are not zero");
    ATLAS_REQUIRE(c->width % c->element == 0, CORRUPT, c->at, "NARROW: width is not a multiple of element");
    ATLAS_REQUIRE(left - ATLAS_NARROW_HEAD == (uint64_t)c->rows * (c->width / c->element) * c->stored, CORRUPT, c->at, "NARROW page has a wrong length");
    c->values = p + ATLAS_NARROW_HEAD;
    return ATLAS_OK;
}

static int enum_open(content *c, const uint8_t *p, uint64_t left, atlas_error *error) {
    ATLAS_REQUIRE(left >= ATLAS_ENUM_HEAD, CORRUPT, c->at, "ENUM page is too short");
    c->count = load_u32(p);
    const uint32_t code_bytes = load_u32(p + 4);
    ATLAS_REQUIRE(c->count >= 1 && c->count <= 65536, CORRUPT, c->at, "ENUM.count is not in 1 .. 65536");
    ATLAS_REQUIRE(code_bytes == 1 || code_bytes == 2, CORRUPT, c->at, "ENUM.code_bytes is not 1 or 2");
    c->code_bytes = (uint8_t)code_bytes;
    const uint64_t codes = pad_to((uint64_t)c->rows * code_bytes, 8);
    ATLAS_REQUIRE(left - ATLAS_ENUM_HEAD >= codes, CORRUPT, c->at, "ENUM page is too short for its codes");
    c->codes = p + ATLAS_ENUM_HEAD;
    p += ATLAS_ENUM_HEAD + codes;
    left -= ATLAS_ENUM_HEAD + codes;
    if (c->kind == ATLAS_KIND_VARIABLE) {
        const uint64_t offsets = 4 * ((uint64_t)c->count + 1);
        ATLAS_REQUIRE(left >= offsets, CORRUPT, c->at, "ENUM page is too short for its table");
        c->offsets = p;
        p += offsets;
        left -= offsets;
    } else {
        ATLAS_REQUIRE(left == (uint64_t)c->count * c->width, CORRUPT, c->at, "ENUM page has a wrong length");
    }
    c->values = p;
    c->values_bytes = left;
    return ATLAS_OK;
}

int atlas_content_open(
    const page *p,
    const atlas_leaf *leaf,
    const uint8_t *bytes,
    uint64_t size,
    content *c,
    atlas_error *error
) {
    c->at = p->at;
    c->rows = p->rows;
    c->width = leaf->width;
    c->kind = leaf->kind;
    c->layout = p->layout;
    c->validity = NULL;
    c->offsets = NULL;
    c->short_offsets = (p->flags & ATLAS_PAGE_SHORT) != 0;
    uint64_t left = size;
    if ((p->flags & ATLAS_PAGE_VALIDITY) != 0) {
        const uint64_t validity = pad_to(((uint64_t)c->rows + 7) / 8, 64);
        ATLAS_REQUIRE(left >= validity, CORRUPT, c->at, "page is too short for its validity");
        c->validity = bytes;
        bytes += validity;
        left -= validity;
    }
    c->values = bytes;
    c->values_bytes = left;
    switch (c->layout) {
    case ATLAS_FIXED:
        ATLAS_REQUIRE(left == (uint64_t)c->rows * c->width, CORRUPT, c->at, "FIXED page has a wrong length");
        return ATLAS_OK;
    case ATLAS_VAR: {
        const uint64_t offsets = pad_to(((uint64_t)c->rows + 1) * (c->short_offsets ? 2 : 4), 64);
        ATLAS_REQUIRE(left >= offsets, CORRUPT, c->at, "VAR page is too short for its offsets");
        c->offsets = bytes;
        c->values = bytes + offsets;
        c->values_bytes = left - offsets;
        return ATLAS_OK;
    }
    case ATLAS_CONST:
        ATLAS_REQUIRE(c->kind == ATLAS_KIND_VARIABLE || left == c->width, CORRUPT, c->at, "CONST page has a wrong length");
        ATLAS_REQUIRE((uint64_t)(c->rows - p->nulls) * left <= ATLAS_MAX_PAGE, LIMIT, c->at, "page: its values are more than 2^30 bytes");
        return ATLAS_OK;
    case ATLAS_NARROW:
        return narrow_open(c, bytes, left, error);
    default:
        return enum_open(c, bytes, left, error);
    }
}

static int enum_code(const content *c, uint32_t i, uint32_t *code, atlas_error *error) {
    *code = c->code_bytes == 1 ? c->codes[i] : load_u16(c->codes + 2 * (size_t)i);
    ATLAS_REQUIRE(*code < c->count, CORRUPT, c->at, "ENUM: code >= count");
    return ATLAS_OK;
}

int atlas_content_fixed(const content *c, uint32_t i, const uint8_t **value, atlas_error *error) {
    uint32_t place = i;
    if (c->layout == ATLAS_CONST) place = 0;
    if (c->layout == ATLAS_ENUM) ATLAS_TRY(enum_code(c, i, &place, error));
    *value = c->values + (size_t)place * c->width;
    return ATLAS_OK;
}

int atlas_content_variable(
    const content *c,
    uint32_t i,
    const uint8_t **value,
    uint64_t *size,
    atlas_error *error
) {
    if (c->layout == ATLAS_CONST) {
        *value = c->values;
        *size = c->values_bytes;
        return ATLAS_OK;
    }
    uint32_t place = i;
    if (c->layout == ATLAS_ENUM) ATLAS_TRY(enum_code(c, i, &place, error));
    const size_t k = place;
    const uint32_t start = c->short_offsets ? load_u16(c->offsets + 2 * k) : load_u32(c->offsets + 4 * k);
    const uint32_t end = c->short_offsets ? load_u16(c->offsets + 2 * k + 2) : load_u32(c->offsets + 4 * k + 4);
    ATLAS_REQUIRE(start <= end && end <= c->values_bytes, CORRUPT, c->at, "offsets decrease or reach out of the page");
    *value = c->values + start;
    *size = end - start;
    return ATLAS_OK;
}

#define WIDEN(from, to)                                                   \
    for (size_t k = 0; k < n; k++) {                                      \
        from narrow;                                                      \
        memcpy(&narrow, src + k * sizeof(from), sizeof(from));            \
        const to wide = (to)((to)c->base + (to)narrow);                   \
        memcpy(out + k * sizeof(to), &wide, sizeof(to));                  \
    }

void atlas_content_narrow(const content *c, uint32_t i, uint8_t *out) {
    const size_t n = c->width / c->element;
    const uint8_t *src = c->values + (size_t)i * n * c->stored;
    switch (c->element * 8 + c->stored) {
    case 2 * 8 + 1: WIDEN(uint8_t, uint16_t) break;
    case 4 * 8 + 1: WIDEN(uint8_t, uint32_t) break;
    case 4 * 8 + 2: WIDEN(uint16_t, uint32_t) break;
    case 8 * 8 + 1: WIDEN(uint8_t, uint64_t) break;
    case 8 * 8 + 2: WIDEN(uint16_t, uint64_t) break;
    default: WIDEN(uint32_t, uint64_t) break;
    }
}

int atlas_cell_open(
    const page *p,
    const uint8_t *bytes,
    uint64_t size,
    cell *out,
    atlas_error *error
) {
    *out = (cell){bytes, 0, 0, CELL_RAW};
    if (size == 0) return ATLAS_OK;
    ATLAS_REQUIRE(size >= CELL_BLOCK_HEAD + 1, CORRUPT, p->at, "cell is too short");
    out->size = load_u16(bytes);
    out->form = CELL_BLOCK;
    uint64_t head = CELL_BLOCK_HEAD;
    if (out->size == 0) {
        const uint8_t form = bytes[2];
        ATLAS_REQUIRE(form <= 1 && size > (form == 0 ? CELL_RAW_HEAD : CELL_FRAME_HEAD), CORRUPT, p->at, "cell is too short, or of a form that is not 0 or 1");
        out->form = form == 0 ? CELL_RAW : CELL_FRAME;
        head = form == 0 ? CELL_RAW_HEAD : CELL_FRAME_HEAD;
        out->size = form == 0 ? size - head : load_u32(bytes + 3);
    }
    out->body = bytes + head;
    out->body_bytes = size - head;
    ATLAS_REQUIRE(out->size >= 1 && out->size <= p->raw, CORRUPT, p->at, "cell: value is longer than the page's raw, or empty");
    return ATLAS_OK;
}

int atlas_cell_decode(
    void *zstd,
    const page *p,
    const cell *c,
    uint8_t *temp,
    uint8_t *out,
    atlas_error *error
) {
    const uint8_t *body = c->body;
    uint64_t size = c->body_bytes;
    if (p->codec == ATLAS_CODEC_ZSTD) {
        static const uint8_t magic[ZSTD_MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
        size_t head = sizeof magic;
        if (c->form == CELL_BLOCK) {
            ATLAS_REQUIRE(size < CELL_BLOCK_MOST, CORRUPT, p->at, "cell: block is longer than its value can be");
            head = atlas_frame_head((uint32_t)c->size, size, temp);
        } else {
            memcpy(temp, magic, sizeof magic);
        }
        memcpy(temp + head, body, size);
        body = temp;
        size += head;
    }
    ATLAS_REQUIRE(atlas_codec_decode(zstd, p->codec, p->dict, body, size, out, c->size), CODEC, p->at, "cell does not decode to its length");
    return ATLAS_OK;
}
