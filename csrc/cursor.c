/* cursor.c - from a row of a set to its opened page. */
#include "cursor.h"

#include "codec.h"

int atlas_place_find(
    const atlas_set *set,
    uint32_t leaf,
    int64_t row,
    size_t *hint,
    place *out,
    atlas_error *error
) {
    size_t k = *hint;
    if (row < set->starts[k] || row >= set->starts[k + 1]) {
        ATLAS_REQUIRE(row >= 0 && row < set->starts[set->count], ARG, 0, "row out of range");
        *hint = k = set_find(set, row);
    }
    atlas_shard *shard = set->shards[k];
    const uint64_t local = (uint64_t)(row - set->starts[k]);
    error->shard = (uint32_t)k;
    ATLAS_REQUIRE(shard != NULL, ARG, 0, "shard is not open");
    ATLAS_REQUIRE(leaf < shard->leaf_count && local < shard->rows, ARG, 0, "leaf or row out of range");
    out->shard = shard;
    out->leaf = &shard->leaves[leaf];
    out->shard_number = (uint32_t)k;
    out->block = block_of(out->leaf, local);
    out->i = (uint32_t)(local - (uint64_t)out->block * out->leaf->rows_per_block);
    out->memo = page_memo(shard, out->leaf, out->block);
    out->word = word_load(out->memo);
    return ATLAS_OK;
}

/* A page that no memo describes: checked, decoded if it is compressed as a whole, else noted in its memo. */
static int page_load(atlas_reader *reader, const place *at, cursor *cur, atlas_error *error) {
    page *p = &cur->p;
    ATLAS_TRY(atlas_page_find(reader, at->shard, at->leaf, at->block, p, error));
    if (page_whole_codec(p)) {
        uint8_t *room = arena_take(reader, p->raw);
        cur->usable = room != NULL;
        if (room == NULL) return ATLAS_OK;
        ATLAS_TRY(atlas_page_decode(reader, p, room, error));
        return atlas_content_open(p, at->leaf, room, p->raw, &cur->c, error);
    }
    ATLAS_TRY(atlas_content_open(p, at->leaf, p->stored, p->stored_bytes, &cur->c, error));
    if (at->shard->cut == 0) atlas_memo_store(page_memo(at->shard, at->leaf, at->block), p, &cur->c, p->dict != NULL ? at->leaf->dictionary : 0);
    return ATLAS_OK;
}

int atlas_cursor_move(atlas_reader *reader, const place *at, cursor *cur, atlas_error *error) {
    if (cur->shard == at->shard && cur->block == at->block) return ATLAS_OK;
    cur->shard = NULL;
    cur->usable = true;
    if (word_serves(at->word, WORD_OPEN, reader->verify)) atlas_memo_load(at->shard, at->leaf, at->block, at->memo, at->word, &cur->p, &cur->c);
    else ATLAS_TRY(page_load(reader, at, cur, error));
    cur->shard = at->shard;
    cur->block = at->block;
    return ATLAS_OK;
}
