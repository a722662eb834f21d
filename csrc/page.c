/* page.c - a page's entry and its raw form, opened: FORMAT.md, section 8. */
#include "page.h"

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
    const uint16_t cell_rows = load_u16(e + ATLAS_PAGE_CELL_ROWS);
    out->layout = layout;
    out->codec = codec;
    out->flags = flags;
    out->cell_rows = cell_rows;
    out->rows = rows;
    out->stored_bytes = load_u32(e + ATLAS_PAGE_STORED);
    out->raw = load_u32(e + ATLAS_PAGE_RAW);
    out->nulls = load_u32(e + ATLAS_PAGE_NULLS);
    out->hash = load_u64(e + ATLAS_PAGE_HASH);
    out->dict = NULL;
    ATLAS_REQUIRE(load_u16(e + ATLAS_PAGE_LEAF) == leaf->id, CORRUPT, at, "page.leaf is not the leaf at this place");
    ATLAS_REQUIRE(layout >= ATLAS_FIXED && layout <= ATLAS_ENUM, CORRUPT, at + ATLAS_PAGE_LAYOUT, "page.layout is not in 1 .. 5");
    ATLAS_REQUIRE(layout != (leaf->kind == ATLAS_KIND_FIXED ? ATLAS_VAR : ATLAS_FIXED), CORRUPT, at + ATLAS_PAGE_LAYOUT, "page.layout is not for this kind of leaf");
    ATLAS_REQUIRE(codec <= ATLAS_CODEC_ZSTD, CORRUPT, at + ATLAS_PAGE_CODEC, "page.codec is not in 0 .. 2");
    ATLAS_REQUIRE((flags & ~(ATLAS_PAGE_VALIDITY | ATLAS_PAGE_CELLS | ATLAS_PAGE_SHORT)) == 0, CORRUPT, at + ATLAS_PAGE_FLAGS, "page.flags has unknown bits");
    ATLAS_REQUIRE((flags & ATLAS_PAGE_CELLS) == 0 || (layout != ATLAS_CONST && layout != ATLAS_ENUM), CORRUPT, at + ATLAS_PAGE_FLAGS, "page.flags: CELLS are not for CONST and ENUM pages");
    ATLAS_REQUIRE((flags & ATLAS_PAGE_SHORT) == 0 || has_offsets(leaf->kind, layout, flags), CORRUPT, at + ATLAS_PAGE_FLAGS, "page.flags: SHORT is for pages with offsets");
    ATLAS_REQUIRE((flags & ATLAS_PAGE_CELLS) == 0 || codec != ATLAS_CODEC_NONE, CORRUPT, at + ATLAS_PAGE_FLAGS, "page.flags: CELLS without a codec");
    ATLAS_REQUIRE(cell_rows <= 1 || (leaf->flags & ATLAS_LEAF_PAGE_CODED) != 0, CORRUPT, at + ATLAS_PAGE_CELL_ROWS, "page.cell_rows > 1: the leaf is not PAGE_CODED");
    ATLAS_REQUIRE(!page_whole_codec(out) || (leaf->flags & ATLAS_LEAF_PAGE_CODED) != 0, CORRUPT, at + ATLAS_PAGE_CODEC, "page.codec: the leaf is not PAGE_CODED");
    ATLAS_REQUIRE((cell_rows != 0) == ((flags & ATLAS_PAGE_CELLS) != 0), CORRUPT, at + ATLAS_PAGE_CELL_ROWS, "page.cell_rows is 0 with CELLS, or not 0 without");
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
    c->stored_width = c->width / c->element * c->stored;
    return ATLAS_OK;
}

