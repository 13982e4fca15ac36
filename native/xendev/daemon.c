/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that is killed says goodbye to nobody, and its devices do not say that they are
 * gone to who waits for them: a daemon would wait for ever, or read the end of its event
 * channels again and again. The kernel ends it instead, as a machine that goes down does.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* How long reading the end of an event channel takes, in nanoseconds. */
#define AT_THE_END 100000000

/* As the host sees it (run-session.ts): it has left the session it was run in, and has no terminal. */
int daemon_is_one(void)
{
    const char *ran_in = getenv("XENOLITH_SESSION");
    int saved = errno, terminal;

    if (!ran_in || !*ran_in || atol(ran_in) == (long)getsid(0))
        return 0;
    terminal = raw_open(AT_FDCWD, "/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC, 0);
    if (terminal >= 0)
        raw_close(terminal);
    errno = saved;
    return terminal < 0;
}

void daemon_ends_with(int fd)
{
    struct pollfd end = { .fd = fd, .events = POLLIN };

    if (fcntl(fd, F_SETOWN, getpid()) || fcntl(fd, F_SETSIG, SIGTERM))
        return;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
    /* It may have closed before anybody was to be told. */
    if (poll(&end, 1, 0) > 0)
        kill(getpid(), SIGTERM);
}

void daemon_read_the_end(void)
{
    struct timespec moment = { 0, AT_THE_END };
    int saved = errno;

    host_complain("the host went away");
    nanosleep(&moment, NULL);
    errno = saved;
}
