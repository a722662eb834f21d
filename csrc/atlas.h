/* atlas.h - the public face of the Atlas core. Longer than other files because it is all of it.
 *
 * Bytes in, views out. The core does no I/O, starts no thread and keeps no
 * global state. It is given a span of memory that holds a whole shard (some of
 * it may be holes that the caller fills before it asks) and reads nothing else.
 *
 * Conventions
 *   1. Functions are atlas_<noun>_<verb>; they return an atlas_status, and on
 *      anything but ATLAS_OK fill *error (status, byte of the file, rule).
 *   2. Handle first, inputs, outputs, error last.
 *   3. Reading allocates nothing: the caller brings every buffer. Functions
 *      named *_open or *_create allocate and have a closing partner.
 *   4. Numbers read from a file are checked before they are used, every time;
 *      "verified" only ever skips hashing.
 *   5. A handle may be used by many threads at once if it is passed as const,
 *      an atlas_shard also where it is not (its words are atomic). An
 *      atlas_reader or atlas_encoder belongs to one thread at a time.
 */
#ifndef ATLAS_H
#define ATLAS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ATLAS_API __attribute__((visibility("default")))
#else
#define ATLAS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    ATLAS_OK = 0,
    ATLAS_ARG = 1,         /* the caller's mistake */
    ATLAS_MEMORY = 2,      /* a buffer is too small (see need) or malloc failed */
    ATLAS_TRUNCATED = 3,   /* the span ends too early */
    ATLAS_CORRUPT = 4,     /* a rule of FORMAT.md is broken */
    ATLAS_UNSUPPORTED = 5, /* a feature this version does not know */
    ATLAS_LIMIT = 6,       /* legal, but larger than a limit */
    ATLAS_CODEC = 7        /* lz4 or zstd refused the bytes */
} atlas_status;

typedef struct {
    int32_t status;
    uint32_t shard;  /* position in the atlas_set, where one was given */
    uint64_t at;     /* byte in the file */
    const char *why; /* the rule, a string constant */
} atlas_error;

/* --- dictionaries ------------------------------------------------------- */

typedef struct atlas_dict atlas_dict;

/* Copies the bytes and digests them for decompression; level != 0 also for compression at that level. */
ATLAS_API int atlas_dict_open(
    const uint8_t *bytes,
    size_t size,
    int level,
    atlas_dict **out,
    atlas_error *error);
ATLAS_API void atlas_dict_close(atlas_dict *dict);
/* Trains a zstd dictionary of at most capacity bytes on count samples that lie one after another;
 * *size is 0 if they have too little in common. */
ATLAS_API int atlas_dict_train(
    const uint8_t *samples,
    const size_t *sizes,
    uint32_t count,
    uint8_t *out,
    size_t capacity,
    size_t *size,
    atlas_error *error);

/* --- a shard ------------------------------------------------------------ */

typedef struct {
    uint64_t first_page; /* of this leaf's group, in atlas_shard.pages */
    uint32_t width;
    uint32_t rows_per_block;
    uint32_t first_block; /* of the group, in the block index */
    uint32_t group_leaves;
    uint16_t id;
    uint16_t rank; /* among the leaves of the group */
    uint8_t kind;
    uint8_t group;
    uint8_t dictionary;
    uint8_t flags;
} atlas_leaf;

