/* mutator.h - for targets whose input is a control byte and a shard: three of four mutations change fields of its tables. */
#ifndef ATLAS_FUZZ_MUTATOR_H
#define ATLAS_FUZZ_MUTATOR_H

#include "common.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

#ifndef ATLAS_REPLAY
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    if ((seed & 3) == 0 || size < 200) return LLVMFuzzerMutate(data, size, most);
    mutate_fields(data, size, seed);
    return size;
}
#endif

/* The shard of an input, of size - 1 bytes, resealed if its first byte says so; NULL if the input is none. The caller frees it. */
static inline uint8_t *copy_shard(const uint8_t *data, size_t size) {
    if (size < 1 || size > MOST_INPUT) return NULL;
    uint8_t *copy = malloc(size);
    MUST(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & DO_RESEAL) reseal(copy, size - 1, (data[0] & DO_REFIT) != 0);
    return copy;
}

#endif
