/* SPDX-License-Identifier: Apache-2.0 */
/* What a program does to a device: ask it something, map it, unmap it. */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* Larger arguments the host reads from the program's memory itself. */
#define INLINE_ARGUMENT 256u
/* Entries of one XENDEV_UNMAP. */
#define UNMAP_BATCH 256u

static size_t whole_pages(size_t length)
{
    return (length + XENDEV_PAGE - 1) & ~(size_t)(XENDEV_PAGE - 1);
}

/* Tells the host what is no longer mapped. Keeps errno: the pages are gone whatever happens. */
static void report_unmapped(struct unmapped_list *list)
{
    int saved = errno;

    for (size_t done = 0; done < list->count;) {
        size_t batch = list->count - done < UNMAP_BATCH ? list->count - done : UNMAP_BATCH;
        struct call call = {
            .request = { .type = XENDEV_UNMAP, .payload = (uint32_t)(batch * sizeof(*list->items)) },
            .payload = list->items + done,
        };
        if (call_perform(&call))
            break;
        call_release(&call);
        done += batch;
    }
    unmapped_free(list);
    errno = saved;
}

static int memory_file(uint32_t file, int writable)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/memory/%08x", host_dir(), file);
    return raw_open(AT_FDCWD, path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
}

static int place_run(const struct xendev_run *run, int file)
{
    void *address = (void *)(uintptr_t)run->address;
    size_t length = (size_t)run->pages * XENDEV_PAGE;
    int prot = regions_protection((uintptr_t)address, length);

    if (prot < 0) {
        errno = EINVAL;
        return -1;
    }
    if (!run->writable)
        prot &= ~PROT_WRITE;
    return raw_map(address, length, prot, MAP_SHARED | MAP_FIXED, file,
                   (off_t)run->page * XENDEV_PAGE) == MAP_FAILED
               ? -1
               : 0;
}

/* Puts the pages of a reply in their places; the regions are locked. */
static int place_runs(const struct call *call)
{
    int file = -1, failed = 0;

    for (uint32_t i = 0; i < call->reply.runs && !failed; i++) {
        const struct xendev_run *run = &call->runs[i];
        if (!i || run->file != run[-1].file || run->writable != run[-1].writable) {
            if (file >= 0)
                raw_close(file);
            file = memory_file(run->file, (int)run->writable);
        }
        failed = file < 0 || place_run(run, file);
    }
    if (file >= 0) {
        int saved = errno;
        raw_close(file);
        errno = saved;
    }
    return failed ? -1 : 0;
}

static uintptr_t runs_end(const struct call *call)
{
    const struct xendev_run *last = &call->runs[call->reply.runs - 1];

    return (uintptr_t)last->address + (size_t)last->pages * XENDEV_PAGE;
}