typedef struct {
    const uint8_t *base;
    uint64_t bytes;
    uint64_t rows;
    uint64_t nonce;
    uint64_t root;
    uint64_t raw_bytes;
    uint64_t footer_offset;
    uint64_t page_count;    /* words the caller brings for pages */
    const uint8_t *footer;  /* body of FOOT, and what lies in it: */
    const uint8_t *layout;
    const uint8_t *schema;
    const uint8_t *dictionaries;
    const uint8_t *index;
    const uint8_t *stats;
    uint32_t layout_bytes;
    uint32_t schema_bytes;
    uint32_t stats_bytes;
    uint32_t leaf_count;
    uint32_t group_count;
    uint32_t dictionary_count;
    uint32_t block_count;
    uint32_t max_block_raw;
    uint32_t cut;           /* 1: a repairer's view; last blocks may hold more rows than are wanted */
    /* the caller's memory, given to atlas_shard_bind */
    atlas_leaf *leaves;     /* leaf_count */
    uint64_t *pages;        /* page_count words: what is known of each page; 0 nothing yet */
    uint8_t *heads;         /* block_count bytes: what is known of each block's head; 0 nothing yet */
    const atlas_dict *const *dicts; /* dictionary_count; may hold NULL until needed */
    uint8_t *present;       /* an atlas_state per block; NULL: all bytes are there (a mapped file). It may be replaced
                             * while others read (atomically), if the states of before stay as they are, all absent */
} atlas_shard;

/* Reads trailer and footer (nothing before footer_offset) and checks them. */
ATLAS_API int atlas_shard_open(const uint8_t *base, uint64_t bytes, atlas_shard *shard, atlas_error *error);
/* Fills leaves; pages and heads must be zero. */
ATLAS_API int atlas_shard_bind(
    atlas_shard *shard,
    atlas_leaf *leaves,
    uint64_t *pages,
    uint8_t *heads,
    const atlas_dict *const *dicts,
    atlas_error *error);
/* Checks the 64 bytes at offset 0: version, features, hash. */
ATLAS_API int atlas_header_check(const uint8_t *base, uint64_t bytes, atlas_error *error);
/* Bytes of dictionary k (from 1), checked against the table's digest. */
ATLAS_API int atlas_shard_dict(
    const atlas_shard *shard,
    uint32_t k,
    const uint8_t **bytes,
    size_t *size,
    atlas_error *error);
/* Forgets what is known of a block's pages: its bytes are about to be replaced. block: position in the index. */
ATLAS_API void atlas_shard_forget(atlas_shard *shard, uint32_t block);
/* Checks the hashes of a block's head and of all its pages, and notes those that are right, so that
 * they are not hashed again. Returns the first error; the other pages are checked nevertheless. */
ATLAS_API int atlas_block_check(atlas_shard *shard, uint32_t block, atlas_error *error);

/* --- reading ------------------------------------------------------------ */

enum { ATLAS_VERIFY_FIRST = 0, ATLAS_VERIFY_ALWAYS = 1, ATLAS_VERIFY_NEVER = 2 };

typedef struct {
    void *zstd;         /* atlas_reader_open makes it */
    uint8_t *arena;     /* the caller's: where decoded values are put */
    size_t arena_bytes;
    size_t used;        /* bytes of the arena in use; the caller sets it to 0 before a call */
    size_t need;        /* after ATLAS_MEMORY: the arena_bytes that would have been enough */
    uint32_t max_page;  /* the reader's own limit for raw, bytes */
    int32_t verify;
} atlas_reader;

ATLAS_API int atlas_reader_open(atlas_reader *reader, atlas_error *error);
ATLAS_API void atlas_reader_close(atlas_reader *reader);

typedef struct {
    atlas_shard *const *shards;
    const int64_t *starts; /* count + 1 row numbers: shard k holds rows starts[k] .. starts[k + 1] */
    size_t count;
    uint8_t *open;         /* an atlas_state per shard; NULL: a shard that was opened stays open */
} atlas_set;

typedef struct {
    const uint8_t *data; /* NULL: the value is null */
    uint64_t size;
} atlas_view;

/* Looks up count rows of each leaf (positions in the leaf table, the same in every shard of the
 * set). The runs of views, one per leaf, begin stride (>= count) apart. A view points into the span
 * where it can, else into the arena. order, if not NULL, names count places below stride (in rows,
 * and in each run) in the order to go through them: give one that sorts the rows where a leaf is
 * PAGE_CODED, so that each page is decoded once. So several readers can share out one call. On
 * ATLAS_MEMORY nothing is usable; retry with an arena of at least `need` bytes. */
