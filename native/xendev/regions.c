/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the address space is ours, and which pages of which mapping it shows:
 * this is where mappings are counted. A sorted array of pieces; taking a range
 * out says precisely which pages of which mappings are no longer mapped.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

struct piece {
    uintptr_t start, end;
    int prot;
    uint64_t mapping; /* 0: a place held free, nothing mapped yet */
    uint64_t base;    /* address of page 0 of the mapping */
    uint64_t origin;  /* which mmap() made it: neighbours of one are one area to the kernel */
    int named;        /* something of the area was mapped, though perhaps no longer */
};

volatile int regions_exist;

static struct piece *pieces;
static size_t count, room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sigset_t saved_signals;

/* A signal handler that unmaps must not find the lock held by the code it interrupts. */
void regions_lock(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&lock);
    saved_signals = before;
}

void regions_unlock(void)
{
    sigset_t before = saved_signals;

    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Index of the first piece that ends after an address. */
static size_t first_after(uintptr_t address)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (pieces[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int insert(size_t at, struct piece piece)
{
    struct piece *grown = raw_grow(pieces, &room, count + 1, sizeof(*pieces));

    if (!grown)
        return -1;
    pieces = grown;
    memmove(pieces + at + 1, pieces + at, (count - at) * sizeof(*pieces));
    pieces[at] = piece;
    count++;
    regions_exist = 1;
    return 0;
}

/* Makes an address a boundary between pieces. */
static int split(uintptr_t address)
{
    size_t at = first_after(address);
    struct piece tail;

    if (at == count || pieces[at].start >= address)
        return 0;
    tail = pieces[at];
    tail.start = address;
    if (insert(at + 1, tail))
        return -1;
    pieces[at].end = address;
    return 0;
}

int regions_add(uintptr_t address, size_t length, int prot)
{
    static uint64_t last;
    struct piece piece = { .start = address, .end = address + length, .prot = prot, .origin = ++last };

    return insert(first_after(address), piece);
}

/* Whether two pieces, one before the other, are of one area. */
static int together(size_t at)
{
    return at + 1 < count && pieces[at].end == pieces[at + 1].start &&
           pieces[at].origin == pieces[at + 1].origin;
}

uint64_t regions_place(uintptr_t address)
{
    size_t at = first_after(address), last = at;
    int starts;

    if (at == count || pieces[at].start > address)
        return 0;
    starts = pieces[at].start == address && (!at || !together(at - 1));
    while (together(last))
        last++;
    return (uint64_t)pieces[at].prot | (starts ? XENDEV_PLACE_STARTS : 0) |
           (pieces[at].named ? XENDEV_PLACE_NAMED : 0) |
           (pieces[last].end - address) / XENDEV_PAGE * XENDEV_PLACE_PAGE;
}

int regions_protection(uintptr_t address, size_t length)
{
    uintptr_t end = address + length;
    size_t at = first_after(address);
    int prot;

    if (end < address || at == count || pieces[at].start > address)
        return -1;
    prot = pieces[at].prot;
    while (pieces[at].end < end) {
        if (at + 1 == count || pieces[at + 1].start != pieces[at].end)
            return -1;
        at++;
    }
    return prot;
}

static int note_unmapped(struct unmapped_list *list, const struct piece *piece)
{
    struct xendev_unmapped *grown;

    if (!piece->mapping)
        return 0;
    grown = raw_grow(list->items, &list->room, list->count + 1, sizeof(*list->items));
    if (!grown)
        return -1;
    list->items = grown;
    list->items[list->count++] = (struct xendev_unmapped){
        .mapping = piece->mapping,
        .first = (uint32_t)((piece->start - piece->base) / XENDEV_PAGE),
        .pages = (uint32_t)((piece->end - piece->start) / XENDEV_PAGE),
    };
    return 0;
}

/* That of all pieces of an area. */
static void note_named(size_t at)
{
    while (at && together(at - 1))
        at--;
    pieces[at].named = 1;
    for (; together(at); at++)
        pieces[at + 1].named = 1;
}

int regions_name(uintptr_t address, size_t length, uint64_t mapping, uint64_t base,
                 struct unmapped_list *out)
{
    if (split(address) || split(address + length))
        return -1;
    for (size_t at = first_after(address); at < count && pieces[at].start < address + length; at++) {
        if (note_unmapped(out, &pieces[at]))
            return -1;
        pieces[at].mapping = mapping;
        pieces[at].base = base;
    }
    if (mapping)
        note_named(first_after(address));
    return 0;
}

int regions_remove(uintptr_t address, size_t length, struct unmapped_list *out)
{
    size_t from, to;

    if (split(address) || split(address + length))
        return -1;
    from = to = first_after(address);
    while (to < count && pieces[to].start < address + length) {
        if (note_unmapped(out, &pieces[to]))
            return -1;
        to++;
    }
    memmove(pieces + from, pieces + to, (count - to) * sizeof(*pieces));
    count -= to - from;
    if (!count)
        regions_exist = 0;
    return 0;
}

int regions_overlap(uintptr_t address, size_t length)
{
    size_t at = first_after(address);

    return at < count && pieces[at].start < address + length;
}

void unmapped_free(struct unmapped_list *list)
{
    raw_free(list->items, list->room, sizeof(*list->items));
    list->items = NULL;
    list->count = list->room = 0;
}

void regions_fork_prepare(void)
{
    regions_lock();
}

void regions_fork_parent(void)
{
    regions_unlock();
}

/* Xen's mappings are not inherited (MADV_DONTFORK), so neither is the table. */
void regions_fork_child(void)
{
    count = 0;
    regions_exist = 0;
    regions_unlock();
}
