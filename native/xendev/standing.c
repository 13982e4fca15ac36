/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that stand. The host says of some that they are the same for others of that
 * kind until it takes a step: that no frame of a domain is there up to the next one, of
 * which xl dump-core asks a million times, each frame by itself. The host counts in a
 * file when what it said so stands no more. The last such answer is kept; the host
 * describes it, so that nothing of what is asked has to be known here.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Everything here is used with the regions locked. */
static struct {
    uint64_t descriptor, number; /* 0: there is none */
    uint64_t words[XENDEV_STANDING_WORDS];
    struct xendev_standing answer;
} last;

/* The host's count; NULL where its file cannot be had. */
static _Atomic uint64_t *count_of_host(void)
{
    static _Atomic uint64_t *count;
    static int tried;
    char path[PATH_MAX];
    void *page;
    int fd;

    if (tried)
        return count;
    tried = 1;
    snprintf(path, sizeof(path), "%s/standing", host_dir());
    fd = raw_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    page = raw_map(NULL, XENDEV_PAGE, PROT_READ, MAP_SHARED, fd, 0);
    raw_close(fd);
    if (page != MAP_FAILED)
        count = page;
    return count;
}

void standing_note(const struct xendev_request *request, const uint64_t *words, const struct xendev_standing *answer)
{
    size_t size = request->payload < sizeof(last.words) ? request->payload : sizeof(last.words);

    last.number = 0;
    if (!count_of_host() || answer->same > size || answer->from >= size / 8 || answer->to >= size / 8)
        return;
    memcpy(last.words, words, size);
    last.answer = *answer;
    last.descriptor = request->descriptor;
    last.number = request->args[0];
}

int standing_answers(const struct xendev_request *request, const uint64_t *words)
{
    const struct xendev_standing *answer = &last.answer;
    uint64_t asked;

    if (!last.number || request->args[0] != last.number || request->descriptor != last.descriptor ||
        request->args[3] != answer->place || memcmp(words, last.words, answer->same) ||
        argument_copy(&asked, (const void *)(uintptr_t)words[answer->from], sizeof(asked)) ||
        asked < answer->first || asked > answer->last)
        return 0;
    /* Now, and not when the host said so. */
    if (atomic_load(count_of_host()) != answer->count) {
        last.number = 0;
        return 0;
    }
    return !argument_write((void *)(uintptr_t)words[answer->to], &answer->told, sizeof(answer->told));
}
