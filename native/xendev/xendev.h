/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libxendev: lets unmodified Xen programs run on a Xenolith host. It stands in
 * for Xen's device files: what a program asks of them travels to the host over
 * a Unix socket, and the host reads and writes the program's memory itself. No
 * structure of Xen's is known here; only paths, and which ioctl numbers are
 * Xen's.
 */
#ifndef XENDEV_H
#define XENDEV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- The protocol; src/live/bridge/protocol.ts is the other side. ---- */

#define XENDEV_PROTOCOL 4

enum xendev_request_type {
    XENDEV_HELLO = 1, /* first on every connection */
    /* args: number, argument; a place held free that the argument names and what is known of it, or 0 */
    XENDEV_IOCTL = 2,
    /* args: address, length, offset; PROT_* and perhaps XENDEV_MMAP_SHARED */
    XENDEV_MMAP = 3,
    /* Not answered: what a process says next is heard after it. */
    XENDEV_UNMAP = 4,
    /* args: address, length */
    XENDEV_WRITE = 5,
};

/* Followed by `payload` bytes. */
struct xendev_request {
    uint32_t type;
    uint32_t seq;
    uint64_t descriptor; /* inode of the socket behind the descriptor, 0 for none */
    uint64_t args[4];
    uint32_t payload;
    uint32_t protocol;
};

/* Followed by `runs` times struct xendev_run. */
struct xendev_reply {
    uint32_t seq;
    uint32_t runs;
    int64_t result;   /* negative: an errno */
    /*
     * Names what the runs map, for XENDEV_UNMAP; 0 for nothing. To a hello: XENDEV_HOLDS_PLACES, … With an errno to an ioctl: whether every such ioctl on this device whose argument begins
     * with the same word is refused so, as long as the host lives.
     */
    uint64_t mapping;
    uint64_t base;    /* address of page 0 of the mapping */
};

/* Consecutive pages of one memory file, to be placed at an address. */
struct xendev_run {
    uint64_t address;
    uint32_t file;
    uint32_t page;
    uint32_t pages;
    uint32_t writable;
};

/* Instead of a number of runs: a struct xendev_standing follows. */
#define XENDEV_STANDS 0xffffffffu

/* The first words of an argument that such an answer may look at. */
#define XENDEV_STANDING_WORDS 8

/*
 * The same ioctl on the same descriptor is answered with 0 as this one was where its argument begins
 * with the same bytes, as much is known of the place it names (args[3] of the request), and a word it
 * points at lies within bounds; what it then tells goes where another word of the argument points.
 */
struct xendev_standing {
    uint64_t count; /* as long as the host's file `standing` begins with this */
    uint64_t place;
    uint64_t first, last;
    uint32_t same;  /* bytes */
    uint16_t from;  /* the argument's word that points at the word asked for, */
    uint16_t to;    /* and that which points at where `told` goes */
    int32_t told;
    uint32_t reserved;
};

/* Payload of XENDEV_UNMAP: an array of these. */
struct xendev_unmapped {
    uint64_t mapping;
    uint32_t first;
    uint32_t pages;
};

#define XENDEV_PAGE 4096u
/* What a device is: mmap() only holds a place; write() is a call. */
#define XENDEV_HOLDS_PLACES 1u
#define XENDEV_TAKES_WRITES 2u
/*
 * What is known of a place: its PROT_*; whether it is the first page that one mmap() has held free, and
 * whether anything was mapped there; and so many times XENDEV_PLACE_PAGE as are held from there on.
 */
#define XENDEV_PLACE_STARTS 0x10u
#define XENDEV_PLACE_NAMED 0x20u
#define XENDEV_PLACE_PAGE 0x100u
/* Not MAP_PRIVATE. */
#define XENDEV_MMAP_SHARED (1ull << 32)

/* ---- host.c: where the host is ---- */

/* Directory of the host's device bridge: $XENOLITH_BRIDGE or /run/xenolith. */
const char *host_dir(void);
/* Says once per process why the host cannot be used; keeps errno. */
void host_complain(const char *why);

/* ---- paths.c ---- */

/* Whether opening this path makes a connection instead of opening a file. */
int path_is_device(const char *path);
/* The file that stands for `path`, in `buffer`, or `path` itself. */
const char *path_redirect(const char *path, char *buffer, size_t size);

/* ---- connection.c ---- */

/*
 * A new connection for a device path ("" for calls), or -1 with errno. `session`
 * is the one the process has, 0 for a new one, which `granted` then receives.
 */
int connection_open(const char *device, int flags, uint64_t session, uint64_t *granted);
/*
 * Whether mmap() of that device holds a place free, which nobody needs to be told. 0 also
 * where that is not known: for descriptors that came from another program.
 */
int connection_holds_places(uint64_t inode);
/* Whether write() to that device is a call; 0 also where that is not known. */
int connection_takes_writes(uint64_t inode);
/* Nonzero once there was such a device: a cheap test for the common case. */
extern volatile int connections_take_writes;
struct stat;
/* What fstat() says; 0, or -1 where there is no such descriptor. Keeps errno. */
int descriptor_status(int fd, struct stat *status);
/* Inode of a descriptor that is a connection to our host's bridge, 0 for any other. Keeps errno. */
uint64_t connection_of(int fd);
/* The same, of one whose status is known. */
uint64_t connection_behind(int fd, const struct stat *status);
/* Inode of the socket behind a descriptor, 0 where there is none. Keeps errno. */
uint64_t connection_inode(int fd);

/* ---- refusals.c: what the host refuses always, so that it is not asked again ---- */

