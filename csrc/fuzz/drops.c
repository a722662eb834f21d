/* drops.c - many threads read a shard whose blocks come and go, as present.c asks of its caller: `drops SHARD THREADS ROUNDS ROOM`.
 *
 * Each reader pins, asks what is missing, and reads, or unpins, fills what is missing and tries again. Blocks beyond ROOM are dropped
 * and their bytes overwritten. Every value is compared with what one thread read from the whole shard. Built with -fsanitize=thread it
 * must be silent. Prints the number of blocks that were dropped.
 */
#include <pthread.h>
#include <sched.h>

#include "common.h"

#define MOST_LEAVES 64u
#define BATCH 6u
#define MOST_NEEDS (MOST_LEAVES * BATCH)

static opened whole, holey;
static uint64_t *expected; /* hash of each (leaf, row) */
static atlas_pins pins;
static pthread_mutex_t filling = PTHREAD_MUTEX_INITIALIZER;
static uint32_t *held; /* readers that must not lose a block between filling and reading it */
static uint32_t *there, there_count, room; /* blocks in the order in which they came */
static unsigned long rounds, dropped;
static uint8_t open_state = ATLAS_PRESENT;

static void grace(void) {
    for (uint32_t seen = atlas_pins_empty(&pins); seen != ATLAS_PINS_BOTH; seen |= atlas_pins_empty(&pins)) sched_yield();
}

static void block_place(uint32_t block, uint64_t *offset, uint32_t *size) {
    *offset = load_u64(whole.shard.index + (size_t)block * ATLAS_INDEX_SIZE + ATLAS_INDEX_OFFSET);
    *size = load_u32(whole.shard.index + (size_t)block * ATLAS_INDEX_SIZE + ATLAS_INDEX_BYTES);
}

static void block_fill(uint32_t block) {
    atlas_error error;
    uint64_t offset;
    uint32_t size;
    block_place(block, &offset, &size);
    memcpy(holey.bytes + offset, whole.bytes + offset, size);
    MUST(atlas_block_check(&holey.shard, block, &error) == ATLAS_OK);
    atlas_state_set(&holey.shard.present[block]);
    there[there_count++] = block;
}

/* Drops the oldest blocks that nobody holds, those that were used since they were last looked at a round later. */
static void make_room(void) {
    uint32_t victims[MOST_NEEDS], count = 0, looks = 2 * there_count;
    while (there_count > room && looks-- > 0 && count < MOST_NEEDS) {
        const uint32_t block = there[0];
        memmove(there, there + 1, (there_count - 1) * sizeof *there);
        if (held[block] != 0 || atlas_state_take_used(&holey.shard.present[block])) {
            there[there_count - 1] = block;
            continue;
        }
        there_count--;
        atlas_state_clear(&holey.shard.present[block]);
        victims[count++] = block;
    }
    if (count == 0) return;
    grace();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset;
        uint32_t size;
        block_place(victims[i], &offset, &size);
        atlas_shard_forget(&holey.shard, victims[i]);
        memset(holey.bytes + offset, 0xee, size);
        dropped++;
    }
}

static void read_all(atlas_reader *reader, const atlas_set *set, const int64_t *rows, const uint32_t *leaves, size_t leaf_count) {
    atlas_error error;
    atlas_view views[MOST_NEEDS];
    reader->used = 0;
    const int status = atlas_views(reader, set, rows, BATCH, NULL, BATCH, leaves, leaf_count, views, &error);
    if (status != ATLAS_OK) fprintf(stderr, "status %d: %s at %llu\n", status, error.why, (unsigned long long)error.at);
    MUST(status == ATLAS_OK);
    for (size_t l = 0; l < leaf_count; l++) {
        for (size_t i = 0; i < BATCH; i++) {
            MUST(view_hash(&views[l * BATCH + i]) == expected[leaves[l] * whole.shard.rows + (uint64_t)rows[i]]);
        }
    }
}

