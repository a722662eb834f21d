/* read.h - block_read.c for gather.c and verify.c. */
#ifndef ATLAS_READ_H
#define ATLAS_READ_H

#include "page.h"

/* What is known of a page, its memo: MEMO_WORDS words of atlas_shard.pages. All zero: nothing. The
 * first is written last and read first:
 *   KNOWN  its hash was right
 *   BUSY   a thread writes, or has written, the other words: no other does, so that they are always of
 *          one reading of the page
 *   OPEN   the other words say where its values lie (atlas_memo_load), so that neither the block's head
 *          nor the page's is read again; the rest of the first word is the offset of the stored page in
 *          the file (a multiple of 64)
 *   PLAIN  FIXED, no codec, no nulls: value i lies at offset + i * width
 * Memos are our own memory, filled from checked bytes: reading by them needs no trust in the file but
 * for offsets and codes. */
#define MEMO_WORDS 4u
#define WORD_KNOWN 1u
#define WORD_OPEN 2u
#define WORD_PLAIN 4u
#define WORD_BUSY 8u
#define WORD_OFFSET 0xffffffffffffffc0u

/* A byte of atlas_shard.heads. */
#define HEAD_UNKNOWN 0u
#define HEAD_UNHASHED 1u /* its rules hold; its hash was not asked for */
#define HEAD_KNOWN 2u

/* Words 1 to 3 of a memo whose first word was seen OPEN. */
static inline uint64_t memo_word(const uint64_t *memo, unsigned k) {
    return __atomic_load_n(memo + k, __ATOMIC_RELAXED);
}

static inline uint64_t word_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

/* Whether a word's flag may be relied on: hashes are asked for the first time, always or never. */
static inline bool word_serves(uint64_t word, uint64_t flag, int32_t verify) {
    return (word & flag) != 0 && verify != ATLAS_VERIFY_ALWAYS &&
           ((word & WORD_KNOWN) != 0 || verify == ATLAS_VERIFY_NEVER);
}

static inline uint64_t *page_memo(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block) {
    return &shard->pages[leaf->first_page + ((uint64_t)block * leaf->group_leaves + leaf->rank) * MEMO_WORDS];
}

static inline uint32_t block_of(const atlas_leaf *leaf, uint64_t row) {
    /* a 32-bit division takes half the time of a 64-bit one */
    return row <= UINT32_MAX ? (uint32_t)row / leaf->rows_per_block : (uint32_t)(row / leaf->rows_per_block);
}

/* The shard of a row that is in range. */
static inline size_t set_find(const atlas_set *set, int64_t row) {
    size_t low = 0, high = set->count - 1;
    while (low < high) {
        const size_t middle = low + (high - low + 1) / 2;
        if (set->starts[middle] <= row) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* Checks head and page, hashes included unless they are known or the reader says never. */
int atlas_page_find(
    const atlas_reader *reader,
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    page *out,
    atlas_error *error);
/* Notes an opened page that is not compressed as a whole in its memo; word: its first word so far. */
void atlas_memo_store(uint64_t *memo, const page *p, const content *c, uint8_t dictionary);
/* The page and content of a memo whose first word, as it was seen, is OPEN: it may have been forgotten since. */
void atlas_memo_load(
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    const uint64_t *memo,
    uint64_t word,
    page *p,
    content *c);
/* Decodes a page that is compressed as a whole into out, p->raw bytes long. */
int atlas_page_decode(const atlas_reader *reader, const page *p, uint8_t *out, atlas_error *error);
/* Checks the head of a block: chunk hash, index, row numbers, page table. */
int atlas_head_check(
    const atlas_shard *shard,
    const atlas_leaf *leaf,
    uint32_t block,
    bool hash,
    atlas_error *error);
uint32_t atlas_block_rows(const atlas_shard *shard, const atlas_leaf *leaf, uint32_t block);

#endif
