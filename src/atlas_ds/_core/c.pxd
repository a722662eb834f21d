# c.pxd - csrc/atlas.h and csrc/layout.h for Cython: the one place that declares C.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "layout.h" nogil:
    enum:
        ATLAS_INDEX_SIZE
        ATLAS_INDEX_OFFSET
        ATLAS_INDEX_BYTES
        ATLAS_DICTIONARY_SIZE
        ATLAS_DICTIONARY_OFFSET
        ATLAS_DICTIONARY_BYTES
        ATLAS_DICTIONARY_DIGEST
        ATLAS_FOOT_DIGEST
        ATLAS_LEAF_PAGE_CODED
        ATLAS_LEAF_NULLABLE
        ATLAS_KIND_FIXED
        ATLAS_KIND_VARIABLE
        ATLAS_HEADER_NONCE
        ATLAS_HEADER_SIZE
        ATLAS_CHUNK_BODY
        ATLAS_LAYOUT_LEAF_COUNT
        ATLAS_LAYOUT_GROUP_COUNT
        ATLAS_LAYOUT_TABLES
        ATLAS_LEAF_SIZE
        ATLAS_GROUP_ROWS_PER_BLOCK
        ATLAS_GROUP_SIZE
        ATLAS_BLOCK_FIRST_ROW
        ATLAS_BLOCK_ROWS
        ATLAS_BLOCK_GROUP
        ATLAS_BLOCK_PAGES
        ATLAS_BLOCK_TABLE
        ATLAS_PAGE_OFFSET
        ATLAS_PAGE_STORED
        ATLAS_PAGE_RAW
        ATLAS_PAGE_HASH
        ATLAS_PAGE_SIZE
        ATLAS_CHUNK_ALIGN
        ATLAS_TRAILER_SIZE
        ATLAS_FOOT_LAYOUT
        ATLAS_BLOCK_HEAD
        ATLAS_FIXED
        ATLAS_VAR
        ATLAS_CONST
        ATLAS_NARROW
        ATLAS_ENUM
        ATLAS_CODEC_NONE
        ATLAS_CODEC_LZ4
        ATLAS_CODEC_ZSTD
        ATLAS_PAGE_VALIDITY
        ATLAS_PAGE_CELLS
        ATLAS_PAGE_SHORT
        ATLAS_MAX_ROWS
        ATLAS_MAX_PAGE
        ATLAS_MAX_LEAVES
        ATLAS_MAX_GROUPS
        ATLAS_MAX_DICTIONARIES
        ATLAS_MAX_FOOTER

