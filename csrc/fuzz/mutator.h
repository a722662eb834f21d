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

#endif