/* Back to a place held free, where that place is still ours. */
static void withdraw_runs(const struct call *call)
{
    for (uint32_t i = 0; i < call->reply.runs; i++) {
        const struct xendev_run *run = &call->runs[i];
        size_t length = (size_t)run->pages * XENDEV_PAGE;
        if (regions_protection((uintptr_t)run->address, length) >= 0)
            raw_map((void *)(uintptr_t)run->address, length, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }
}

static void note_refused(struct unmapped_list *list, const struct call *call, size_t length)
{
    list->items = raw_grow(list->items, &list->room, list->count + 1, sizeof(*list->items));
    if (list->items)
        list->items[list->count++] = (struct xendev_unmapped){
            call->reply.mapping, 0, (uint32_t)(length / XENDEV_PAGE),
        };
}

/* Maps what a reply brought; 0, or -1 with errno and nothing of it mapped. */
static int accept_mapping(const struct call *call)
{
    struct unmapped_list gone = { 0 };
    uintptr_t first;
    size_t length;
    int error = 0;

    if (!call->reply.runs || call->reply.runs == XENDEV_STANDS)
        return 0;
    first = (uintptr_t)call->reply.base;
    length = runs_end(call) - first;
    regions_lock();
    if (regions_protection(first, length) < 0) {
        error = EINVAL;
        note_refused(&gone, call, length);
    } else if (regions_name(first, length, call->reply.mapping, first, &gone)) {
        error = ENOMEM;
        note_refused(&gone, call, length);
    } else if (place_runs(call)) {
        error = errno;
        withdraw_runs(call);
        regions_name(first, length, 0, 0, &gone);
    } else {
        madvise((void *)first, length, MADV_DONTFORK);
    }
    regions_unlock();
    report_unmapped(&gone);
    errno = error;
    return error ? -1 : 0;
}

static int finish(struct call *call)
{
    int64_t result = call->reply.result;

    if (result >= 0 && accept_mapping(call))
        result = -errno;
    call_release(call);
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return (int)result;
}

/* A place held free that an argument names in one of its words: what it is is known here alone. */
static void name_place(struct xendev_request *request, const uint64_t *words)
{
    for (size_t i = 0; i < request->payload / sizeof(*words) && !request->args[2]; i++) {
        uint64_t known = words[i] ? regions_place(words[i]) : 0;
        if (!known)
            continue;
        request->args[2] = words[i];
        request->args[3] = known;
    }
}

/* Hypercalls, by far the most frequent, map nothing. */
static int may_map(unsigned long number)
{
    return _IOC_TYPE(number) == 'P' && _IOC_NR(number) != 0;
}

/* The errno with which the host said that it always refuses this, or 0. What is not a hypercall may change that. */
static int refused_always(struct refusal *asked, const void *argument)
{
    if (may_map(asked->number)) {
        refusals_forget(asked->descriptor);
        return 0;
    }
    if (!refusals_known(asked->descriptor) || argument_copy(&asked->word, argument, sizeof(asked->word)))
        return 0;
    return refusal_of(asked);
}

int device_ioctl(uint64_t device, unsigned long number, void *argument)
{
    size_t size = _IOC_SIZE(number);
    uint64_t words[INLINE_ARGUMENT / sizeof(uint64_t)] = { 0 };
    struct refusal asked = { device, number, 0 };
    struct call call = {
        .request = {
            .type = XENDEV_IOCTL,
            .descriptor = device,
            .args = { number, (uint64_t)(uintptr_t)argument },
            .payload = size <= INLINE_ARGUMENT ? (uint32_t)size : 0,
        },
        .payload = argument,
    };
    int error = refused_always(&asked, argument);

    if (error) {
        errno = error;
        return -1;
    }
    /* An argument that cannot be read is the host's to refuse. */
    if (may_map(number) && regions_exist && !argument_copy(words, argument, call.request.payload)) {
        int answered;
        regions_lock();
        name_place(&call.request, words);
        answered = standing_answers(&call.request, words);
        regions_unlock();
        if (answered)
            return 0;
    }
    if (call_perform(&call))
        return -1;
    if (call.reply.runs == XENDEV_STANDS) {
        regions_lock();
        standing_note(&call.request, words, &call.standing);
        regions_unlock();
    }
    if (call.reply.result < 0 && call.reply.mapping && !argument_copy(&asked.word, argument, sizeof(asked.word)))
        refusal_note(&asked, (int)-call.reply.result);
    return finish(&call);
}

ssize_t device_write(uint64_t device, const void *buffer, size_t size)
{
    struct call call = {
        .request = {
            .type = XENDEV_WRITE,
            .descriptor = device,
            .args = { (uint64_t)(uintptr_t)buffer, size },
        },
    };

    return call_perform(&call) ? -1 : finish(&call);
}

/* Takes a range from the table; the caller reports `gone` after unlocking. */
static void forget_range(void *address, size_t length, struct unmapped_list *gone)
{
    if (regions_exist && regions_overlap((uintptr_t)address, length))
        regions_remove((uintptr_t)address, length, gone);
}

static void *hold_place(void *address, size_t length, int prot, int flags)
{
    struct unmapped_list gone = { 0 };
    int keep = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    void *place;

    regions_lock();
    place = raw_map(address, length, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | keep, -1, 0);
    if (place != MAP_FAILED) {
        forget_range(place, length, &gone);
        if (regions_add((uintptr_t)place, length, prot)) {
            raw_unmap(place, length);
            errno = ENOMEM;
            place = MAP_FAILED;
        }
    }
    regions_unlock();
    report_unmapped(&gone);
    return place;
}

void *device_map(void *address, size_t length, int prot, int flags, uint64_t device, off_t offset)
{
    struct call call = {
        .request = { .type = XENDEV_MMAP, .descriptor = device },
    };
    void *place;

    if (!length || offset % XENDEV_PAGE) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    length = whole_pages(length);
    place = hold_place(address, length, prot, flags);
    if (place == MAP_FAILED || connection_holds_places(device))
        return place;
    call.request.args[0] = (uint64_t)(uintptr_t)place;
    call.request.args[1] = length;
    call.request.args[2] = (uint64_t)offset;
    call.request.args[3] = (uint64_t)prot | (flags & MAP_SHARED ? XENDEV_MMAP_SHARED : 0);
    if (call_perform(&call) || finish(&call) < 0) {
        int error = errno;
        device_unmap(place, length);
        errno = error;
        return MAP_FAILED;
    }
    return place;
}

int device_unmap(void *address, size_t length)
{
    struct unmapped_list gone = { 0 };
    int result;

    regions_lock();
    result = raw_unmap(address, length);
    if (!result)
        forget_range(address, whole_pages(length), &gone);
    regions_unlock();
    report_unmapped(&gone);
    return result;
}

void device_replaced(void *address, size_t length)
{
    struct unmapped_list gone = { 0 };

    regions_lock();
    forget_range(address, whole_pages(length), &gone);
    regions_unlock();
    report_unmapped(&gone);
}
