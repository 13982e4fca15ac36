/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to the host. An open device *is* a connected socket, and a
 * descriptor is recognised as ours by asking the kernel who its peer is: no
 * table to keep right across dup, fork, exec or passing descriptors around.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "stream.h"

/* The host proves to itself that it reads the right process: it finds this there. */
static unsigned char nonce[16];

/* The path the host listens on, as its peers see it. */
static struct sockaddr_un host_address;
static atomic_int host_address_known;

/*
 * Devices that were seen to be ours: four times the inode of each, which is not used again, and what it is
 * (XENDEV_HOLDS_PLACES, XENDEV_TAKES_WRITES). The oldest is forgotten.
 */
#define KNOWN 16
static _Atomic uint64_t known[KNOWN];

volatile int connections_take_writes;

static void note_known(uint64_t inode, unsigned kind)
{
    static atomic_uint next;

    atomic_store(&known[atomic_fetch_add(&next, 1) % KNOWN], inode * 4 + (kind & 3));
    if (kind & XENDEV_TAKES_WRITES)
        connections_take_writes = 1;
}

/* What is noted of an inode, 0 for nothing. */
static uint64_t noted(uint64_t inode)
{
    for (int i = 0; inode && i < KNOWN; i++)
        if (atomic_load(&known[i]) / 4 == inode)
            return atomic_load(&known[i]);
    return 0;
}

int connection_holds_places(uint64_t inode)
{
    return (noted(inode) & XENDEV_HOLDS_PLACES) != 0;
}

int connection_takes_writes(uint64_t inode)
{
    return (noted(inode) & XENDEV_TAKES_WRITES) != 0;
}

int descriptor_status(int fd, struct stat *status)
{
    int saved = errno, failed = fd < 0 || syscall(SYS_fstat, fd, status);

    errno = saved;
    return failed ? -1 : 0;
}

uint64_t connection_inode(int fd)
{
    struct stat status;

    return !descriptor_status(fd, &status) && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

static int peer_of(int fd, struct sockaddr_un *peer)
{
    socklen_t length = sizeof(*peer);

    memset(peer, 0, sizeof(*peer));
    return getpeername(fd, (struct sockaddr *)peer, &length) || peer->sun_family != AF_UNIX ||
           !peer->sun_path[0];
}

static int has_our_peer(int fd)
{
    struct sockaddr_un peer;

    if (peer_of(fd, &peer))
        return 0;
    if (!atomic_load(&host_address_known)) {
        /* Inherited over exec, nothing asked of the host yet. */
        int probe = connection_open("", O_CLOEXEC, 0, NULL);
        if (probe >= 0)
            raw_close(probe);
    }
    return atomic_load(&host_address_known) && !strcmp(peer.sun_path, host_address.sun_path);
}

uint64_t connection_behind(int fd, const struct stat *status)
{
    uint64_t inode = S_ISSOCK(status->st_mode) ? status->st_ino : 0;
    int saved = errno;

    if (inode && !noted(inode)) {
        if (has_our_peer(fd))
            note_known(inode, 0);
        else
            inode = 0;
    }
    errno = saved;
    return inode;
}

uint64_t connection_of(int fd)
{
    struct stat status;

    return descriptor_status(fd, &status) ? 0 : connection_behind(fd, &status);
}

static int connect_to_host(int flags)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", host_dir());
    int fd;

    if (length >= (int)sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        host_complain("the path of the host's socket is too long");
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | ((flags & O_CLOEXEC) ? SOCK_CLOEXEC : 0), 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        int refused = errno;
        raw_close(fd);
        errno = refused == EACCES ? EACCES : ENODEV;
        host_complain(refused == EACCES ? "permission denied by the host's socket"
                                        : "no host is running here; start one with: xenolith up");
        return -1;
    }
    if (!atomic_load(&host_address_known) && !peer_of(fd, &host_address))
        atomic_store(&host_address_known, 1);
    return fd;
}

static void explain_refusal(int error)
{
    if (error == ESTALE)
        host_complain("the host was restarted; this process belongs to the one before");
    else if (error == EPERM)
        host_complain("the host may not access this process's memory (ptrace restrictions?)");
    else if (error == EPROTO)
        host_complain("libxendev and the host are of different versions; start the host again");
}

static int say_hello(int fd, const char *device, int flags, uint64_t session, struct xendev_reply *reply)
{
    struct xendev_request hello = {
        .type = XENDEV_HELLO,
        .descriptor = connection_inode(fd),
        .args = { (uint64_t)getpid(), (uint64_t)flags, (uint64_t)(uintptr_t)nonce, session },
        .payload = (uint32_t)(sizeof(nonce) + strlen(device)),
        .protocol = XENDEV_PROTOCOL,
    };
    struct iovec parts[] = {
        { &hello, sizeof(hello) },
        { nonce, sizeof(nonce) },
        { (void *)device, strlen(device) },
    };

    if (stream_send(fd, parts, 3) || stream_receive(fd, reply, sizeof(*reply))) {
        errno = ENODEV;
        return -1;
    }
    if (reply->result < 0) {
        errno = (int)-reply->result;
        explain_refusal(errno);
        return -1;
    }
    return 0;
}

int connection_open(const char *device, int flags, uint64_t session, uint64_t *granted)
{
    static atomic_int nonce_known;
    struct xendev_reply reply;
    int fd;

    if (!atomic_exchange(&nonce_known, 1) && getrandom(nonce, sizeof(nonce), 0) < 0)
        nonce[0] = 1;
    fd = connect_to_host(flags);
    if (fd < 0)
        return -1;
    if (say_hello(fd, device, flags, session, &reply)) {
        int error = errno;
        raw_close(fd);
        errno = error;
        return -1;
    }
    if (granted)
        *granted = (uint64_t)reply.result;
    if (*device)
        note_known(connection_inode(fd), (unsigned)reply.mapping);
    if (flags & O_NONBLOCK)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}
