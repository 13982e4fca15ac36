/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes random ioctls and hypercalls: garbage SEED COUNT SPARED-DOMID. Most get
 * past the first look (right sizes, version, addresses of its own). Prints what
 * came back, by errno. dom0 and one domain are never the target of a destroy.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PRIVCMD, EVTCHN, GNTDEV, GNTALLOC, DEVICES };
enum { HYPERCALL = 0, MMAPBATCH = 3, MMAPBATCH_V2 = 4, DM_OP = 5, RESTRICT = 6, MMAP_RESOURCE = 7 };
enum { MAP_GRANT_REF = 0, ALLOC_GREF = 5, REMOTE_SHUTDOWN = 16 };
enum { MULTICALL = 13, SYSCTL = 35, DOMCTL = 36, DESTROYDOMAIN = 2 };

static const char types[DEVICES] = { 'P', 'E', 'G', 'G' };
static const int sizes[DEVICES][10] = {
    { 48, 0, 24, 24, 32, 16, 2, 32, 0, 0 },
    { 4, 8, 4, 4, 4, 0, 2, 0, 0, 0 },
    { 24, 16, 24, 4, 0, 0, 0, 16, 16, 24 },
    { 0, 0, 0, 0, 0, 24, 16, 16, 0, 0 },
};
static const int numbers[] = { 36, 36, 35, 35, 12, 12, 32, 32, 20, 34, 26, 29, 17, 27, 13, 1, 7, 40, 41 };

static uint64_t buffer[1024];
static char *region;
static unsigned spared;

static uint64_t word(void)
{
    switch (rand() % 6) {
    case 0:
        return (uint64_t)(rand() % 64);
    case 1:
        return (uint64_t)(uintptr_t)(buffer + rand() % 1000);
    case 2:
        return (uint64_t)(uintptr_t)region + 4096u * (unsigned)(rand() % 256);
    case 3:
        return (uint64_t)rand() << 33 | (uint64_t)rand();
    case 4:
        return 0;
    default:
        return (uint64_t)(rand() % 0x8000);
    }
}

/* A control structure at buffer[100], its union full of words. */
static void make_control(int number)
{
    uint32_t *control = (uint32_t *)(buffer + 100);

    buffer[1] = (uint64_t)(uintptr_t)control;
    control[0] = (uint32_t)(rand() % (number == SYSCTL ? 32 : 90));
    control[1] = 0x15;
    control[2] = (uint32_t)(rand() % 4);
    if (control[0] == DESTROYDOMAIN && (control[2] == 0 || control[2] == spared))
        control[2] = 500;
}

static void make_hypercall(void)
{
    int number = numbers[(size_t)rand() % (sizeof(numbers) / sizeof(*numbers))];

    buffer[0] = (uint64_t)number;
    if (number == SYSCTL || number == DOMCTL)
        make_control(number);
    else if (number == MULTICALL) {
        buffer[1] = (uint64_t)(uintptr_t)(buffer + 200);
        buffer[2] = (uint64_t)(rand() % 5);
    } else {
        buffer[1] = (uint64_t)(rand() % 34);
        buffer[2] = (uint64_t)(uintptr_t)(buffer + 100);
    }
}

static void make_batch(void)
{
    *(uint32_t *)buffer = (uint32_t)(rand() % 64);
    *(uint16_t *)((char *)buffer + 4) = (uint16_t)(rand() % 4);
    buffer[1] = (uint64_t)(uintptr_t)region + 4096u * (unsigned)(rand() % 200);
    buffer[2] = (uint64_t)(uintptr_t)(buffer + 300);
    buffer[3] = (uint64_t)(uintptr_t)(buffer + 600);
    for (int i = 0; i < 64; i++)
        buffer[300 + i] = (uint64_t)(rand() % 20000);
}

static unsigned some_domain(void)
{
    return rand() % 2 ? spared : (unsigned)(rand() % 8);
}

/* Frames of a grant table or of IOREQ servers, some for an address of its own, some asking how many there are. */
static void make_resource(void)
{
    uint32_t *words = (uint32_t *)buffer;

    *(uint16_t *)buffer = (uint16_t)some_domain();
    words[1] = (uint32_t)(rand() % 4);
    words[2] = (uint32_t)(rand() % 3);
    words[3] = (uint32_t)(rand() % 70);
    buffer[2] = (uint64_t)(rand() % 70);
    buffer[3] = rand() % 4 ? (uint64_t)(uintptr_t)region + 4096u * (unsigned)(rand() % 200) : 0;
}

