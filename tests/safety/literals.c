/* literals.c - damaged dictionaries and frames, in memory of their exact size, given to csrc/literals.c.
 *
 *     literals DICTIONARY FRAME...      each frame was made with the dictionary, or stands alone
 *
 * Prints how many tables were accepted, and how many frames were laid out in four streams. The sanitizers do the rest. */
#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "literals.h"

#define FLIPS 20000
#define FRAMES 16
#define ENTROPY 1024 /* bytes of a dictionary that are damaged: no entropy part is longer */

typedef struct { uint8_t *bytes; size_t size; } data;

static unsigned long tables, split;

static data load(const char *path) {
    data d = {malloc(1 << 20), 0};
    FILE *file = fopen(path, "rb");
    if (file == NULL || d.bytes == NULL) exit(2);
    d.size = fread(d.bytes, 1, 1 << 20, file);
    fclose(file);
    return d;
}

static uint32_t noise(void) {
    static uint32_t state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static void try_frame(const atlas_huffman *table, const uint8_t *bytes, size_t size, size_t room) {
    uint8_t *exact = malloc(size + room + 1);
    if (exact == NULL) exit(2);
    uint8_t *frame = exact + 1; /* odd, and no byte after it */
    memcpy(frame, bytes, size);
    const size_t got = atlas_literals_split(frame, size, size + room, table, 6);
    if (got < size || got > size + room) exit(3);
    if (got == size && memcmp(frame, bytes, size) != 0) exit(4);
    split += got != size;
    free(exact);
}

static void try_dictionary(const uint8_t *bytes, size_t size, const data *frames, int count) {
    uint8_t *exact = malloc(size + (size == 0));
    atlas_huffman *table = malloc(sizeof *table);
    if (exact == NULL || table == NULL) exit(2);
    memcpy(exact, bytes, size);
    atlas_huffman_of_dictionary(table, exact, size);
    tables += table->longest != 0;
    for (int i = 0; i < count; i++) try_frame(table, frames[i].bytes, frames[i].size, 16);
    free(table);
    free(exact);
}

int main(int argc, char **argv) {
    data frames[FRAMES];
    const data dictionary = load(argv[1]);
    const int count = argc - 2 < FRAMES ? argc - 2 : FRAMES;
    const size_t most = dictionary.size < ENTROPY ? dictionary.size : ENTROPY;
    for (int i = 0; i < count; i++) frames[i] = load(argv[i + 2]);
    for (size_t size = 0; size <= most; size++) try_dictionary(dictionary.bytes, size, frames, count);
    for (int k = 0; k < FLIPS; k++) {
        uint8_t damaged[ENTROPY];
        memcpy(damaged, dictionary.bytes, most);
        const uint32_t flips = 1 + noise() % 4, reach = k % 2 == 0 ? 120 : ENTROPY;
        for (uint32_t i = 0; i < flips; i++) damaged[4 + noise() % (most - 4 < reach ? most - 4 : reach)] ^= (uint8_t)(1u << noise() % 8);
        try_dictionary(damaged, most, frames, 1);
    }
    atlas_huffman table;
    atlas_huffman_of_dictionary(&table, dictionary.bytes, dictionary.size);
    for (int i = 0; i < count; i++) {
        for (size_t size = 0; size <= frames[i].size; size++) try_frame(&table, frames[i].bytes, size, 16);
        for (size_t room = 0; room < 16; room++) try_frame(&table, frames[i].bytes, frames[i].size, room);
        for (int k = 0; k < FLIPS; k++) {
            const size_t at = k % 2 == 0 ? noise() % 40 % frames[i].size : noise() % frames[i].size;
            const uint8_t bit = (uint8_t)(1u << noise() % 8);
            frames[i].bytes[at] ^= bit;
            try_frame(&table, frames[i].bytes, frames[i].size, 16);
            frames[i].bytes[at] ^= bit;
        }
        free(frames[i].bytes);
    }
    free(dictionary.bytes);
    printf("%lu %lu\n", tables, split);
    return 0;
}
