/* SPDX-License-Identifier: Apache-2.0 */
/* Where the host is, and what to say when it is not there. */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[PATH_MAX];
static atomic_int known;

const char *host_dir(void)
{
    if (!atomic_load(&known)) {
        const char *given = getenv("XENOLITH_BRIDGE");
        if (!given || !*given || strlen(given) >= sizeof(directory))
            given = "/run/xenolith";
        /* Two threads may both copy the same bytes: harmless. */
        strcpy(directory, given);
        atomic_store(&known, 1);
    }
    return directory;
}

void host_complain(const char *why)
{
    /* What was said last: another reason is worth another line. */
    static _Atomic(const char *) said;
    char line[PATH_MAX + 256];
    int saved = errno;

    if (atomic_exchange(&said, why) != why) {
        int length = snprintf(line, sizeof(line), "xenolith: %s (bridge %s)\n", why, host_dir());
        if (length > (int)sizeof(line) - 1)
            length = (int)sizeof(line) - 1;
        if (write(STDERR_FILENO, line, (size_t)length) < 0)
            errno = saved;
    }
    errno = saved;
}
