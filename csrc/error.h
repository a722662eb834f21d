/* error.h - how a rule is stated: one line that is condition, status, place and words at once. */
#ifndef ATLAS_ERROR_H
#define ATLAS_ERROR_H

#include "atlas.h"

static inline int atlas_fail(atlas_error *error, int status, uint64_t at, const char *why) {
    error->status = status;
    error->at = at;
    error->why = why;
    return status;
}

#define ATLAS_REQUIRE(condition, status, at, why)                                  \
    do {                                                                           \
        if (__builtin_expect(!(condition), 0)) return atlas_fail(error, ATLAS_##status, (at), (why)); \
    } while (0)

#define ATLAS_TRY(call)                                        \
    do {                                                       \
        int status_ = (call);                                  \
        if (__builtin_expect(status_ != ATLAS_OK, 0)) return status_; \
    } while (0)

#endif