/* FIXED, VAR and NARROW after their head (head bytes, with validity): values of constant width, or offsets and values, or cells. */
static int values_open(content *c, const page *p, const uint8_t *bytes, uint64_t left, uint64_t head, atlas_error *error) {
    c->values = bytes;
    c->values_bytes = left;
    if (!has_offsets(c->kind, c->layout, p->flags)) {
        ATLAS_REQUIRE(left == (uint64_t)c->rows * c->stored_width, CORRUPT, c->at, "FIXED or NARROW page has a wrong length");
        return ATLAS_OK;
    }
    const uint64_t offsets = offsets_bytes(offsets_count(c->rows, c->cell_rows), c->short_offsets != 0);
    const uint64_t ends = has_ends(c->kind, c->cell_rows) ? ends_bytes(c->rows) : 0;
    ATLAS_REQUIRE(left >= offsets + ends, CORRUPT, c->at, "page is too short for its offsets");
    c->offsets = bytes;
    if (ends != 0) c->ends = bytes + offsets;
    c->values += offsets + ends;
    c->values_bytes -= offsets + ends;
    if (c->kind == ATLAS_KIND_FIXED) {
        ATLAS_REQUIRE(p->raw == head + (uint64_t)c->rows * c->stored_width, CORRUPT, c->at, "page.raw of CELLS is not that of the values");
        return ATLAS_OK;
    }
    head += offsets_bytes(c->rows, false);
    ATLAS_REQUIRE(c->cell_rows == 0 || p->raw >= head, CORRUPT, c->at, "page.raw of CELLS is too small for its offsets");
    if (c->layout != ATLAS_NARROW) return ATLAS_OK;
    const uint64_t stored = c->cell_rows != 0 ? p->raw - head : c->values_bytes;
    ATLAS_REQUIRE(stored / c->stored * c->element <= ATLAS_MAX_PAGE, LIMIT, c->at, "page: its values are more than 2^30 bytes");
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
    c->width = c->stored_width = leaf->width;
    c->kind = leaf->kind;
    c->layout = p->layout;
    c->validity = NULL;
    c->offsets = NULL;
    c->ends = NULL;
    c->short_offsets = (p->flags & ATLAS_PAGE_SHORT) != 0;
    c->cell_rows = p->cell_rows;
    uint64_t left = size, head = 0;
    if ((p->flags & ATLAS_PAGE_VALIDITY) != 0) {
        head = validity_bytes(c->rows);
        ATLAS_REQUIRE(left >= head, CORRUPT, c->at, "page is too short for its validity");
        c->validity = bytes;
        bytes += head;
        left -= head;
    }
    c->values = bytes;
    c->values_bytes = left;
    switch (c->layout) {
    case ATLAS_CONST:
        ATLAS_REQUIRE(c->kind == ATLAS_KIND_VARIABLE || left == c->width, CORRUPT, c->at, "CONST page has a wrong length");
        ATLAS_REQUIRE((uint64_t)(c->rows - p->nulls) * left <= ATLAS_MAX_PAGE, LIMIT, c->at, "page: its values are more than 2^30 bytes");
        return ATLAS_OK;
    case ATLAS_ENUM:
        return enum_open(c, bytes, left, error);
    case ATLAS_NARROW:
        ATLAS_TRY(narrow_open(c, bytes, left, error));
        return values_open(c, p, bytes + ATLAS_NARROW_HEAD, left - ATLAS_NARROW_HEAD, head + ATLAS_NARROW_HEAD, error);
    default:
        return values_open(c, p, bytes, left, head, error);
    }
}

static int enum_code(const content *c, uint32_t i, uint32_t *code, atlas_error *error) {
    *code = c->code_bytes == 1 ? c->codes[i] : load_u16(c->codes + 2 * (size_t)i);
    ATLAS_REQUIRE(*code < c->count, CORRUPT, c->at, "ENUM: code >= count");
    return ATLAS_OK;
}

int atlas_content_stored(const content *c, uint32_t i, const uint8_t **bytes, uint64_t *size, atlas_error *error) {
    if (c->layout == ATLAS_CONST) {
        *bytes = c->values;
        *size = c->values_bytes;
        return ATLAS_OK;
    }
    uint32_t place = i;
    if (c->layout == ATLAS_ENUM) ATLAS_TRY(enum_code(c, i, &place, error));
    const size_t k = place;
    if (c->offsets == NULL) {
        *bytes = c->values + k * c->stored_width;
        *size = c->stored_width;
        return ATLAS_OK;
    }
    const uint32_t start = c->short_offsets ? load_u16(c->offsets + 2 * k) : load_u32(c->offsets + 4 * k);
    const uint32_t end = c->short_offsets ? load_u16(c->offsets + 2 * k + 2) : load_u32(c->offsets + 4 * k + 4);
    ATLAS_REQUIRE(start <= end && end <= c->values_bytes, CORRUPT, c->at, "offsets decrease or reach out of the page");
    *bytes = c->values + start;
    *size = end - start;
    return ATLAS_OK;
}