static void read_slowly(atlas_reader *reader, const atlas_set *set, const int64_t *rows, const uint32_t *leaves, size_t leaf_count) {
    atlas_error error;
    atlas_need needs[MOST_NEEDS];
    size_t found;
    MUST(pthread_mutex_lock(&filling) == 0);
    MUST(atlas_missing(set, rows, BATCH, leaves, leaf_count, 1, needs, MOST_NEEDS, &found, &error) == ATLAS_OK && found <= MOST_NEEDS);
    for (size_t i = 0; i < found; i++) {
        held[needs[i].block]++;
        if (__atomic_load_n(&holey.shard.present[needs[i].block], __ATOMIC_RELAXED) == ATLAS_ABSENT) block_fill(needs[i].block);
    }
    make_room();
    MUST(pthread_mutex_unlock(&filling) == 0);
    read_all(reader, set, rows, leaves, leaf_count);
    MUST(pthread_mutex_lock(&filling) == 0);
    for (size_t i = 0; i < found; i++) held[needs[i].block]--;
    MUST(pthread_mutex_unlock(&filling) == 0);
}

static void *work(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument + 1;
    atlas_error error;
    atlas_reader reader;
    atlas_shard *shards[1] = {&holey.shard};
    const int64_t starts[2] = {0, (int64_t)holey.shard.rows};
    const atlas_set set = {shards, starts, 1, &open_state};
    reader_open(&reader, 16u << 20);
    for (unsigned long round = 0; round < rounds; round++) {
        int64_t rows[BATCH];
        uint32_t leaves[2];
        size_t found;
        const int64_t near = (int64_t)(mix(&state) % holey.shard.rows);
        for (unsigned i = 0; i < BATCH; i++) rows[i] = (near + (int64_t)(mix(&state) % 4)) % (int64_t)holey.shard.rows;
        leaves[0] = (uint32_t)(mix(&state) % holey.shard.leaf_count);
        leaves[1] = (uint32_t)(mix(&state) % holey.shard.leaf_count);
        const uint64_t token = atlas_pin(&pins);
        MUST(atlas_missing(&set, rows, BATCH, leaves, 2, 0, NULL, 0, &found, &error) == ATLAS_OK);
        if (found == 0) read_all(&reader, &set, rows, leaves, 2);
        atlas_unpin(&pins, token);
        if (found != 0) read_slowly(&reader, &set, rows, leaves, 2);
        if (round % 16 == 0) { /* also where all blocks are there by now, and nobody misses one */
            MUST(pthread_mutex_lock(&filling) == 0);
            make_room();
            MUST(pthread_mutex_unlock(&filling) == 0);
        }
    }
    reader_close(&reader);
    return NULL;
}

int main(int argc, char **argv) {
    atlas_error error;
    if (argc != 5) return 2;
    FILE *f = fopen(argv[1], "rb");
    uint8_t *bytes = malloc(1u << 22), *copy = malloc(1u << 22);
    MUST(f != NULL && bytes != NULL && copy != NULL);
    const size_t size = fread(bytes, 1, 1u << 22, f);
    fclose(f);
    memcpy(copy, bytes, size);
    const unsigned threads = (unsigned)strtoul(argv[2], NULL, 10);
    rounds = strtoul(argv[3], NULL, 10);
    room = (uint32_t)strtoul(argv[4], NULL, 10);
    MUST(threads >= 2 && threads <= 64);
    MUST(opened_bind(&whole, bytes, size, &error) == ATLAS_OK && opened_bind(&holey, copy, size, &error) == ATLAS_OK);
    MUST(whole.shard.leaf_count <= MOST_LEAVES);
    expected = values_hash(&whole.shard);
    holey.shard.present = calloc(holey.shard.block_count, 1);
    held = calloc(holey.shard.block_count, sizeof *held);
    there = calloc(holey.shard.block_count + 1, sizeof *there);
    MUST(holey.shard.present != NULL && held != NULL && there != NULL);
    for (uint32_t block = 0; block < holey.shard.block_count; block++) {
        uint64_t offset;
        uint32_t bytes_of;
        block_place(block, &offset, &bytes_of);
        memset(holey.bytes + offset, 0xee, bytes_of);
    }
    pthread_t handles[64];
    for (unsigned k = 0; k < threads; k++) MUST(pthread_create(&handles[k], NULL, work, (void *)(uintptr_t)k) == 0);
    for (unsigned k = 0; k < threads; k++) MUST(pthread_join(handles[k], NULL) == 0);
    printf("%lu\n", dropped);
    free(holey.shard.present);
    free(held);
    free(there);
    opened_unbind(&whole);
    opened_unbind(&holey);
    free(expected);
    free(bytes);
    free(copy);
    return 0;
}