struct refusal {
    uint64_t descriptor; /* inode of the socket behind it */
    uint64_t number;
    uint64_t word; /* first of the argument */
};
/* Whether there is anything to look for. */
int refusals_known(uint64_t descriptor);
/* The errno, or 0 where the host has to be asked. */
int refusal_of(const struct refusal *asked);
void refusal_note(const struct refusal *asked, int error);
/* Something was asked of a device that may change what it refuses. */
void refusals_forget(uint64_t descriptor);

/* ---- calls.c ---- */

struct call {
    struct xendev_request request;
    const void *payload; /* in the program's memory, possibly nowhere */
    struct xendev_reply reply;
    struct xendev_standing standing; /* where the reply's runs are XENDEV_STANDS */
    struct xendev_run *runs; /* call_release() gives it back */
    size_t room;
};

/* Performs a call, or sends one that is not answered; 0, or -1 with errno when it could not be carried. */
int call_perform(struct call *call);
void call_release(struct call *call);
/* Whether the descriptor is one of ours that the program must not close. */
int call_is_hidden(int fd);
/* The lowest hidden descriptor >= fd, or -1. */
int call_next_hidden(int fd);
/* Forgets the parent's connections in a forked child. */
void call_after_fork(void);
/* The session this process has with the host; 0 before the first call. */
uint64_t call_session(void);

/* ---- daemon.c: what becomes of programs whose host is gone ---- */

/* Whether this process has made itself a daemon. */
int daemon_is_one(void);
/* Has the process sent SIGTERM when the other end of a connection closes, on which nothing comes. */
void daemon_ends_with(int fd);
/* An event channel was read that has ended: takes a moment, as the program may do nothing but try again. */
void daemon_read_the_end(void);

/* ---- awake.c ---- */

void awake_start(void);
/* What comes within a moment, as recv() gives it; -1 with EAGAIN where nothing did, or is not waited for. */
ssize_t awake_receive(int fd, void *buffer, size_t size);

/* ---- buffers.c: memory for hypercalls ---- */

/* Nonzero once any was given out. */
extern volatile int buffers_exist;
/* A file was opened: perhaps /dev/xen/hypercall. */
void buffers_opened(const char *path, int fd);
/* Whether a descriptor of that status is /dev/xen/hypercall. Keeps errno. */
int buffers_device(const struct stat *status);
void *buffers_map(void *address, size_t length, int prot, int flags);
/* Keeps what is to be unmapped, where that is all of what was given out; 0 for anything else. */
int buffers_keep(void *address, size_t length);
/* A range is about to be unmapped, or mapped anew. */
void buffers_forget(void *address, size_t length);

/* ---- regions.c: what of the address space is ours ---- */

/* Nonzero once anything is mapped; a cheap test for the common case. */
extern volatile int regions_exist;

void regions_lock(void);
void regions_unlock(void);
/* The following need the lock. */
int regions_add(uintptr_t address, size_t length, int prot);
/* Protection of the region that holds all of a range, or -1. */
int regions_protection(uintptr_t address, size_t length);
/* What is known of a place (XENDEV_PLACE_*), 0 for an address outside all regions. */
uint64_t regions_place(uintptr_t address);
/* Notes that a range of a region now shows pages of a mapping; what it showed before goes to `out`. */
struct unmapped_list;
int regions_name(uintptr_t address, size_t length, uint64_t mapping, uint64_t base,
                 struct unmapped_list *out);
/* Takes a range out; what it mapped is appended to `out`. */
int regions_remove(uintptr_t address, size_t length, struct unmapped_list *out);
int regions_overlap(uintptr_t address, size_t length);
void regions_fork_prepare(void);
void regions_fork_parent(void);
void regions_fork_child(void);

struct unmapped_list {
    struct xendev_unmapped *items;
    size_t count, room;
};
void unmapped_free(struct unmapped_list *list);

/* ---- raw.c: memory and files without the symbols we interpose ---- */

void *raw_map(void *address, size_t length, int prot, int flags, int fd, off_t offset);
int raw_unmap(void *address, size_t length);
int raw_open(int dir, const char *path, int flags, mode_t mode);
int raw_close(int fd);
/* An array that grows, from whole pages of its own: usable inside munmap(). */
void *raw_grow(void *array, size_t *room, size_t wanted, size_t item);
void raw_free(void *array, size_t room, size_t item);

/* ---- argument.c: what a program's pointers point at ---- */

void argument_start(void);
/* Copies what an argument points at; 0, or -1 where it is not all there. */
int argument_copy(void *to, const void *argument, size_t size);
/* Puts something where an argument points; 0, or -1 where not all of that can be written to. */
int argument_write(void *argument, const void *from, size_t size);

/* ---- standing.c: answers that stand until the host takes a step; with the regions locked ---- */

void standing_note(const struct xendev_request *request, const uint64_t *words,
                   const struct xendev_standing *answer);
/* Whether what was noted answers this, too, with 0: then its result has been told. */
int standing_answers(const struct xendev_request *request, const uint64_t *words);

/* ---- device.c: what a program does to a device ---- */

/* Devices are named by their inodes. */
int device_ioctl(uint64_t device, unsigned long number, void *argument);
ssize_t device_write(uint64_t device, const void *buffer, size_t size);
void *device_map(void *address, size_t length, int prot, int flags, uint64_t device, off_t offset);
/* munmap() of any range, ours or not. */
int device_unmap(void *address, size_t length);
/* A MAP_FIXED of something else over a range: what was ours there is gone. */
void device_replaced(void *address, size_t length);

#endif
