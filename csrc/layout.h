/* layout.h - the bytes of a shard: named offsets, sizes and limits.
 *
 * This file says what FORMAT.md says, and a test compares the two. It holds no
 * code. Fields are read by offset (load_u32(p + ATLAS_PAGE_RAW)), never by
 * casting a struct, so alignment and endianness never matter.
 */
#ifndef ATLAS_LAYOUT_H
#define ATLAS_LAYOUT_H

#define ATLAS_MAGIC "\x89" "ATL" "\r\n\x1a\n"
#define ATLAS_END_MAGIC "ATLEND\r\n"

enum { /* header, at offset 0 of the file */
    ATLAS_HEADER_MAGIC = 0,
    ATLAS_HEADER_MAJOR = 8,
    ATLAS_HEADER_MINOR = 10,
    ATLAS_HEADER_HEADER_BYTES = 12,
    ATLAS_HEADER_INCOMPAT = 16,
    ATLAS_HEADER_COMPAT = 24,
    ATLAS_HEADER_NONCE = 32,
    ATLAS_HEADER_RESERVED = 40,
    ATLAS_HEADER_HASH = 56,
    ATLAS_HEADER_SIZE = 64
};

enum { ATLAS_VERSION_MAJOR = 2, ATLAS_VERSION_MINOR = 0 };

enum { /* chunk header */
    ATLAS_CHUNK_HASH = 0,
    ATLAS_CHUNK_KIND = 8,
    ATLAS_CHUNK_FLAGS = 12,
    ATLAS_CHUNK_BODY_BYTES = 16,
    ATLAS_CHUNK_HEAD_BYTES = 24,
    ATLAS_CHUNK_RESERVED = 28,
    ATLAS_CHUNK_BODY = 32,
    ATLAS_CHUNK_ALIGN = 64
};

#define ATLAS_KIND_LAYOUT "SCHM"
#define ATLAS_KIND_DICTIONARY "DICT"
#define ATLAS_KIND_DATA "DATA"
#define ATLAS_KIND_FOOTER "FOOT"

enum { /* body of SCHM */
    ATLAS_LAYOUT_LEAF_COUNT = 0,
    ATLAS_LAYOUT_GROUP_COUNT = 4,
    ATLAS_LAYOUT_SCHEMA_BYTES = 8,
    ATLAS_LAYOUT_RESERVED = 12,
    ATLAS_LAYOUT_TABLES = 16
};

enum { /* leaf table entry */
    ATLAS_LEAF_ID = 0,
    ATLAS_LEAF_KIND = 2,
    ATLAS_LEAF_GROUP = 3,
    ATLAS_LEAF_DICTIONARY = 4,
    ATLAS_LEAF_FLAGS = 5,
    ATLAS_LEAF_RESERVED = 6,
    ATLAS_LEAF_WIDTH = 8,
    ATLAS_LEAF_RESERVED2 = 12,
    ATLAS_LEAF_SIZE = 16
};

enum { ATLAS_KIND_FIXED = 1, ATLAS_KIND_VARIABLE = 2 };
enum { ATLAS_LEAF_NULLABLE = 1, ATLAS_LEAF_PAGE_CODED = 2 };

enum { /* group table entry */
    ATLAS_GROUP_ROWS_PER_BLOCK = 0,
    ATLAS_GROUP_RESERVED = 4,
    ATLAS_GROUP_SIZE = 8
};

enum { /* DATA chunk, from the start of the chunk */
    ATLAS_BLOCK_FIRST_ROW = 32,
    ATLAS_BLOCK_ROWS = 40,
    ATLAS_BLOCK_GROUP = 44,
    ATLAS_BLOCK_PAGES = 46,
    ATLAS_BLOCK_TABLE = 48,
    ATLAS_BLOCK_HEAD = 16
};

