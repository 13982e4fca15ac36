/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls by number: the library must not call the symbols it interposes,
 * nor malloc(), whose replacements (jemalloc and others) call munmap().
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *raw_map(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, length, prot, flags, fd, offset);
}

int raw_unmap(void *address, size_t length)
{
    return (int)syscall(SYS_munmap, address, length);
}

int raw_open(int dir, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int raw_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + XENDEV_PAGE - 1) & ~(size_t)(XENDEV_PAGE - 1);
}

void *raw_grow(void *array, size_t *room, size_t wanted, size_t item)
{
    size_t more = *room ? *room * 2 : 64;
    void *grown;

    if (wanted <= *room)
        return array;
    if (more < wanted)
        more = wanted;
    grown = raw_map(NULL, whole_pages(more * item), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (grown == MAP_FAILED)
        return NULL;
    if (array) {
        memcpy(grown, array, *room * item);
        raw_unmap(array, whole_pages(*room * item));
    }
    *room = more;
    return grown;
}

void raw_free(void *array, size_t room, size_t item)
{
    if (array)
        raw_unmap(array, whole_pages(room * item));
}