ATLAS_API int atlas_views(
    atlas_reader *reader,
    const atlas_set *set,
    const int64_t *rows,
    size_t count,
    const int64_t *order,
    size_t stride,
    const uint32_t *leaves,
    size_t leaf_count,
    atlas_view *views,
    atlas_error *error);

typedef struct {
    uint32_t leaf;   /* a fixed leaf */
    uint32_t reserved;
    uint8_t *out;    /* count values, stride bytes apart */
    uint64_t stride;
    uint8_t *nulls;  /* count bytes, 1 where null; or NULL */
} atlas_column;

/* Copies count rows of fixed leaves to the caller's columns; a null is zero bytes. */
ATLAS_API int atlas_gather(
    atlas_reader *reader,
    const atlas_set *set,
    const int64_t *rows,
    size_t count,
    const int64_t *order,
    const atlas_column *columns,
    size_t column_count,
    atlas_error *error);

/* --- spans that are filled piece by piece -------------------------------- */

/* A span may have holes: blocks whose bytes are not there yet, or not any more. The core never fills
 * them. The caller asks what is missing, fills it (bytes first, then atlas_block_check, then the
 * state), and reads. What it drops again it must not drop under a reader:
 *
 *   reading   token = atlas_pin; atlas_missing finds nothing (or atlas_state_use finds the block); read;
 *             atlas_unpin
 *   dropping  clear the states (atlas_state_clear); ask atlas_pins_empty until both slots were empty
 *             once, not necessarily together; atlas_shard_forget; give the bytes back
 *
 * A reader that was inside when the states were cleared is counted in its slot until it leaves; one
 * that enters a slot after it was seen empty finds the states cleared. */
typedef enum {
    ATLAS_ABSENT = 0,
    ATLAS_PRESENT = 1, /* not read yet */
    ATLAS_USED = 2,    /* present, and read since it was set to PRESENT or COLD */
    ATLAS_COLD = 3     /* present, and not read since it was set to that */
} atlas_state;

/* The state becomes PRESENT: everything that was written before is seen by whoever sees it. */
ATLAS_API void atlas_state_set(uint8_t *state);
ATLAS_API void atlas_state_clear(uint8_t *state);
/* Whether it is there; it is USED afterwards, if it is. A state that is cleared at the same moment is
 * never set again by this. Call it with a pin. */
ATLAS_API int atlas_state_use(uint8_t *state);
/* Whether it was USED; it is PRESENT afterwards, if it was not ABSENT. */
ATLAS_API int atlas_state_take_used(uint8_t *state);
/* What was USED becomes COLD: who evicts in rounds finds in the next one what nobody has read since. */
ATLAS_API void atlas_state_age(uint8_t *state);

typedef struct {
    uint32_t shard;
    uint32_t block; /* position in the index; ATLAS_NO_BLOCK: the shard is not open */
} atlas_need;
#define ATLAS_NO_BLOCK UINT32_MAX

/* Names the blocks that hold these rows of these leaves: those that are missing, or, if all is not 0,
 * every one. Reads the index and the states only, and marks what is there as used. *found: how many
 * there are; the first `capacity` are written. A block may be named more than once. With capacity 0
 * it stops at the first. */
ATLAS_API int atlas_missing(
    const atlas_set *set,
    const int64_t *rows,
    size_t count,
    const uint32_t *leaves,
    size_t leaf_count,
    int all,
    atlas_need *out,
    size_t capacity,
    size_t *found,
    atlas_error *error);

typedef struct {
    uint64_t inside[2]; /* readers, by slot */
    uint32_t turn;      /* its last bit is the slot that readers enter, so that the other one empties */
    uint32_t life;      /* counts the resets: a token of an earlier life is void */
} atlas_pins;

ATLAS_API uint64_t atlas_pin(atlas_pins *pins);
ATLAS_API void atlas_unpin(atlas_pins *pins, uint64_t token);
/* Which slots are empty at this moment: bit 0 and bit 1. Does not wait; where readers keep one slot
 * busy, the next ones enter the other. */
