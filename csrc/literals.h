/* literals.h - the Huffman-coded literals of zstd frames. Knows nothing of dictionaries as such, of cells or of pages. */
#ifndef ATLAS_LITERALS_H
#define ATLAS_LITERALS_H

#include <stddef.h>
#include <stdint.h>

#define HUFFMAN_BITS 11 /* of the longest code */

typedef struct {
    uint8_t longest;                  /* code, in bits; 0: there is no table */
    uint8_t lengths[256];             /* of each byte's code, in bits; 0: it has none */
    uint16_t codes[256];
    uint16_t next[1u << HUFFMAN_BITS]; /* by the next `longest` bits: the byte, and above it the length of its code */
} atlas_huffman;

/* The table of a dictionary in zstd's format; none if it is of raw content, or not well-formed. */
void atlas_huffman_of_dictionary(atlas_huffman *table, const uint8_t *dictionary, size_t size);

/* Lays the literals of a frame out in four streams if they are in one and at least `least` bytes (6 or more).
 * Returns the frame's new size, which is a few bytes more, or size if the frame stays as it is.
 * known: the dictionary's table, or NULL. */
size_t atlas_literals_split(uint8_t *frame, size_t size, size_t capacity, const atlas_huffman *known, size_t least);

#endif
