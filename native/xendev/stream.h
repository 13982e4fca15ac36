/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XENDEV_STREAM_H
#define XENDEV_STREAM_H

#include <stddef.h>
#include <sys/uio.h>

/* Sends all parts; 0, or -1 with errno. Modifies `parts`. EFAULT: nothing was sent. */
int stream_send(int fd, struct iovec *parts, int count);
/* Receives exactly `size` bytes; 0 and errno as it was, or -1 (end of stream: ECONNRESET). */
int stream_receive(int fd, void *buffer, size_t size);

#endif