/* A device model's operation: a number, and what follows it. */
static void make_dm_op(void)
{
    uint16_t *halves = (uint16_t *)buffer;

    halves[0] = (uint16_t)some_domain();
    halves[1] = (uint16_t)(rand() % 4);
    buffer[1] = (uint64_t)(uintptr_t)(buffer + 300);
    for (int i = 0; i < 4; i++) {
        buffer[300 + 2 * i] = (uint64_t)(uintptr_t)(buffer + 320 + 8 * i);
        buffer[301 + 2 * i] = (uint64_t)(rand() % 64);
    }
    *(uint32_t *)(buffer + 320) = (uint32_t)(rand() % 24);
    if (*(uint32_t *)(buffer + 320) == REMOTE_SHUTDOWN)
        halves[0] = 500; /* after that xl's monitor would destroy it */
}

/* Grants of a domain, mapped now and then at what the device gave for them. */
static void make_grants(int fd)
{
    uint32_t *words = (uint32_t *)buffer;

    words[0] = (uint32_t)(rand() % 4);
    for (int i = 0; i < 8; i++)
        words[4 + i] = i % 2 ? (uint32_t)(rand() % 40) : some_domain();
    if (rand() % 8 == 0) {
        void *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096L * (rand() % 64));

        if (pages != MAP_FAILED && rand() % 4)
            munmap(pages, 8192);
    }
}

/* Pages of its own for a domain, mapped now and then; the references fit behind the argument. */
static void make_pages(int fd)
{
    uint32_t *words = (uint32_t *)buffer;

    words[0] = some_domain();
    words[1] = rand() % 20 ? (uint32_t)(rand() % 4) : (uint32_t)rand();
    if (rand() % 4 == 0) {
        void *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096L * (rand() % 64));

        if (pages != MAP_FAILED && rand() % 4)
            munmap(pages, 8192);
    }
}

int main(int argc, char **argv)
{
    int fds[DEVICES] = { open("/dev/xen/privcmd", O_RDWR), open("/dev/xen/evtchn", O_RDWR | O_NONBLOCK),
                         open("/dev/xen/gntdev", O_RDWR), open("/dev/xen/gntalloc", O_RDWR) };
    int seen[200] = { 0 };

    if (argc < 4)
        return 2;
    srand((unsigned)atoi(argv[1]));
    spared = (unsigned)atoi(argv[3]);
    region = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fds[PRIVCMD], 0);
    for (int i = 0, count = atoi(argv[2]); i < count; i++) {
        int device = rand() % DEVICES, nr = rand() % 10;
        int size = rand() % 8 ? sizes[device][nr] : rand() % 300;

        if (nr == RESTRICT && (device == PRIVCMD || device == EVTCHN))
            continue; /* for good, and then all else is EPERM */
        for (int k = 0; k < 400; k++)
            buffer[k] = word();
        if (device == PRIVCMD && nr == HYPERCALL)
            make_hypercall();
        if (device == PRIVCMD && (nr == MMAPBATCH || nr == MMAPBATCH_V2))
            make_batch();
        if (device == PRIVCMD && nr == MMAP_RESOURCE)
            make_resource();
        if (device == PRIVCMD && nr == DM_OP)
            make_dm_op();
        if (device == GNTDEV && nr == MAP_GRANT_REF)
            make_grants(fds[GNTDEV]);
        if (device == GNTALLOC && nr == ALLOC_GREF)
            make_pages(fds[GNTALLOC]);
        seen[ioctl(fds[device], _IOC(_IOC_NONE, (unsigned)types[device], (unsigned)nr, (unsigned)size), buffer) < 0
                 ? errno
                 : 0]++;
        if (rand() % 200 == 0) { /* ports that are not its own, and part of one */
            if (write(fds[EVTCHN], buffer, (size_t)(rand() % 32)) < 0)
                seen[errno]++;
        }
        if (rand() % 500 == 0) {
            munmap(region, 1 << 20);
            region = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fds[PRIVCMD], 0);
        }
    }
    for (int i = 0; i < 200; i++)
        if (seen[i])
            printf("%s %d\n", i ? strerrorname_np(i) : "ok", seen[i]);
    return 0;
}