cdef extern from "atlas.h" nogil:
    enum:
        ATLAS_LITERALS_AUTO
        ATLAS_LITERALS_CODED
        ATLAS_LITERALS_PLAIN
        ATLAS_OK
        ATLAS_ARG
        ATLAS_MEMORY
        ATLAS_TRUNCATED
        ATLAS_CORRUPT
        ATLAS_UNSUPPORTED
        ATLAS_LIMIT
        ATLAS_CODEC
        ATLAS_VERIFY_FIRST
        ATLAS_VERIFY_ALWAYS
        ATLAS_VERIFY_NEVER

    ctypedef struct atlas_error:
        int32_t status
        uint32_t shard
        uint64_t at
        const char *why

    ctypedef struct atlas_dict:
        pass
    int atlas_dict_open(
        const uint8_t *bytes,
        size_t size,
        int level,
        atlas_dict **out,
        atlas_error *error)
    void atlas_dict_close(atlas_dict *dict)
    int atlas_dict_train(
        const uint8_t *samples,
        const size_t *sizes,
        uint32_t count,
        uint8_t *out,
        size_t capacity,
        size_t *size,
        atlas_error *error)

    ctypedef struct atlas_leaf:
        uint64_t first_page
        uint32_t width
        uint32_t rows_per_block
        uint32_t first_block
        uint32_t group_leaves
        uint16_t id
        uint16_t rank
        uint8_t kind
        uint8_t group
        uint8_t dictionary
        uint8_t flags

    ctypedef struct atlas_shard:
        const uint8_t *base
        uint64_t bytes
        uint64_t rows
        uint64_t nonce
        uint64_t root
        uint64_t raw_bytes
        uint64_t footer_offset
        uint64_t page_count
        const uint8_t *footer
        const uint8_t *layout
        const uint8_t *schema
        const uint8_t *dictionaries
        const uint8_t *index
        const uint8_t *stats
        uint32_t layout_bytes
        uint32_t schema_bytes
        uint32_t stats_bytes
        uint32_t leaf_count
        uint32_t group_count
        uint32_t dictionary_count
        uint32_t block_count
        uint32_t max_block_raw
        uint32_t cut
        atlas_leaf *leaves
        uint64_t *pages
        uint8_t *heads
        const atlas_dict **dicts
        uint8_t *present

    int atlas_shard_open(const uint8_t *base, uint64_t bytes, atlas_shard *shard, atlas_error *error)
    int atlas_shard_bind(
        atlas_shard *shard,
        atlas_leaf *leaves,
        uint64_t *pages,
        uint8_t *heads,
        const atlas_dict **dicts,
        atlas_error *error)
    int atlas_header_check(const uint8_t *base, uint64_t bytes, atlas_error *error)
    int atlas_shard_dict(
        const atlas_shard *shard,
        uint32_t k,
        const uint8_t **bytes,
        size_t *size,
        atlas_error *error)
    void atlas_shard_forget(atlas_shard *shard, uint32_t block)
    int atlas_block_check(atlas_shard *shard, uint32_t block, atlas_error *error)

    ctypedef struct atlas_reader:
        void *zstd
        uint8_t *arena
        size_t arena_bytes
        size_t used
        size_t need
        uint32_t max_page
        int32_t verify
    int atlas_reader_open(atlas_reader *reader, atlas_error *error)
    void atlas_reader_close(atlas_reader *reader)

    ctypedef struct atlas_set:
        atlas_shard **shards
        const int64_t *starts
        size_t count
        uint8_t *open
    ctypedef struct atlas_view:
        const uint8_t *data
        uint64_t size
    ctypedef struct atlas_column:
        uint32_t leaf
        uint32_t reserved
        uint8_t *out
        uint64_t stride
        uint8_t *nulls
    int atlas_views(
        atlas_reader *reader,
        const atlas_set *set,
        const int64_t *rows,
        size_t count,
        const int64_t *order,
        size_t stride,
        const uint32_t *leaves,
        size_t leaf_count,
        atlas_view *views,
        atlas_error *error)
    int atlas_gather(
        atlas_reader *reader,
        const atlas_set *set,
        const int64_t *rows,
        size_t count,
        const int64_t *order,
        const atlas_column *columns,
        size_t column_count,
        atlas_error *error)

    enum:
        ATLAS_ABSENT
        ATLAS_NO_BLOCK
    void atlas_state_set(uint8_t *state)
    void atlas_state_clear(uint8_t *state)
    int atlas_state_use(uint8_t *state)
    int atlas_state_take_used(uint8_t *state)
    void atlas_state_age(uint8_t *state)
    ctypedef struct atlas_need:
        uint32_t shard
        uint32_t block
    int atlas_missing(
        const atlas_set *set,
        const int64_t *rows,
        size_t count,
        const uint32_t *leaves,
        size_t leaf_count,
        int all,
        atlas_need *out,
        size_t capacity,
        size_t *found,
        atlas_error *error)
    uint32_t ATLAS_PINS_BOTH
    ctypedef struct atlas_pins:
        uint64_t inside[2]
        uint32_t turn
        uint32_t life
    uint64_t atlas_pin(atlas_pins *pins)
    void atlas_unpin(atlas_pins *pins, uint64_t token)
    uint32_t atlas_pins_empty(atlas_pins *pins)
    void atlas_pins_reset(atlas_pins *pins)

    ctypedef struct atlas_digest:
        pass
    int atlas_digest_open(uint32_t leaf_count, atlas_digest **out, atlas_error *error)
    void atlas_digest_close(atlas_digest *digest)
    void atlas_digest_lengths(atlas_digest *digest, uint32_t leaf, const void *bytes, size_t size)
    void atlas_digest_values(atlas_digest *digest, uint32_t leaf, const void *bytes, size_t size)
    void atlas_digest_finish(const atlas_digest *digest, uint8_t *out)

    ctypedef struct atlas_chunk:
        uint8_t kind[4]
        uint32_t head_bytes
        uint64_t body_bytes
        uint64_t next
        uint64_t hash
    int atlas_chunk_check(
        const uint8_t *base,
        uint64_t limit,
        uint64_t offset,
        uint64_t nonce,
        atlas_chunk *chunk,
        atlas_error *error)
    int atlas_verify_chunk(
        atlas_reader *reader,
        atlas_shard *shard,
        uint64_t offset,
        atlas_digest *digest,
        uint32_t *blocks,
        uint32_t *dicts,
        uint64_t *next,
        atlas_error *error)
    int atlas_verify_rest(
        const atlas_shard *shard,
        const atlas_digest *digest,
        uint32_t blocks,
        uint32_t dicts,
        atlas_error *error)

    ctypedef struct atlas_encoder:
        pass
    int atlas_encoder_open(atlas_encoder **out, atlas_error *error)
    void atlas_encoder_close(atlas_encoder *encoder)
    ctypedef struct atlas_page_in:
        const uint8_t *values
        const uint32_t *offsets
        const uint8_t *valid
        const atlas_dict *dict
        uint32_t width
        uint16_t leaf
        uint8_t kind
        uint8_t dictionary
        uint8_t element
        uint8_t is_signed
        uint8_t codec
        uint16_t cell_rows
        uint8_t whole
        uint8_t light
        uint8_t literals
        int8_t level
        uint8_t out_layout
        uint8_t out_codec
        uint8_t out_flags
        uint16_t out_cell_rows
        uint32_t out_stored
        uint32_t out_raw
    uint64_t atlas_block_bound(const atlas_page_in *pages, uint32_t page_count, uint32_t rows)
    int atlas_block_write(
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
        atlas_error *error)
    uint64_t atlas_chunk_seal(
        uint8_t *chunk,
        const char *kind,
        uint64_t body_bytes,
        uint32_t head_bytes,
        uint64_t nonce,
        uint64_t offset)
    void atlas_header_write(uint8_t *out, uint64_t nonce)
    void atlas_trailer_write(
        uint8_t *out,
        uint64_t footer_offset,
        uint64_t footer_bytes,
        uint64_t row_count,
        uint64_t nonce,
        uint64_t footer_hash)
    void atlas_leaf_write(uint8_t *out, const atlas_leaf *leaf)
    void atlas_footer_write(uint8_t *out, const uint8_t *header, const atlas_shard *facts, const uint8_t *digest)
    void atlas_index_write(
        uint8_t *out,
        uint64_t offset,
        uint32_t bytes,
        uint32_t raw_bytes,
        uint64_t hash)
    uint64_t atlas_hash64(const void *bytes, size_t size, uint64_t seed)
    void atlas_hash128(const void *bytes, size_t size, uint8_t *out)

    enum:
        ATLAS_TABLE_MAX
    ctypedef struct atlas_permutation:
        uint64_t n
    uint64_t atlas_key(const uint64_t *words, size_t count)
    void atlas_permutation_init(
        atlas_permutation *p,
        uint64_t n,
        const uint64_t *words,
        size_t count,
        uint16_t *table)
    uint64_t atlas_permutation_find(const atlas_permutation *p, uint64_t y)
    void atlas_permutation_take(const atlas_permutation *p, uint64_t start, size_t count, int64_t *out)

    ctypedef struct atlas_window:
        int64_t start
    ctypedef struct atlas_turn:
        int64_t position
        int64_t offset
        int64_t lanes
    ctypedef struct atlas_windows:
        atlas_permutation chunks
        const int64_t *starts
        int64_t rows
        int64_t rows_per_chunk
        int64_t chunk_count
        int64_t lanes
        int64_t window
        uint64_t stream
        uint64_t seed
        uint64_t epoch
        int64_t stride
        int64_t even
        int64_t turn_count
        const atlas_turn *turns
        const int64_t *by_length
        int64_t most_chunks
        int64_t table_rows
        atlas_window *open
        int64_t *begins
        int64_t *shifts
        uint16_t *tables
    int64_t atlas_windows_stride(const atlas_windows *o)
    void atlas_windows_measure(atlas_windows *o, int64_t *window_starts, int64_t *lane_rows)
    int64_t atlas_windows_most_rows(const atlas_windows *o)
    void atlas_windows_take(
        atlas_windows *o,
        int64_t start,
        size_t count,
        int64_t step,
        int64_t *out)

    ctypedef struct atlas_mix:
        const int64_t *ends
        size_t count
        uint64_t seed
        uint64_t origin
        uint16_t *table
        int64_t *counts
    void atlas_mix_take(
        atlas_mix *m,
        uint64_t start,
        size_t count,
        int64_t *datasets,
        int64_t *positions)

cdef extern from "read.h" nogil:
    size_t set_find(const atlas_set *set, int64_t row)
