/* malloc_fail.c - every allocation of every *_open, and of atlas_block_write, fails once: no crash, nothing left over, a status.
 *
 * Allocation N of a call fails for N = 1, 2, ... until the call needs fewer. Built in two ways: plain, where malloc itself is
 * replaced, so that the allocations inside zstd fail too and all are counted; and with -DWRAP, -Wl,--wrap and ASan, where only the
 * core's own fail and ASan looks for leaks. Prints how many failures were made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atlas.h"

static long live, until; /* blocks not yet freed; allocations until one fails, 0 never */
static unsigned long failed;

static int fails(void) {
    if (until == 0 || --until != 0) return 0;
    failed++;
    errno = ENOMEM;
    return 1;
}

#ifdef WRAP
#define LEVEL 3
#define NAME(f) __wrap_##f
#define REAL(f) __real_##f
#else
#define LEVEL 0 /* before zstd 1.5.6, ZSTD_createCDict itself crashes where malloc fails (github.com/facebook/zstd/pull/3847) */
#define NAME(f) f
#define REAL(f) __libc_##f
#endif

void *REAL(malloc)(size_t);
void *REAL(calloc)(size_t, size_t);
void *REAL(realloc)(void *, size_t);
void REAL(free)(void *);
void *NAME(malloc)(size_t);
void *NAME(calloc)(size_t, size_t);
void *NAME(realloc)(void *, size_t);
void *NAME(aligned_alloc)(size_t, size_t);
void NAME(free)(void *);
#ifdef WRAP
void *REAL(aligned_alloc)(size_t, size_t);
#else
void *__libc_memalign(size_t, size_t);
#define __libc_aligned_alloc __libc_memalign
#endif

static void *counted(void *p) {
    live += p != NULL;
    return p;
}

void *NAME(malloc)(size_t n) { return fails() ? NULL : counted(REAL(malloc)(n)); }
void *NAME(calloc)(size_t n, size_t size) { return fails() ? NULL : counted(REAL(calloc)(n, size)); }
void *NAME(aligned_alloc)(size_t k, size_t n) { return fails() ? NULL : counted(REAL(aligned_alloc)(k, n)); }
void *NAME(realloc)(void *p, size_t n) {
    if (fails()) return NULL;
    void *q = REAL(realloc)(p, n);
    live += p == NULL && q != NULL;
    return q;
}
void NAME(free)(void *p) {
    live -= p != NULL;
    REAL(free)(p);
}

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            until = 0;                                                      \
            fprintf(stderr, "line %d: MUST(%s)\n", __LINE__, #condition);   \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static uint8_t dictionary[4096], values[8000];
static uint32_t offsets[401];

static int try_dict(void) {
    atlas_error error = {0};
    atlas_dict *dict = NULL;
    const int status = atlas_dict_open(dictionary, sizeof dictionary, LEVEL, &dict, &error);
    MUST((status == ATLAS_OK) == (dict != NULL));
    atlas_dict_close(dict);
    return status;
}

static int try_reader(void) {
    atlas_error error = {0};
    atlas_reader reader;
    const int status = atlas_reader_open(&reader, &error);
    atlas_reader_close(&reader); /* harmless after a failure too */
    return status;
}

static int try_encoder(void) {
    atlas_error error = {0};
    atlas_encoder *encoder = NULL;
    const int status = atlas_encoder_open(&encoder, &error);
    MUST((status == ATLAS_OK) == (encoder != NULL));
    atlas_encoder_close(encoder);
    return status;
}

static int try_digest(void) {
    atlas_error error = {0};
    atlas_digest *digest = NULL;
    const int status = atlas_digest_open(100, &digest, &error);
    MUST((status == ATLAS_OK) == (digest != NULL));
    atlas_digest_close(digest);
    return status;
}

static int try_block(void) {
    static uint8_t out[100000];
    atlas_error error = {0};
    atlas_encoder *encoder = NULL;
    uint64_t size = 0;
    uint32_t raw = 0;
    int status = atlas_encoder_open(&encoder, &error);
    if (status != ATLAS_OK) return status;
    for (uint8_t how = 0; how < 8 && status == ATLAS_OK; how++) {
        atlas_page_in pages[2] = {
            {.values = values, .width = 4, .leaf = 1, .kind = 1, .element = 4, .codec = (uint8_t)(1 + how % 2), .whole = 1, .light = how > 3, .level = 1},
            {.values = values, .offsets = offsets, .leaf = 2, .kind = 2, .codec = (uint8_t)(1 + how % 2), .cell_rows = (uint16_t)(how & 2 ? 1 + how % 3 : 0), .whole = 1, .light = how > 3, .level = 1},
        };
        status = atlas_block_write(encoder, pages, 2, 0, 400, 0, out, sizeof out, &size, &raw, &error);
    }
    atlas_encoder_close(encoder);
    return status;
}

static void all_fail(const char *name, int (*call)(void), int other) {
    MUST(call() == ATLAS_OK); /* once before: what libraries keep for ever is not a leak */
    for (long n = 1; n < 10000; n++) {
        const long before = live;
        const unsigned long count = failed;
        until = n;
        const int status = call();
        until = 0;
        if (live != before) fprintf(stderr, "%s: allocation %ld: %ld left over\n", name, n, live - before);
        MUST(live == before && (status == ATLAS_OK || status == ATLAS_MEMORY || status == other));
        if (failed == count) return;
    }
    MUST(!"ends");
}

int main(void) {
    for (size_t i = 0; i < sizeof dictionary; i++) dictionary[i] = (uint8_t)(i * i >> 3);
    for (size_t i = 0; i < sizeof values; i++) values[i] = (uint8_t)(i % 251 < 100 ? i % 7 : i >> 5);
    for (uint32_t i = 0; i < 401; i++) offsets[i] = i * 20 - (i != 400 ? i % 3 : 0);
    all_fail("dict", try_dict, ATLAS_CODEC); /* zstd does not say why */
    all_fail("reader", try_reader, ATLAS_OK);
    all_fail("encoder", try_encoder, ATLAS_OK);
    all_fail("digest", try_digest, ATLAS_OK);
    all_fail("block", try_block, ATLAS_OK);
    printf("%lu\n", failed);
    return 0;
}
