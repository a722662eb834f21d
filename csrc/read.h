/* read.h - block_read.c for gather.c and verify.c. */
#ifndef ATLAS_READ_H
#define ATLAS_READ_H

#include "page.h"

/* A word of atlas_shard.pages: 0 unknown, KNOWN verified, else verified and FIXED, raw, without nulls: the offset of its
 * values in the file (a multiple of 64) + PLAIN. */
#define WORD_KNOWN 1u
#define WORD_PLAIN 2u

static inline uint64_t word_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

static inline uint64_t *page_word(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block) {
    return &shard->pages[leaf->first_page + (uint64_t)block * leaf->group_leaves + leaf->rank];
}

static inline uint32_t block_of(const atlas_leaf *leaf, uint64_t row) {
    /* a 32-bit division takes half the time of a 64-bit one */
    return row <= UINT32_MAX ? (uint32_t)row / leaf->rows_per_block : (uint32_t)(row / leaf->rows_per_block);
}

/* Checks head and page, hashes included unless they are known or the reader says never. Fills *out and, if it is not NULL, the word. */
int page_find(const atlas_reader *reader, const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block, page *out, uint64_t *word, atlas_error *error);
/* Decodes a page that is compressed as a whole into out, p->raw bytes long. */
int page_decode(const atlas_reader *reader, const page *p, uint8_t *out, atlas_error *error);
/* Checks the head of a block: chunk hash, index, row numbers, page table. */
int head_check(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block, bool hash, atlas_error *error);
uint32_t block_rows(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block);

#endif
