/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A preloaded library in which a program's time passes FASTER times as fast: for
 * programs that wait a minute for what never comes. libxl takes the time from
 * gettimeofday() and waits in poll().
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FASTER 40

static long long microseconds(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    static long long began;
    long long faster;

    (void)zone;
    if (began == 0)
        began = microseconds();
    faster = began + (microseconds() - began) * FASTER;
    now->tv_sec = faster / 1000000;
    now->tv_usec = faster % 1000000;
    return 0;
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return (int)syscall(SYS_poll, fds, count, timeout > 0 ? (timeout + FASTER - 1) / FASTER : timeout);
}
