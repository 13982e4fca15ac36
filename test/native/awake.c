/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libxendev's waiting awake, with a clock of its own and a descriptor that has something
 * when it is told to. Each look at the descriptor takes a microsecond.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned looks, empty, processors = 2;
static long flags, clock_ns;
static int last_error = EAGAIN;

static int fake_clock(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){ clock_ns / 1000000000, clock_ns % 1000000000 };
    return 0;
}

/* Nothing for `empty` looks, then a byte; `last_error` at once where it is another. */
static ssize_t fake_recv(int fd, void *buffer, size_t size, int options)
{
    (void)fd;
    clock_ns += 1000;
    looks++;
    if (options != MSG_DONTWAIT || !size || last_error != EAGAIN || empty) {
        empty -= empty > 0;
        errno = last_error;
        return -1;
    }
    *(char *)buffer = 'x';
    return 1;
}

static long fake_syscall(long number, ...)
{
    unsigned long *mask;
    va_list arguments;

    if (number != SYS_sched_getaffinity)
        return number == SYS_fcntl ? flags : -1;
    va_start(arguments, number);
    (void)va_arg(arguments, int);
    (void)va_arg(arguments, size_t);
    mask = va_arg(arguments, unsigned long *);
    va_end(arguments);
    *mask = (1ul << processors) - 1;
    return (long)sizeof(*mask);
}

#define clock_gettime fake_clock
#define recv fake_recv
#define syscall fake_syscall
#include "../../native/xendev/awake.c"

#define NEVER 1000000u
#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "line %d: %s (%u looks, errno %d)\n", __LINE__, #condition, looks, errno); \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)

/* Waits for what comes after so many looks; how often it looked, negative where it got nothing. */
static int wait_for(unsigned after)
{
    char byte = 0;
    ssize_t got;

    looks = 0;
    empty = after;
    got = awake_receive(3, &byte, 1);
    CHECK(got == 1 ? byte == 'x' : got == -1 && errno == last_error);
    return got == 1 ? (int)looks : -(int)looks;
}

/* Calls until it looks again. */
static int slept(void)
{
    int calls = 0;

    while (wait_for(NEVER) == 0)
        calls++;
    return calls;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    awake_start();
    if (!strcmp(what, "answered")) {
        CHECK(wait_for(0) == 1);
        CHECK(wait_for(20) == 21);
        CHECK(wait_for(49) == 50);
    } else if (!strcmp(what, "in-vain")) {
        CHECK(wait_for(NEVER) == -51);
        for (int calls = 1; calls <= 1023; calls += calls / 4 + 1)
            CHECK(slept() == calls);
        CHECK(slept() == 1023);
    } else if (!strcmp(what, "pays-again")) {
        CHECK(wait_for(NEVER) == -51 && slept() == 1 && slept() == 2);
        for (int i = 0; i < 3; i++)
            CHECK(wait_for(5) == 0);
        for (int i = 0; i < 2; i++)
            CHECK(wait_for(5) == 6);
        CHECK(wait_for(NEVER) == -51 && slept() == 1);
    } else if (!strcmp(what, "one-processor")) {
        processors = 1;
        awake_start();
        CHECK(wait_for(0) == 0 && wait_for(5) == 0);
    } else if (!strcmp(what, "non-blocking")) {
        flags = O_NONBLOCK;
        CHECK(wait_for(5) == -1 && wait_for(0) == 1 && wait_for(5) == -1);
    } else if (!strcmp(what, "no-socket")) {
        last_error = ENOTSOCK;
        CHECK(wait_for(5) == -1 && wait_for(5) == -1);
    } else
        return 2;
    return 0;
}
