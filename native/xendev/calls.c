/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to the host, each on a connection of its own while it lasts, so that a
 * thread in a long hypercall does not hold up the others. Idle connections wait
 * in slots taken and given back with atomic operations alone: a signal handler
 * may make a call in the middle of one.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stream.h"

#define SLOTS 16
/* Far from the descriptors a program counts on getting. */
#define HIDDEN_FROM 700

/* KEPT: not for calls; its end tells a daemon of the host's. */
enum { EMPTY, IDLE, BUSY, KEPT };

struct slot {
    atomic_int state;
    atomic_int fd; /* -1 for none */
    _Atomic uint64_t inode;
};

static struct slot slots[SLOTS] = { [0 ... SLOTS - 1] = { EMPTY, -1, 0 } };
static _Atomic uint64_t session;
static _Atomic pid_t owner;

uint64_t call_session(void)
{
    return atomic_load(&session);
}

static int slot_holds(struct slot *slot, int fd)
{
    return atomic_load(&slot->fd) == fd && atomic_load(&slot->state) != EMPTY;
}

int call_is_hidden(int fd)
{
    for (int i = 0; fd >= 0 && i < SLOTS; i++)
        if (slot_holds(&slots[i], fd))
            return atomic_load(&owner) == getpid() && connection_inode(fd) == atomic_load(&slots[i].inode);
    return 0;
}

int call_next_hidden(int fd)
{
    int lowest = -1;

    for (int i = 0; i < SLOTS; i++) {
        int candidate = atomic_load(&slots[i].fd);
        if (candidate >= fd && (lowest < 0 || candidate < lowest) && call_is_hidden(candidate))
            lowest = candidate;
    }
    return lowest;
}

static void slot_close(struct slot *slot)
{
    int fd = atomic_load(&slot->fd);

    /* Somebody may have closed it by number and opened something else there. */
    if (fd >= 0 && connection_inode(fd) == atomic_load(&slot->inode))
        raw_close(fd);
    atomic_store(&slot->fd, -1);
    atomic_store(&slot->state, EMPTY);
}

void call_after_fork(void)
{
    for (int i = 0; i < SLOTS; i++)
        slot_close(&slots[i]);
    atomic_store(&session, 0);
    atomic_store(&owner, getpid());
}

static int hide(int fd)
{
    int hidden = fcntl(fd, F_DUPFD_CLOEXEC, HIDDEN_FROM);

    if (hidden < 0)
        return fd;
    raw_close(fd);
    return hidden;
}

/* `is_first`: of the process's session. */
static int connect_for_calls(int *is_first)
{
    for (;;) {
        uint64_t mine = atomic_load(&session), granted = 0, none = 0;
        int fd = connection_open("", O_CLOEXEC, mine, &granted);

        if (fd < 0)
            return -1;
        if (!mine && !atomic_compare_exchange_strong(&session, &none, granted)) {
            raw_close(fd); /* another thread was first; join its session */
            continue;
        }
        *is_first = !mine;
        return hide(fd);
    }
}

static struct slot *take_empty(void)
{
    for (int i = 0; i < SLOTS; i++) {
        int empty = EMPTY;
        if (atomic_compare_exchange_strong(&slots[i].state, &empty, BUSY))
            return &slots[i];
    }
    return NULL;
}

static void slot_open(struct slot *slot, int fd)
{
    atomic_store(&slot->inode, connection_inode(fd));
    atomic_store(&slot->fd, fd);
}

/* A daemon has a connection more, on which nothing is ever said. */
static void follow_host(void)
{
    struct slot *slot = daemon_is_one() ? take_empty() : NULL;
    int fd = slot ? connection_open("", O_CLOEXEC, atomic_load(&session), NULL) : -1;

    if (!slot)
        return;
    if (fd < 0) {
        atomic_store(&slot->state, EMPTY);
        return;
    }
    fd = hide(fd);
    slot_open(slot, fd);
    atomic_store(&slot->state, KEPT);
    daemon_ends_with(fd);
}

/* A slot of our own with a live connection, or NULL with errno. `spare` serves when all are taken. */
static struct slot *take(struct slot *spare)
{
    struct slot *mine = spare, *empty;
    int fd, is_first = 0;

    if (atomic_load(&owner) != getpid())
        call_after_fork(); /* a child made without fork() */
    for (int i = 0; i < SLOTS; i++) {
        int idle = IDLE;
        if (!atomic_compare_exchange_strong(&slots[i].state, &idle, BUSY))
            continue;
        if (connection_inode(atomic_load(&slots[i].fd)) == atomic_load(&slots[i].inode))
            return &slots[i];
        slot_close(&slots[i]);
    }
    empty = take_empty();
    if (empty)
        mine = empty;
    fd = connect_for_calls(&is_first);
    if (fd < 0) {
        atomic_store(&mine->state, EMPTY);
        return NULL;
    }
    slot_open(mine, fd);
    if (is_first)
        follow_host();
    return mine;
}

static void give_back(struct slot *slot, struct slot *spare)
{
    if (slot == spare)
        slot_close(slot);
    else
        atomic_store(&slot->state, IDLE);
}

static int exchange(int fd, struct call *call)
{
    struct iovec parts[] = {
        { &call->request, sizeof(call->request) },
        { (void *)call->payload, call->request.payload },
    };
    size_t room = 0;

    if (stream_send(fd, parts, call->request.payload ? 2 : 1))
        return -1;
    if (call->request.type == XENDEV_UNMAP) {
        memset(&call->reply, 0, sizeof(call->reply));
        return 0;
    }
    if (stream_receive(fd, &call->reply, sizeof(call->reply)))
        return -1;
    if (call->reply.seq != call->request.seq) {
        errno = EPROTO;
        return -1;
    }
    if (call->reply.runs == XENDEV_STANDS)
        return stream_receive(fd, &call->standing, sizeof(call->standing));
    if (!call->reply.runs)
        return 0;
    call->runs = raw_grow(NULL, &room, call->reply.runs, sizeof(*call->runs));
    call->room = room;
    if (!call->runs)
        return -1;
    return stream_receive(fd, call->runs, call->reply.runs * sizeof(*call->runs));
}

int call_perform(struct call *call)
{
    static atomic_uint sequence;
    struct slot spare = { BUSY, -1, 0 };
    struct slot *slot = take(&spare);
    int failed;

    call->runs = NULL;
    if (!slot)
        return -1;
    call->request.seq = atomic_fetch_add(&sequence, 1);
    call->request.protocol = XENDEV_PROTOCOL;
    failed = exchange(atomic_load(&slot->fd), call);
    if (!failed || errno == EFAULT) {
        int error = errno;
        give_back(slot, &spare);
        errno = error;
        return failed;
    }
    slot_close(slot);
    call_release(call);
    errno = ENODEV;
    host_complain("the host went away");
    return -1;
}

void call_release(struct call *call)
{
    raw_free(call->runs, call->room, sizeof(*call->runs));
    call->runs = NULL;
}
