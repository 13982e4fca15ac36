/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of this process's own that a domain may map (libxengnttab's gntshr), and a
 * channel over them (libxenvchan). Prints what came of each step.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libxenvchan.h>
#include <xen/sys/gntalloc.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096

static void say(const char *what, long result)
{
    printf("%s %ld %d\n", what, result, result < 0 ? errno : 0);
    fflush(stdout);
}

struct alloc {
    struct ioctl_gntalloc_alloc_gref op;
    uint32_t more[1024];
};

static int alloc(int fd, struct alloc *asked, uint32_t count)
{
    memset(asked, 0, sizeof(*asked));
    asked->op.flags = GNTALLOC_FLAG_WRITABLE;
    asked->op.count = count;
    return ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, asked);
}

static int dealloc(int fd, uint64_t index, uint32_t count)
{
    struct ioctl_gntalloc_dealloc_gref op = { .index = index, .count = count };

    return ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &op);
}

static int notify(int fd, uint64_t index, uint32_t action, uint32_t port)
{
    struct ioctl_gntalloc_unmap_notify op = { index, action, port };

    return ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &op);
}

static void *map(int fd, uint64_t index, int pages)
{
    return mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)index);
}

/* The device itself: its limit, its offsets, what it refuses. */
static int device(void)
{
    int fd = open("/dev/xen/gntalloc", O_RDWR);
    struct alloc first, second;
    unsigned char *area;

    say("open", fd < 0 ? -1 : 0);
    say("alloc 2", alloc(fd, &first, 2));
    say("alloc 1023", alloc(fd, &second, 1023));
    say("alloc 1022", alloc(fd, &second, 1022));
    say("indices", (long)(first.op.index + second.op.index));
    say("map nowhere", map(fd, 1 << 30, 1) == MAP_FAILED ? -1 : 0);
    say("map too many", map(fd, 0, 1025) == MAP_FAILED ? -1 : 0);
    area = map(fd, first.op.index, 2);
    say("map", area == MAP_FAILED ? -1 : area[0] + area[PAGE]);
    area[PAGE + 5] = 7;
    say("notify nowhere", notify(fd, 1 << 30, UNMAP_NOTIFY_CLEAR_BYTE, 0));
    say("notify oddly", notify(fd, 0, 8, 0));
    say("notify no port", notify(fd, 0, UNMAP_NOTIFY_SEND_EVENT, 4000));
    say("notify", notify(fd, PAGE + 5, UNMAP_NOTIFY_CLEAR_BYTE, 0));
    say("dealloc none", dealloc(fd, 0, 0));
    say("dealloc", dealloc(fd, 0, 2));
    say("dealloc again", dealloc(fd, 0, 2));
    say("still mapped", area[PAGE + 5]);
    say("no ioctl", ioctl(fd, _IOC(_IOC_NONE, 'G', 99, 8), &first));
    say("full", alloc(fd, &first, 1));
    munmap(area, 2 * PAGE);
    say("room", alloc(fd, &first, 2));
    close(fd);
    return 0;
}

/* Shares a page with a domain; prints its reference, waits for a line, ends in the way asked for. */
static int share(uint32_t domid)
{
    xengntshr_handle *shr = xengntshr_open(NULL, 0);
    xengnttab_handle *tab = xengnttab_open(NULL, 0);
    uint32_t ref = 0;
    char line[64];
    char *mine = xengntshr_share_page_notify(shr, domid, &ref, 1, 8, -1);
    char *theirs;

    strcpy(mine, "shared");
    mine[8] = 1;
    printf("ref %u\n", ref);
    fflush(stdout);
    theirs = xengnttab_map_grant_ref(tab, 0, ref, PROT_READ | PROT_WRITE);
    printf("maps %s %d\n", theirs ? theirs : "nothing", theirs ? theirs[8] : -1);
    xengntshr_unshare(shr, mine, 1);
    /* munmap() tells the host and does not wait for it. */
    for (int i = 0; theirs && theirs[8] && i < 2000; i++)
        usleep(1000);
    printf("unshared %s %d\n", theirs ? theirs : "nothing", theirs ? theirs[8] : -1);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return 1;
    if (theirs)
        xengnttab_unmap(tab, theirs, 1);
    xengnttab_close(tab);
    xengntshr_close(shr);
    return 0;
}

/* One end of a channel: a server sends back what comes, a client what it is told on its stdin. */
static int channel(int server, int domid, const char *path, int size)
{
    struct libxenvchan *ctrl = server ? libxenvchan_server_init(NULL, domid, path, size, size)
                                      : libxenvchan_client_init(NULL, domid, path);
    char text[8192];
    int length;

    if (!ctrl) {
        say("init", -1);
        return 1;
    }
    ctrl->blocking = 1;
    say("init", 0);
    if (server) {
        while ((length = libxenvchan_read(ctrl, text, sizeof(text))) > 0)
            libxenvchan_write(ctrl, text, (size_t)length);
    } else {
        while (fgets(text, sizeof(text), stdin)) {
            length = (int)strlen(text);
            if (libxenvchan_send(ctrl, text, (size_t)length) != length ||
                libxenvchan_recv(ctrl, text, (size_t)length) != length)
                break;
            fwrite(text, 1, (size_t)length, stdout);
            fflush(stdout);
        }
    }
    say("open", libxenvchan_is_open(ctrl));
    libxenvchan_close(ctrl);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "device"))
        return device();
    if (argc == 3 && !strcmp(argv[1], "share"))
        return share((uint32_t)atoi(argv[2]));
    if (argc == 5)
        return channel(!strcmp(argv[1], "server"), atoi(argv[2]), argv[3], atoi(argv[4]));
    fprintf(stderr, "vchan device | share DOMID | server|client DOMID PATH SIZE\n");
    return 2;
}
