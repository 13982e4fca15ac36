/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long hypercalls take, beside an echo over a Unix socket between two
 * processes: as many of each in turns, so that both see the same machine, and on
 * the same processors. Prints nanoseconds, a line a kind.
 *
 *     calls ROUNDS DOMID GFN HOST-PID
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/privcmd.h>

#include "placement.h"

#define PAGES 1024
/* What a hypercall sends and gets: the messages of libxendev. */
#define REQUEST 104
#define REPLY 32
#define TURN 100
/* Calls after which host and library have found out how to wait where they are now. */
#define SETTLE 3000

static int privcmd;
static int echo[2];

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void one_echo(void)
{
    char bytes[REQUEST] = { 0 };

    if (write(echo[0], bytes, REQUEST) != REQUEST || read(echo[0], bytes, REPLY) != REPLY)
        fail("echo");
}

static void one_hypercall(void)
{
    privcmd_hypercall_t call = { .op = __HYPERVISOR_xen_version };

    if (ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &call) < 0)
        fail("hypercall");
}

static void map_and_unmap(domid_t domid, xen_pfn_t first, unsigned step)
{
    static xen_pfn_t frames[PAGES];
    static int errors[PAGES];
    privcmd_mmapbatch_v2_t batch = { .num = PAGES, .dom = domid, .arr = frames, .err = errors };
    void *place = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);

    if (place == MAP_FAILED)
        fail("mmap");
    for (unsigned i = 0; i < PAGES; i++)
        frames[i] = first + (xen_pfn_t)i * step;
    batch.addr = (uint64_t)(uintptr_t)place;
    if (ioctl(privcmd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0 || errors[0] || errors[PAGES - 1])
        fail("mmapbatch");
    if (munmap(place, PAGES * 4096))
        fail("munmap");
}

/* What the kernel takes to map as many scattered pages, whoever asks for it. */
static void map_alone(void)
{
    static int file = -1;
    char *place = mmap(NULL, PAGES * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (file < 0 && ((file = memfd_create("pages", MFD_CLOEXEC)) < 0 || ftruncate(file, 2 * PAGES * 4096)))
        fail("memfd");
    if (place == MAP_FAILED)
        fail("mmap");
    for (unsigned i = 0; i < PAGES; i++)
        if (mmap(place + i * 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
                 (off_t)i * 8192) == MAP_FAILED)
            fail("mmap");
    if (munmap(place, PAGES * 4096))
        fail("munmap");
}

static void serve(int fd)
{
    char bytes[REQUEST];

    while (read(fd, bytes, REQUEST) == REQUEST)
        if (write(fd, bytes, REPLY) != REPLY)
            break;
    _exit(0);
}

static void timed(const char *kind, const char *where, void (*call)(void))
{
    uint64_t since = now();

    call();
    printf("%s%s%s %llu\n", kind, *where ? "-" : "", where, (unsigned long long)(now() - since));
}

/* Echoes and hypercalls where both ends are placed alike. */
static void in_turns(enum placement placement, int rounds, pid_t host, pid_t echoer)
{
    const char *where = placement == ANY ? "" : placement_names[placement];

    placement_apply(placement, host);
    placement_apply(placement, echoer);
    for (int i = 0; i < SETTLE; i++)
        one_hypercall();
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < TURN; i++)
            timed("echo", where, one_echo);
        for (int i = 0; i < TURN; i++)
            timed("hypercall", where, one_hypercall);
    }
}

static void mappings(int rounds, domid_t domid, xen_pfn_t first)
{
    for (int round = 0; round < rounds; round++) {
        timed("mmap", "", map_alone);
        for (unsigned step = 1; step <= 2; step++) {
            uint64_t since = now();
            map_and_unmap(domid, first, step);
            printf("%s %llu\n", step == 1 ? "contiguous" : "scattered", (unsigned long long)(now() - since));
        }
    }
}

int main(int argc, char **argv)
{
    pid_t echoer, host;
    int rounds;

    if (argc != 5)
        return 2;
    rounds = atoi(argv[1]);
    host = atoi(argv[4]);
    privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (privcmd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, echo))
        fail("setup");
    echoer = fork();
    if (!echoer) {
        close(echo[0]);
        serve(echo[1]);
    }
    close(echo[1]);
    one_hypercall();
    placement_start();
    for (int placement = 0; placement < PLACEMENTS; placement++)
        if (placement_has(placement))
            in_turns(placement, rounds, host, echoer);
    placement_apply(ANY, host);
    mappings(rounds, (domid_t)atoi(argv[2]), strtoul(argv[3], NULL, 0));
    close(echo[0]);
    wait(NULL);
    return 0;
}
