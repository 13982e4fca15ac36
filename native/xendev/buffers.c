/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/xen/hypercall: memory for the arguments of hypercalls (Linux: privcmd-buf.c). Any memory
 * serves, as the host reads and writes the program's. libxencall takes some for most hypercalls
 * and gives it back right after, so what was unmapped as it was mapped is kept, and given out
 * again cleared. The device is a file of the host's, recognised by its inode.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCKS 16
#define BLOCK_PAGES_MAX 32u

/* BUSY: somebody is at it; GIVEN: the program has it mapped; KEPT: it has unmapped it. */
enum { EMPTY, BUSY, GIVEN, KEPT };

struct block {
    atomic_int state;
    atomic_uintptr_t address; /* as the length, changed only by who has made it BUSY */
    atomic_size_t length;
};

static struct block blocks[BLOCKS];
volatile int buffers_exist;

/*
 * Makes a block BUSY that is in a state. Asked only of one that is to change, so that nobody who
 * has it unmapped finds it BUSY.
 */
static int seize(struct block *block, int state)
{
    return atomic_compare_exchange_strong(&block->state, &state, BUSY);
}

/* The device's file of the host that was there first and of those after it: the last few. */
#define FILES 4
static _Atomic uint64_t inodes[FILES], devices[FILES];

static int is_known(const struct stat *status)
{
    for (int i = 0; i < FILES; i++)
        if (status->st_ino == atomic_load(&inodes[i]) && status->st_dev == atomic_load(&devices[i]))
            return 1;
    return 0;
}

static void note_file(const struct stat *status)
{
    static atomic_uint next;
    unsigned i;

    if (is_known(status))
        return;
    i = atomic_fetch_add(&next, 1) % FILES;
    atomic_store(&devices[i], status->st_dev);
    atomic_store(&inodes[i], status->st_ino);
}

void buffers_opened(const char *path, int fd)
{
    struct stat status;

    if (path && !strcmp(path, "/dev/xen/hypercall") && fd >= 0 && !syscall(SYS_fstat, fd, &status))
        note_file(&status);
}

int buffers_device(const struct stat *status)
{
    static atomic_int asked;
    char path[PATH_MAX];
    struct stat file;
    int saved = errno;

    /* It may have been opened by the program before this one. */
    if (!atomic_exchange(&asked, 1)) {
        snprintf(path, sizeof(path), "%s/files/dev/xen/hypercall", host_dir());
        if (!syscall(SYS_newfstatat, AT_FDCWD, path, &file, 0))
            note_file(&file);
    }
    errno = saved;
    /* Nothing of an empty file could be mapped, should this be another that has the number now. */
    return !status->st_size && is_known(status);
}

static void *again(size_t length)
{
    for (int i = 0; i < BLOCKS; i++) {
        struct block *block = &blocks[i];
        void *place = (void *)atomic_load(&block->address);

        if (atomic_load(&block->length) != length || !seize(block, KEPT))
            continue;
        if (atomic_load(&block->length) == length && (void *)atomic_load(&block->address) == place) {
            memset(place, 0, length);
            atomic_store(&block->state, GIVEN);
            return place;
        }
        /* It was replaced by another meanwhile. */
        atomic_store(&block->state, KEPT);
    }
    return NULL;
}

/* Notes what was given out, where there is room for it. */
static void note(void *address, size_t length)
{
    for (int i = 0; i < BLOCKS; i++) {
        if (!seize(&blocks[i], EMPTY))
            continue;
        atomic_store(&blocks[i].address, (uintptr_t)address);
        atomic_store(&blocks[i].length, length);
        buffers_exist = 1;
        atomic_store(&blocks[i].state, GIVEN);
        return;
    }
}

void *buffers_map(void *address, size_t length, int prot, int flags)
{
    int plain = !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && prot == (PROT_READ | PROT_WRITE) &&
                length <= BLOCK_PAGES_MAX * XENDEV_PAGE;
    void *place;

    if (!(flags & MAP_SHARED)) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    place = plain ? again(length) : NULL;
    if (place)
        return place;
    flags = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    place = raw_map(address, length, prot, flags, -1, 0);
    if (plain && place != MAP_FAILED)
        note(place, length);
    return place;
}

int buffers_keep(void *address, size_t length)
{
    for (int i = 0; i < BLOCKS; i++) {
        struct block *block = &blocks[i];

        if (atomic_load(&block->address) != (uintptr_t)address || atomic_load(&block->length) != length ||
            !seize(block, GIVEN))
            continue;
        atomic_store(&block->state, KEPT);
        return 1;
    }
    return 0;
}

static int overlaps(const struct block *block, uintptr_t address, size_t length)
{
    uintptr_t first = atomic_load(&block->address);

    return first < address + length && address < first + atomic_load(&block->length);
}

void buffers_forget(void *address, size_t length)
{
    for (int i = 0; i < BLOCKS; i++) {
        struct block *block = &blocks[i];

        if (!overlaps(block, (uintptr_t)address, length))
            continue;
        if (seize(block, KEPT))
            raw_unmap((void *)atomic_load(&block->address), atomic_load(&block->length));
        else if (!seize(block, GIVEN))
            continue;
        atomic_store(&block->length, 0);
        atomic_store(&block->state, EMPTY);
    }
}