ATLAS_API uint32_t atlas_pins_empty(atlas_pins *pins);
#define ATLAS_PINS_BOTH 3u
/* In a forked child: nobody is inside any more. */
ATLAS_API void atlas_pins_reset(atlas_pins *pins);

/* --- verifying and repairing -------------------------------------------- */

typedef struct atlas_digest atlas_digest;

ATLAS_API int atlas_digest_open(uint32_t leaf_count, atlas_digest **out, atlas_error *error);
ATLAS_API void atlas_digest_close(atlas_digest *digest);
ATLAS_API void atlas_digest_lengths(atlas_digest *digest, uint32_t leaf, const void *bytes, size_t size);
ATLAS_API void atlas_digest_values(atlas_digest *digest, uint32_t leaf, const void *bytes, size_t size);
ATLAS_API void atlas_digest_finish(const atlas_digest *digest, uint8_t out[16]);

typedef struct {
    uint8_t kind[4];
    uint32_t head_bytes;
    uint64_t body_bytes;
    uint64_t next; /* offset of the next chunk */
    uint64_t hash;
} atlas_chunk;

/* Checks the chunk at offset: bounds (limit: where chunks end), hash, reserved bytes, padding. */
ATLAS_API int atlas_chunk_check(
    const uint8_t *base,
    uint64_t limit,
    uint64_t offset,
    uint64_t nonce,
    atlas_chunk *chunk,
    atlas_error *error);
/* Verifies the chunk at offset as section 15 of FORMAT.md asks, and its values into the digest,
 * whatever reader->verify says. blocks counts DATA chunks. After ATLAS_MEMORY nothing is counted or
 * digested: retry with an arena of at least `need` bytes. */
ATLAS_API int atlas_verify_chunk(
    atlas_reader *reader,
    atlas_shard *shard,
    uint64_t offset,
    atlas_digest *digest,
    uint32_t *blocks,
    uint32_t *dicts,
    uint64_t *next,
    atlas_error *error);
/* What is not in a chunk: header, its copy, SCHM against the footer, padding at the end, and the digest. */
ATLAS_API int atlas_verify_rest(
    const atlas_shard *shard,
    const atlas_digest *digest,
    uint32_t blocks,
    uint32_t dicts,
    atlas_error *error);

/* --- writing ------------------------------------------------------------ */

typedef struct atlas_encoder atlas_encoder;

ATLAS_API int atlas_encoder_open(atlas_encoder **out, atlas_error *error);
ATLAS_API void atlas_encoder_close(atlas_encoder *encoder);

/* Which literals (bytes that repeat nothing) zstd codes by Huffman's: as its level has it, all, or none. Those left as they
 * are read in half the time. */
enum { ATLAS_LITERALS_AUTO = 0, ATLAS_LITERALS_CODED = 1, ATLAS_LITERALS_PLAIN = 2 };

typedef struct {
    const uint8_t *values;   /* fixed: rows * width bytes; variable: the bytes that offsets speak of */
    const uint32_t *offsets; /* variable: rows + 1, the first may be other than 0 */
    const uint8_t *valid;    /* rows bytes, 0 where null; NULL if none is. A null's bytes are zero, its length is 0 */
    const atlas_dict *dict;  /* opened with this level, or NULL */
    uint32_t width;
    uint16_t leaf;           /* id */
    uint8_t kind;
    uint8_t dictionary;      /* number of dict */
    uint8_t element;         /* 2, 4 or 8: whole numbers of that many bytes (NARROW may pay); 0: not */
    uint8_t is_signed;
    uint8_t codec;
    uint16_t cell_rows;      /* values that are compressed together: 1 value by value, 0 none */
    uint8_t whole;           /* compress the page as a whole */
    uint8_t light;           /* CONST, NARROW and ENUM may be used */
    uint8_t literals;        /* of zstd: ATLAS_LITERALS_AUTO, _CODED or _PLAIN */
    int8_t level;            /* of zstd, below 0 for few matches; of lz4: 0, or that of its slow encoder */
    /* out */
    uint8_t out_layout;
    uint8_t out_codec;
    uint8_t out_flags;
    uint16_t out_cell_rows;
    uint32_t out_stored;
    uint32_t out_raw;
} atlas_page_in;

