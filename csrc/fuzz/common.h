/* common.h - what the fuzz targets and the drivers beside them share: opening, reading, verifying and resealing a shard in memory.
 *
 * Work is bounded here: no input makes a target look at more than MOST_INPUT bytes, MOST_ROWS rows of a block or MOST_ARENA bytes.
 */
#ifndef ATLAS_FUZZ_COMMON_H
#define ATLAS_FUZZ_COMMON_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../atlas.h"
#include "../bytes.h"
#include "../frame.h"
#include "../layout.h"

#define MOST_INPUT 65536u
#define MOST_ROWS 2048u
#define MOST_ARENA (8u << 20)
#define MOST_PAGE (1u << 20)

/* The first byte of an input to a reader says what is done with the rest. */
enum { DO_RESEAL = 1, DO_REFIT = 2, DO_ALWAYS = 4, DO_NEVER = 8, DO_TINY_ARENA = 16, DO_ORDER = 32 };

#define MUST(condition)                                                              \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: MUST(%s)\n", __FILE__, __LINE__, #condition);    \
            abort();                                                                 \
        }                                                                            \
    } while (0)

typedef struct { /* a shard in a heap copy of its exact size, with the memory that atlas.h asks of a caller */
    uint8_t *bytes;
    size_t size;
    atlas_shard shard;
    atlas_leaf *leaves;
    uint64_t *pages;
    uint8_t *heads;
    atlas_dict **dicts;
    bool bound;
} opened;

/* Opens, binds and opens the dictionaries (those that can be). Whatever the status, opened_close follows. */
int opened_open(opened *o, const uint8_t *bytes, size_t size, atlas_error *error);
/* The same without a copy: bytes stay the caller's. */
int opened_bind(opened *o, uint8_t *bytes, size_t size, atlas_error *error);
void opened_close(opened *o);
void opened_unbind(opened *o); /* of opened_bind */

/* Header, all chunks, rest: section 15. digest, if not NULL, receives the content digest where all chunks are good. */
int opened_verify(opened *o, atlas_reader *reader, uint8_t digest[16], atlas_error *error);
/* Views of every leaf at some rows, every byte of them read; then gather of the fixed leaves. Grows the reader's arena by itself. */
int opened_read(opened *o, atlas_reader *reader, uint64_t seed, size_t count, bool order, atlas_error *error);

/* A reader without these limits, of its own, for a thread. */
void reader_open(atlas_reader *reader, size_t arena);
void reader_close(atlas_reader *reader);
uint64_t view_hash(const atlas_view *view); /* 1: null */
/* The hash of each (leaf, row), read one by one; the caller frees it. */
uint64_t *values_hash(const atlas_shard *shard);

/* A reader with the limits above. */
void reader_make(atlas_reader *reader, int control);
void reader_free(atlas_reader *reader);

/* Computes all hashes again, from the pages up, as far as tables can be made out. refit: also makes the sums of raw sizes, and the
 * copies of header and layout, agree. */
void reseal(uint8_t *bytes, size_t size, bool refit);

/* Writes something interesting into some fields of a shard's tables (changes bytes[1 ..], sets the control byte). */
void mutate_fields(uint8_t *data, size_t size, unsigned seed);

static inline uint64_t mix(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
