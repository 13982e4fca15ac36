/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's functions that name files. */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include "xendev.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REAL(name)                                    \
    ({                                                \
        static __typeof__(&name) real_##name;         \
        if (!real_##name)                             \
            real_##name = NEXT(name);                 \
        real_##name;                                  \
    })
#define REDIRECTED(path) path_redirect(path, (char[PATH_MAX]){ 0 }, PATH_MAX)

static int open_path(int dir, const char *path, int flags, mode_t mode)
{
    char buffer[PATH_MAX];
    int fd;

    if (path_is_device(path))
        return connection_open(path, flags, call_session(), NULL);
    fd = raw_open(dir, path_redirect(path, buffer, sizeof(buffer)), flags, mode);
    buffers_opened(path, fd);
    return fd;
}

static mode_t mode_argument(int flags, va_list arguments)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                         \
    int name(const char *path, int flags, ...)             \
    {                                                      \
        va_list arguments;                                 \
        va_start(arguments, flags);                        \
        mode_t mode = mode_argument(flags, arguments);     \
        va_end(arguments);                                 \
        return open_path(AT_FDCWD, path, flags, mode);     \
    }
#define OPENAT(name)                                       \
    int name(int dir, const char *path, int flags, ...)    \
    {                                                      \
        va_list arguments;                                 \
        va_start(arguments, flags);                        \
        mode_t mode = mode_argument(flags, arguments);     \
        va_end(arguments);                                 \
        return open_path(dir, path, flags, mode);          \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* What a call of open() without a mode becomes in a fortified program. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags)
{
    return open_path(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char *path, int flags)
{
    return open_path(AT_FDCWD, path, flags, 0);
}
int __openat_2(int dir, const char *path, int flags)
{
    return open_path(dir, path, flags, 0);
}
int __openat64_2(int dir, const char *path, int flags)
{
    return open_path(dir, path, flags, 0);
}

FILE *fopen(const char *path, const char *mode)
{
    return REAL(fopen)(REDIRECTED(path), mode);
}
FILE *fopen64(const char *path, const char *mode)
{
    return REAL(fopen64)(REDIRECTED(path), mode);
}
DIR *opendir(const char *path)
{
    return REAL(opendir)(REDIRECTED(path));
}

int access(const char *path, int mode)
{
    return REAL(access)(REDIRECTED(path), mode);
}
int eaccess(const char *path, int mode)
{
    return REAL(eaccess)(REDIRECTED(path), mode);
}
int euidaccess(const char *path, int mode)
{
    return REAL(euidaccess)(REDIRECTED(path), mode);
}
int faccessat(int dir, const char *path, int mode, int flags)
{
    return REAL(faccessat)(dir, REDIRECTED(path), mode, flags);
}

int stat(const char *restrict path, struct stat *restrict status)
{
    return REAL(stat)(REDIRECTED(path), status);
}
int lstat(const char *restrict path, struct stat *restrict status)
{
    return REAL(lstat)(REDIRECTED(path), status);
}
int stat64(const char *restrict path, struct stat64 *restrict status)
{
    return REAL(stat64)(REDIRECTED(path), status);
}
int lstat64(const char *restrict path, struct stat64 *restrict status)
{
    return REAL(lstat64)(REDIRECTED(path), status);
}
int fstatat(int dir, const char *restrict path, struct stat *restrict status, int flags)
{
    return REAL(fstatat)(dir, REDIRECTED(path), status, flags);
}
int fstatat64(int dir, const char *restrict path, struct stat64 *restrict status, int flags)
{
    return REAL(fstatat64)(dir, REDIRECTED(path), status, flags);
}
int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict status)
{
    return REAL(statx)(dir, REDIRECTED(path), flags, mask, status);
}

/* Programs built before glibc 2.33 call these; the version is that of struct stat. */
int __xstat(int version, const char *path, struct stat *status);
int __lxstat(int version, const char *path, struct stat *status);
int __xstat64(int version, const char *path, struct stat64 *status);
int __lxstat64(int version, const char *path, struct stat64 *status);

int __xstat(int version, const char *path, struct stat *status)
{
    (void)version;
    return stat(path, status);
}
int __lxstat(int version, const char *path, struct stat *status)
{
    (void)version;
    return lstat(path, status);
}
int __xstat64(int version, const char *path, struct stat64 *status)
{
    (void)version;
    return stat64(path, status);
}
int __lxstat64(int version, const char *path, struct stat64 *status)
{
    (void)version;
    return lstat64(path, status);
}