/* An upper bound of the chunk's bytes, or 0 if the block is over a limit. */
ATLAS_API uint64_t atlas_block_bound(const atlas_page_in *pages, uint32_t page_count, uint32_t rows);
/* Writes a DATA chunk without its hash: seal it once its offset is known. *size: 32 + body; *raw:
 * sum of the pages' raw. */
ATLAS_API int atlas_block_write(
    atlas_encoder *encoder,
    atlas_page_in *pages,
    uint32_t page_count,
    uint64_t first_row,
    uint32_t rows,
    uint16_t group,
    uint8_t *out,
    uint64_t capacity,
    uint64_t *size,
    uint32_t *raw,
    atlas_error *error);
/* Fills a chunk header (body already in place, after 32 bytes) and its hash; returns the hash. */
ATLAS_API uint64_t atlas_chunk_seal(
    uint8_t *chunk,
    const char kind[4],
    uint64_t body_bytes,
    uint32_t head_bytes,
    uint64_t nonce,
    uint64_t offset);
ATLAS_API void atlas_header_write(uint8_t out[64], uint64_t nonce);
ATLAS_API void atlas_trailer_write(
    uint8_t out[64],
    uint64_t footer_offset,
    uint64_t footer_bytes,
    uint64_t row_count,
    uint64_t nonce,
    uint64_t footer_hash);
ATLAS_API void atlas_leaf_write(uint8_t out[16], const atlas_leaf *leaf);
/* The 128 fixed bytes of a footer; the tables follow. */
ATLAS_API void atlas_footer_write(
    uint8_t out[128],
    const uint8_t header[64],
    const atlas_shard *facts,
    const uint8_t digest[16]);
ATLAS_API void atlas_index_write(
    uint8_t out[24],
    uint64_t offset,
    uint32_t bytes,
    uint32_t raw_bytes,
    uint64_t hash);

/* --- hashes ------------------------------------------------------------- */

ATLAS_API uint64_t atlas_hash64(const void *bytes, size_t size, uint64_t seed);
ATLAS_API void atlas_hash128(const void *bytes, size_t size, uint8_t out[16]);

/* --- orders ------------------------------------------------------------- */

/* Every key begins with the number of what it is for; docs/order.md lists the words that follow. */
enum { ATLAS_ROLE_CHUNKS = 1, ATLAS_ROLE_WINDOW = 2, ATLAS_ROLE_MIX = 3, ATLAS_ROLE_ROWS = 4 };
enum { ATLAS_ROUNDS = 8, ATLAS_TABLE_MAX = 65536 };

/* Hashes words to a key. */
ATLAS_API uint64_t atlas_key(const uint64_t *words, size_t count);

/* A permutation of [0, n), n < 2^63: a shuffled table where n <= ATLAS_TABLE_MAX, else a Feistel
 * network on a x b cells. */
typedef struct {
    uint64_t n;
    uint64_t a; /* a * b >= n */
    uint64_t b;
    uint64_t keys[ATLAS_ROUNDS];
    const uint16_t *table; /* the caller's n entries; NULL above ATLAS_TABLE_MAX */
} atlas_permutation;

/* words: of the key. table may be NULL if n > ATLAS_TABLE_MAX. */
ATLAS_API void atlas_permutation_init(
    atlas_permutation *p,
    uint64_t n,
    const uint64_t *words,
    size_t count,
    uint16_t *table);
