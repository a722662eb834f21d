/* noflock.c - loaded with LD_PRELOAD: every lock of a file fails, as on file systems that have none (NFS, Lustre, FUSE).
 *
 * NO_LOCKS names the error: ENOLCK, ENOSYS or EOPNOTSUPP. Without it locks work. All other calls of fcntl() reach the system.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/types.h>
#include <unistd.h>

/* The errno that every lock fails with; 0: locks work. */
static int refused(void) {
    const char *name = getenv("NO_LOCKS");
    if (name == NULL || *name == '\0') return 0;
    if (strcmp(name, "ENOLCK") == 0) return ENOLCK;
    if (strcmp(name, "ENOSYS") == 0) return ENOSYS;
    if (strcmp(name, "EOPNOTSUPP") == 0) return EOPNOTSUPP;
    fprintf(stderr, "NO_LOCKS=%s: expected ENOLCK, ENOSYS or EOPNOTSUPP\n", name);
    abort(); /* a misspelt name must not leave locks that work */
}

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) abort();
    return found;
}

static int is_lock(int command) {
    switch (command) {
    case F_GETLK: case F_SETLK: case F_SETLKW:
    case F_OFD_GETLK: case F_OFD_SETLK: case F_OFD_SETLKW:
        return 1;
    default:
        return 0;
    }
}

static int fail(int error) {
    errno = error;
    return -1;
}

int flock(int fd, int operation) {
    const int error = refused();
    return error != 0 ? fail(error) : ((int (*)(int, int))real("flock"))(fd, operation);
}

#define FCNTL(name)                                                                              \
    int name(int fd, int command, ...) {                                                         \
        va_list rest;                                                                            \
        va_start(rest, command);                                                                 \
        void *argument = va_arg(rest, void *); /* an int or a pointer; the system knows which */ \
        va_end(rest);                                                                            \
        const int error = is_lock(command) ? refused() : 0;                                      \
        return error != 0 ? fail(error) : ((int (*)(int, int, ...))real(#name))(fd, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

/* The C library's lockf() calls its own fcntl(), which the above does not replace. */
#define LOCKF(name, offset)                                                                                            \
    int name(int fd, int operation, offset length) {                                                                   \
        const int error = refused();                                                                                   \
        return error != 0 ? fail(error) : ((int (*)(int, int, offset))real(#name))(fd, operation, length);             \
    }
LOCKF(lockf, off_t)
LOCKF(lockf64, off64_t)
