/* threads.c - many threads read one shared atlas_shard at once, each with its own atlas_reader: `threads SHARD THREADS ROUNDS`.
 *
 * All begin together on a shard of which nothing is known, read every leaf by views and gather, and compare with what one thread
 * read before. In between one of them forgets blocks. Built with -fsanitize=thread it must be silent. Prints the rows read.
 */
#include <pthread.h>

#include "common.h"

#define MOST_LEAVES 64u
#define BATCH 48u

static opened shared;
static uint64_t *expected; /* hash of each (leaf, row) */
static pthread_barrier_t start;
static unsigned long rounds;

static int views_read(atlas_reader *reader, const int64_t *rows, size_t count, uint32_t leaf, atlas_view *views) {
    atlas_error error;
    atlas_shard *shards[1] = {&shared.shard};
    const int64_t starts[2] = {0, (int64_t)shared.shard.rows};
    const atlas_set set = {shards, starts, 1, NULL};
    reader->used = 0;
    const int status = atlas_views(reader, &set, rows, count, NULL, count, &leaf, 1, views, &error);
    if (status != ATLAS_OK || shared.leaves[leaf].kind != ATLAS_KIND_FIXED) return status;
    const uint32_t width = shared.leaves[leaf].width;
    uint8_t *out = malloc(count * width + 1), nulls[BATCH];
    MUST(out != NULL);
    const atlas_column column = {.leaf = leaf, .out = out, .stride = width, .nulls = nulls};
    const size_t used = reader->used; /* the views stay good */
    MUST(atlas_gather(reader, &set, rows, count, NULL, &column, 1, &error) == ATLAS_OK);
    reader->used = used;
    for (size_t i = 0; i < count; i++) MUST(nulls[i] == (views[i].data == NULL) && (nulls[i] || memcmp(views[i].data, out + i * width, width) == 0));
    free(out);
    return status;
}

static void *work(void *argument) {
    const uint64_t me = (uint64_t)(uintptr_t)argument;
    uint64_t state = me;
    atlas_error error;
    atlas_reader reader;
    atlas_view views[BATCH];
    int64_t rows[BATCH];
    reader_open(&reader, 16u << 20);
    reader.verify = me % 5 == 4 ? ATLAS_VERIFY_ALWAYS : me % 5 == 3 ? ATLAS_VERIFY_NEVER : ATLAS_VERIFY_FIRST;
    for (unsigned long round = 0; round < rounds; round++) {
        pthread_barrier_wait(&start);
        if (me == 0) {
            memset(shared.pages, 0, shared.shard.page_count * 8); /* the barriers order it */
            memset(shared.heads, 0, shared.shard.block_count);
        }
        pthread_barrier_wait(&start);
        for (uint32_t l = 0; l < shared.shard.leaf_count && l < MOST_LEAVES; l++) {
            const uint32_t leaf = (l + (uint32_t)(me * (round & 1))) % shared.shard.leaf_count;
            for (unsigned i = 0; i < BATCH; i++) rows[i] = (int64_t)(mix(&state) % shared.shard.rows);
            const int status = views_read(&reader, rows, BATCH, leaf, views);
            if (status != ATLAS_OK) fprintf(stderr, "thread %lu: status %d, leaf %u\n", (unsigned long)me, status, leaf);
            MUST(status == ATLAS_OK);
            for (unsigned i = 0; i < BATCH; i++) MUST(view_hash(&views[i]) == expected[leaf * shared.shard.rows + (uint64_t)rows[i]]);
            if (me == 1 && (mix(&state) & 7) == 0) atlas_shard_forget(&shared.shard, shared.leaves[leaf].first_block);
        }
    }
    reader_close(&reader);
    return NULL;
}

int main(int argc, char **argv) {
    atlas_error error;
    if (argc != 4) return 2;
    FILE *f = fopen(argv[1], "rb");
    uint8_t *bytes = malloc(1u << 22);
    MUST(f != NULL && bytes != NULL);
    const size_t size = fread(bytes, 1, 1u << 22, f);
    fclose(f);
    const unsigned threads = (unsigned)strtoul(argv[2], NULL, 10);
    rounds = strtoul(argv[3], NULL, 10);
    MUST(opened_bind(&shared, bytes, size, &error) == ATLAS_OK && threads >= 2 && threads <= 64);
    expected = values_hash(&shared.shard);
    pthread_t handles[64];
    MUST(pthread_barrier_init(&start, NULL, threads) == 0);
    for (unsigned k = 0; k < threads; k++) MUST(pthread_create(&handles[k], NULL, work, (void *)(uintptr_t)k) == 0);
    for (unsigned k = 0; k < threads; k++) MUST(pthread_join(handles[k], NULL) == 0);
    printf("%lu\n", rounds * threads * shared.shard.leaf_count * BATCH);
    pthread_barrier_destroy(&start);
    opened_unbind(&shared);
    free(expected);
    free(bytes);
    return 0;
}
