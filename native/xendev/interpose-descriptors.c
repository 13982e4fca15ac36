/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's functions that act on descriptors and on memory. */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Xen's device families: privcmd, evtchn, gntdev and gntalloc, xenbus_backend. */
static int number_is_xen(unsigned long number)
{
    unsigned type = _IOC_TYPE(number);

    return type == 'P' || type == 'E' || type == 'G' || type == 'B';
}

int ioctl(int fd, unsigned long number, ...)
{
    va_list arguments;
    void *argument;
    uint64_t device;

    va_start(arguments, number);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    device = number_is_xen(number) ? connection_of(fd) : 0;
    if (device)
        return device_ioctl(device, number, argument);
    return (int)syscall(SYS_ioctl, fd, number, argument);
}

static void *map(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
    struct stat status;
    int is_file = !(flags & MAP_ANONYMOUS) && !descriptor_status(fd, &status);
    uint64_t device = is_file ? connection_behind(fd, &status) : 0;
    void *place;

    if (device)
        return device_map(address, length, prot, flags, device, offset);
    if (buffers_exist && (flags & MAP_FIXED))
        buffers_forget(address, length);
    if (is_file && buffers_device(&status))
        return buffers_map(address, length, prot, flags);
    place = raw_map(address, length, prot, flags, fd, offset);
    if (regions_exist && (flags & MAP_FIXED) && place != MAP_FAILED)
        device_replaced(place, length);
    return place;
}

void *mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
    return map(address, length, prot, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int prot, int flags, int fd, off64_t offset)
{
    return map(address, length, prot, flags, fd, offset);
}

int munmap(void *address, size_t length)
{
    if (buffers_exist) {
        if (buffers_keep(address, length))
            return 0;
        buffers_forget(address, length);
    }
    if (regions_exist)
        return device_unmap(address, length);
    return raw_unmap(address, length);
}

/* Mappings of Xen's pages do not move or grow, as with the real devices' VM_PFNMAP areas. */
void *mremap(void *address, size_t length, size_t new_length, int flags, ...)
{
    va_list arguments;
    void *place;

    va_start(arguments, flags);
    place = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
    va_end(arguments);
    if (buffers_exist) {
        buffers_forget(address, length);
        if (place)
            buffers_forget(place, new_length);
    }
    if (regions_exist) {
        int ours;
        regions_lock();
        ours = regions_overlap((uintptr_t)address, length);
        regions_unlock();
        if (ours) {
            errno = EFAULT;
            return MAP_FAILED;
        }
    }
    return (void *)syscall(SYS_mremap, address, length, new_length, flags, place);
}

/* A program that closes "everything" does not mean our connections. */
int close(int fd)
{
    if (call_is_hidden(fd)) {
        errno = EBADF;
        return -1;
    }
    return raw_close(fd);
}

int close_range(unsigned first, unsigned last, int flags)
{
    unsigned from = first;

    for (;;) {
        int hidden = from > 0x7fffffff ? -1 : call_next_hidden((int)from);
        if (hidden < 0 || (unsigned)hidden > last)
            break;
        if ((unsigned)hidden > from && syscall(SYS_close_range, from, hidden - 1, flags))
            return -1;
        from = (unsigned)hidden + 1;
    }
    if (from > last && from > first)
        return 0;
    return (int)syscall(SYS_close_range, from, last, flags);
}

void closefrom(int lowest)
{
    close_range(lowest < 0 ? 0 : (unsigned)lowest, ~0u, 0);
}

/*
 * oxenstored raises its limit of open files to fs.nr_open and stops where that
 * needs a capability the user has not; what may be had is enough for it here.
 */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *wanted)
{
    struct rlimit now;

    if (!syscall(SYS_setrlimit, resource, wanted))
        return 0;
    if (errno != EPERM || resource != RLIMIT_NOFILE || syscall(SYS_getrlimit, resource, &now))
        return -1;
    now.rlim_cur = wanted->rlim_cur < now.rlim_max ? wanted->rlim_cur : now.rlim_max;
    return (int)syscall(SYS_setrlimit, resource, &now);
}

static void fork_prepare(void)
{
    regions_fork_prepare();
}
static void fork_parent(void)
{
    regions_fork_parent();
}
static void fork_child(void)
{
    regions_fork_child();
    call_after_fork();
}

__attribute__((constructor)) static void start(void)
{
    argument_start();
    awake_start();
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}
