/* bytes.h - loads, stores and sizes. Little-endian whatever the machine; no alignment asked. */
#ifndef ATLAS_BYTES_H
#define ATLAS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Atlas hands out pages in place and is built for little-endian machines only"
#endif

static inline uint16_t load_u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t load_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t load_u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void store_u16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void store_u32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store_u64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }

/* n rounded up to a multiple of k, a power of two; n is far from the end of its range wherever this is used. */
static inline uint64_t pad_to(uint64_t n, uint64_t k) { return (n + k - 1) & ~(k - 1); }

static inline bool all_zero(const uint8_t *p, uint64_t n) {
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        if (load_u64(p + i) != 0) return false;
    }
    for (; i < n; i++) {
        if (p[i] != 0) return false;
    }
    return true;
}

static inline bool bit_at(const uint8_t *bits, uint64_t i) { return ((bits[i >> 3] >> (i & 7)) & 1) != 0; }

#endif
