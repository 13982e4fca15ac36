/* SPDX-License-Identifier: Apache-2.0 */
/* Whole messages over a stream, whatever signals arrive. */
#define _GNU_SOURCE
#include "stream.h"

#include "xendev.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

int stream_send(int fd, struct iovec *parts, int count)
{
    while (count) {
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = (size_t)count };
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);

        if (sent < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        while (count && (size_t)sent >= parts->iov_len) {
            sent -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count) {
            parts->iov_base = (char *)parts->iov_base + sent;
            parts->iov_len -= (size_t)sent;
        }
    }
    return 0;
}

int stream_receive(int fd, void *buffer, size_t size)
{
    char *place = buffer;
    int saved = errno;

    while (size) {
        ssize_t got = awake_receive(fd, place, size);

        if (got < 0 && errno == EAGAIN)
            got = recv(fd, place, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got == 0)
                errno = ECONNRESET;
            return -1;
        }
        place += got;
        size -= (size_t)got;
    }
    errno = saved;
    return 0;
}
