/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for an answer awake. The host answers most calls within microseconds.
 * Who sleeps meanwhile has to be woken, which between two processors of a virtual
 * machine takes longer than the call, for the host as well. So a process looks for
 * the answer again and again for a moment before it sleeps. Where that did not
 * help, as the host is busy or needs this very processor, it sleeps at once for
 * some calls, for more of them each time.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Less than being woken takes twice, more than the host takes for a short call after it was woken itself. */
#define MOMENT_NS 50000u
/* Calls that at most are not waited for awake after one for which it was in vain. */
#define ASLEEP_MAX 1023u

static atomic_uint asleep; /* calls still to be slept through */
static atomic_uint vain;   /* calls slept through after the last time in vain */

static uint64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whether the host can run beside this process. */
static int has_processors;

/* Before main(): a program may forbid itself later what is asked here, as QEMU's sandbox does. */
void awake_start(void)
{
    unsigned long mask[128];
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
    int count = 0;

    for (long i = 0; i < bytes / (long)sizeof(*mask); i++)
        count += __builtin_popcountl(mask[i]);
    has_processors = count > 1;
}

static int is_worth_it(void)
{
    unsigned left = atomic_load(&asleep);

    if (!has_processors)
        return 0;
    if (left)
        atomic_compare_exchange_strong(&asleep, &left, left - 1);
    return !left;
}

static void was_in_vain(void)
{
    unsigned last = atomic_load(&vain), more = last + last / 4 + 1;

    atomic_store(&vain, more < ASLEEP_MAX ? more : ASLEEP_MAX);
    atomic_store(&asleep, atomic_load(&vain));
}

/* Whether reading from a descriptor waits; what does not is not waited for here either. */
static int waits(int fd)
{
    long flags = syscall(SYS_fcntl, fd, F_GETFL);
    int does = flags >= 0 && !(flags & O_NONBLOCK);

    errno = EAGAIN;
    return does;
}

ssize_t awake_receive(int fd, void *buffer, size_t size)
{
    uint64_t since;
    ssize_t got;

    errno = EAGAIN;
    if (!is_worth_it())
        return -1;
    got = recv(fd, buffer, size, MSG_DONTWAIT);
    if (got >= 0 || errno != EAGAIN || !waits(fd))
        return got;
    for (since = nanoseconds(); nanoseconds() - since < MOMENT_NS;) {
        got = recv(fd, buffer, size, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            continue;
        atomic_store(&vain, atomic_load(&vain) / 2);
        return got;
    }
    was_in_vain();
    return -1;
}
