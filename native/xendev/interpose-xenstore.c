/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's functions by which libxenstore asks xenstored: answers are waited
 * for awake there, too. Only by the thread that made the connection: another one
 * that reads from it waits for events.
 */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* The C library's own, which a thread can be cancelled in. */
extern ssize_t __read(int fd, void *buffer, size_t size);
extern ssize_t __write(int fd, const void *buffer, size_t size);
extern int __connect(int fd, const struct sockaddr *address, socklen_t length);

/* This thread's last connection to xenstored, and one more: 0 for none. */
static __thread int connected __attribute__((tls_model("initial-exec")));

/* Where libxenstore looks (xs_daemon_socket). */
static int is_xenstored(const struct sockaddr *address, socklen_t length)
{
    const struct sockaddr_un *unix_address = (const struct sockaddr_un *)address;
    const char *given = getenv("XENSTORED_PATH");
    size_t room = length - offsetof(struct sockaddr_un, sun_path);
    const char *paths[] = { given ? given : "", "/run/xenstored/socket", "/var/run/xenstored/socket" };

    if (length <= offsetof(struct sockaddr_un, sun_path) || address->sa_family != AF_UNIX)
        return 0;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (*paths[i] && strnlen(unix_address->sun_path, room) == strlen(paths[i]) &&
            !memcmp(unix_address->sun_path, paths[i], strlen(paths[i])))
            return 1;
    return 0;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int failed = __connect(fd, address, length), saved = errno;

    if (!failed && is_xenstored(address, length))
        connected = fd + 1;
    errno = saved;
    return failed;
}

/* As the C library's. Event channels end where their host does, which no program looks for. */
static ssize_t read_plainly(int fd, void *buffer, size_t size)
{
    ssize_t got = __read(fd, buffer, size);

    if (!got && size && connection_of(fd))
        daemon_read_the_end();
    return got;
}

/* Should the descriptor be something else by now, reading it awake fails, and nothing has happened. */
ssize_t read(int fd, void *buffer, size_t size)
{
    int saved = errno;
    ssize_t got;

    if (fd + 1 != connected || !size)
        return read_plainly(fd, buffer, size);
    got = awake_receive(fd, buffer, size);
    errno = saved;
    return got < 0 ? __read(fd, buffer, size) : got;
}

/* xenstore through the kernel: what became of a message is what write() returns. */
static uint64_t writes_to(int fd)
{
    uint64_t device = connections_take_writes ? connection_of(fd) : 0;

    return device && connection_takes_writes(device) ? device : 0;
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    uint64_t device = writes_to(fd);

    return device ? device_write(device, buffer, size) : __write(fd, buffer, size);
}

/* The kernel writes each part by itself, and stops at the first that it does not take whole. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    uint64_t device = writes_to(fd);
    ssize_t total = 0;

    if (!device)
        return syscall(SYS_writev, fd, parts, count);
    for (int i = 0; i < count; i++) {
        ssize_t wrote = device_write(device, parts[i].iov_base, parts[i].iov_len);

        if (wrote < 0)
            return total ? total : wrote;
        total += wrote;
        if ((size_t)wrote < parts[i].iov_len)
            break;
    }
    return total;
}