enum { /* page table entry */
    ATLAS_PAGE_LEAF = 0,
    ATLAS_PAGE_LAYOUT = 2,
    ATLAS_PAGE_CODEC = 3,
    ATLAS_PAGE_FLAGS = 4,
    ATLAS_PAGE_DICTIONARY = 5,
    ATLAS_PAGE_CELL_ROWS = 6,
    ATLAS_PAGE_OFFSET = 8,
    ATLAS_PAGE_STORED = 12,
    ATLAS_PAGE_RAW = 16,
    ATLAS_PAGE_NULLS = 20,
    ATLAS_PAGE_HASH = 24,
    ATLAS_PAGE_SIZE = 32
};

enum { ATLAS_FIXED = 1, ATLAS_VAR = 2, ATLAS_CONST = 3, ATLAS_NARROW = 4, ATLAS_ENUM = 5 };
enum { ATLAS_CODEC_NONE = 0, ATLAS_CODEC_LZ4 = 1, ATLAS_CODEC_ZSTD = 2 };
enum { ATLAS_PAGE_VALIDITY = 1, ATLAS_PAGE_CELLS = 2, ATLAS_PAGE_SHORT = 4 };

enum { ATLAS_NARROW_HEAD = 16, ATLAS_ENUM_HEAD = 8 };

enum { /* body of FOOT */
    ATLAS_FOOT_HEADER = 0,
    ATLAS_FOOT_ROW_COUNT = 64,
    ATLAS_FOOT_RAW_BYTES = 72,
    ATLAS_FOOT_DIGEST = 80,
    ATLAS_FOOT_LAYOUT_BYTES = 96,
    ATLAS_FOOT_DICTIONARY_COUNT = 100,
    ATLAS_FOOT_BLOCK_COUNT = 104,
    ATLAS_FOOT_STATS_BYTES = 108,
    ATLAS_FOOT_RESERVED = 112,
    ATLAS_FOOT_LAYOUT = 128
};

enum { /* dictionary table entry */
    ATLAS_DICTIONARY_OFFSET = 0,
    ATLAS_DICTIONARY_BYTES = 8,
    ATLAS_DICTIONARY_RESERVED = 12,
    ATLAS_DICTIONARY_DIGEST = 16,
    ATLAS_DICTIONARY_SIZE = 32
};

enum { /* block index entry */
    ATLAS_INDEX_OFFSET = 0,
    ATLAS_INDEX_BYTES = 8,
    ATLAS_INDEX_RAW_BYTES = 12,
    ATLAS_INDEX_HASH = 16,
    ATLAS_INDEX_SIZE = 24
};

enum { /* trailer, the last 64 bytes of the file */
    ATLAS_TRAILER_FOOTER_OFFSET = 0,
    ATLAS_TRAILER_FOOTER_BYTES = 8,
    ATLAS_TRAILER_FILE_BYTES = 16,
    ATLAS_TRAILER_ROW_COUNT = 24,
    ATLAS_TRAILER_NONCE = 32,
    ATLAS_TRAILER_FOOTER_HASH = 40,
    ATLAS_TRAILER_HASH = 48,
    ATLAS_TRAILER_MAGIC = 56,
    ATLAS_TRAILER_SIZE = 64
};

/* Limits. A reader checks them before it allocates anything. */
#define ATLAS_MAX_FILE 0x7fffffffffffffffu /* file offsets are signed in every system */
#define ATLAS_MAX_ROWS 1048576u            /* rows of a block: keeps offsets and codes small */
#define ATLAS_MAX_PAGE 1073741824u         /* bytes of a page, value, block: u32 sums cannot overflow */
#define ATLAS_MAX_LEAVES 4096u
#define ATLAS_MAX_GROUPS 64u               /* a u64 can name a set of them */
#define ATLAS_MAX_DICTIONARIES 255u        /* a u8 names one */
#define ATLAS_MAX_DICTIONARY 1048576u      /* bytes; larger ones do not pay */
#define ATLAS_MIN_DICTIONARY 8u            /* bytes of the shortest that zstd takes */
#define ATLAS_MAX_SCHEMA 4194304u          /* bytes of schema JSON */
#define ATLAS_MAX_FOOTER 1073741824u       /* bytes of the footer */

#endif
