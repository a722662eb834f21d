/* cell_write.c - values that are compressed one by one: FORMAT.md, section 9. */
#include "codec.h"
#include "page.h"
#include "page_write.h"

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
        got = atlas_codec_encode(encoder->codecs, in->codec, zstd ? in->dict : NULL, in->level, in->literals, value, length, body, most);
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

/* A run of values of which a cell is made. */
static uint64_t run_length(const source *s, uint32_t first, uint32_t count) {
    return s->kind == ATLAS_KIND_FIXED ? (uint64_t)count * s->width : (uint64_t)s->offsets[first + count] - s->offsets[first];
}

static uint32_t run_count(const source *s, uint32_t first, uint32_t together) {
    return s->rows - first < together ? s->rows - first : together;
}

/* How many values go together: as many as asked for, or fewer where their sum would be more than an end, a u16, can say. */
static uint16_t values_together(const source *s, uint16_t asked) {
    uint16_t together = asked < s->rows ? asked : (uint16_t)s->rows;
    if (s->kind == ATLAS_KIND_FIXED) return together;
    for (uint32_t first = 0; together > 1 && first < s->rows;) {
        if (run_length(s, first, run_count(s, first, together)) > UINT16_MAX) {
            together /= 2;
            first = 0;
        } else {
            first += together;
        }
    }
    return together;
}

static void write_ends(const source *s, uint16_t together, uint8_t *out) {
    for (uint32_t i = 0; i < s->rows; i++) store_u16(out + 2 * (size_t)i, (uint16_t)(s->offsets[i + 1] - s->offsets[i - i % together]));
    memset(out + 2 * (size_t)s->rows, 0, ends_bytes(s->rows) - 2 * (size_t)s->rows);
}

uint64_t atlas_cells_write(
    atlas_encoder *encoder,
    atlas_page_in *how,
    const source *s,
    uint64_t head,
    uint8_t *out,
    bool *is_short
) {
    const uint16_t together = values_together(s, how->cell_rows);
    const uint32_t cells = offsets_count(s->rows, together);
    const uint64_t ends = has_ends(s->kind, together) ? ends_bytes(s->rows) : 0;
    /* u32 offsets for now; moved together if u16 turn out to be enough */
    const uint64_t wide = offsets_bytes(cells, false);
    uint8_t *data = out + wide + ends;
    uint64_t size = 0;
    store_u32(out, 0);
    for (uint32_t k = 0; k < cells; k++) {
        const uint32_t first = k * together;
        const uint64_t length = run_length(s, first, run_count(s, first, together));
        const uint8_t *bytes = value_at(s, first);
        const bool empty = length == 0 || (s->kind == ATLAS_KIND_FIXED && all_zero(bytes, length));
        if (!empty) {
            const size_t got = write_cell(encoder, how, bytes, (uint32_t)length, data + size, s->data_bytes + CELL_SPARE - size);
            size += got;
            if (got == 0 || size > s->data_bytes) return 0;
        }
        store_u32(out + 4 * ((size_t)k + 1), (uint32_t)size);
    }
    *is_short = size <= UINT16_MAX;
    const uint64_t offsets = offsets_bytes(cells, *is_short), plain = head + content_bytes(s);
    if (!SAVES(head + offsets + ends + size, plain)) return 0;
    const uint64_t used = ((uint64_t)cells + 1) * (*is_short ? 2 : 4);
    for (uint64_t k = 0; *is_short && k <= cells; k++) store_u16(out + 2 * k, (uint16_t)load_u32(out + 4 * k));
    memset(out + used, 0, offsets - used);
    if (ends != 0) write_ends(s, together, out + offsets);
    if (*is_short) memmove(out + offsets + ends, data, size);
    how->out_cell_rows = together;
    return offsets + ends + size;
}