/* Where x goes; x < n. */
ATLAS_API uint64_t atlas_permutation_at(const atlas_permutation *p, uint64_t x);
/* What goes to y; y < n. */
ATLAS_API uint64_t atlas_permutation_find(const atlas_permutation *p, uint64_t y);
/* Where start, start + 1, ... go; start + count <= n. */
ATLAS_API void atlas_permutation_take(const atlas_permutation *p, uint64_t start, size_t count, int64_t *out);

/* A window of a lane: some chunks whose rows are permuted together. */
typedef struct {
    int64_t start; /* offsets in the lane: start .. stop; both 0 while nothing is open */
    int64_t stop;
    int64_t chunks;
    int64_t *begins; /* rows of the window before each chunk */
    int64_t *shifts; /* what to add to a row of the window to get the dataset's row, for each chunk */
    atlas_permutation rows;
} atlas_window;

/* From this position and this offset in the lanes on, the first so many of by_length are left. */
typedef struct {
    int64_t position;
    int64_t offset;
    int64_t lanes;
} atlas_turn;

typedef struct {
    /* the caller sets these */
    atlas_permutation chunks; /* of chunk_count */
    const int64_t *starts;    /* chunk_count + 1 row numbers; NULL: chunks of rows_per_chunk, the last may be short */
    int64_t rows;             /* < 2^62 */
    int64_t rows_per_chunk;   /* <= rows */
    int64_t chunk_count;      /* >= 1 */
    int64_t lanes;            /* 1 .. chunk_count, <= 2^20 */
    int64_t window;           /* chunks, 1 .. 2^31 - 1 */
    uint64_t stream;
    uint64_t seed;
    uint64_t epoch;
    int64_t stride;           /* atlas_windows_stride */
    /* atlas_windows_measure sets these */
    const int64_t *window_starts;
    int64_t last_at;          /* where the last chunk is dealt */
    /* the caller sets these after it, from lane_rows */
    int64_t even;             /* positions while all lanes are left */
    int64_t turn_count;
    const atlas_turn *turns;
    const int64_t *by_length; /* lanes, the longest first */
    /* the caller's memory: two slots for each lane */
    int64_t most_chunks;      /* of a window, an upper bound */
    int64_t table_rows;       /* the lesser of atlas_windows_most_rows and ATLAS_TABLE_MAX */
    atlas_window *open;       /* 2 * lanes, zero */
    int64_t *begins;          /* 2 * lanes * most_chunks each */
    int64_t *shifts;
    uint16_t *tables;         /* 2 * lanes * table_rows */
} atlas_windows;

/* One more than the windows of the lane that has most. */
ATLAS_API int64_t atlas_windows_stride(const atlas_windows *o);
/* lane_rows: lanes numbers. window_starts: lanes * stride numbers, or NULL where starts is. */
ATLAS_API void atlas_windows_measure(atlas_windows *o, int64_t *window_starts, int64_t *lane_rows);
/* Rows of the largest window, or an upper bound; most_chunks is set. */
ATLAS_API int64_t atlas_windows_most_rows(const atlas_windows *o);
/* The rows at positions start, start + step, ... below rows. One thread at a time: it opens windows. */
ATLAS_API void atlas_windows_take(
    atlas_windows *o,
    int64_t start,
    size_t count,
    int64_t step,
    int64_t *out);

typedef struct {
    const int64_t *ends; /* running sums of the weights; the last is 1 .. ATLAS_TABLE_MAX */
    size_t count;
    uint64_t seed;
    uint64_t origin;     /* position of the whole mix at which these weights begin */
    /* the caller's memory, and what is known of the block last used */
    uint16_t *table;     /* as many entries as the sum of weights */
    int64_t *counts;     /* count */
    atlas_permutation slots;
    uint64_t block;
    uint64_t place;
    int is_open;         /* 0 at first */
} atlas_mix;

/* Dataset, and position in it, at places start, start + 1, ... of the mix. */
ATLAS_API void atlas_mix_take(
    atlas_mix *m,
    uint64_t start,
    size_t count,
    int64_t *datasets,
    int64_t *positions);

#ifdef __cplusplus
}
#endif
#endif
