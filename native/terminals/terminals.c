/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudo terminals for the consoles of a host's domains: Node can make none. The
 * host writes orders to standard input and reads what happens from standard
 * output; both are messages of a letter, a number and bytes. It ends with its
 * standard input.
 *
 *   to us     o N        make terminal N          from us   o N PATH   it is made
 *             w N BYTES  write to it                        a N        somebody has opened it
 *             c N        close it                           d N        nobody has it open any more
 *                                                           r N BYTES  somebody has typed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#define TERMINALS_MAX 4096
#define BYTES_MAX 65536
/* What nobody has read yet of one terminal; more is lost, the oldest first. */
#define KEPT_MAX (1 << 20)

struct message {
    uint8_t letter;
    uint8_t pad[3];
    uint32_t number;
    uint32_t length;
};

struct terminal {
    uint32_t number;
    int master, watch, opens;
    char *kept;
    size_t length;
};

static struct terminal terminals[TERMINALS_MAX];
static size_t count;
static int notify;

static void say(char letter, uint32_t number, const void *bytes, uint32_t length)
{
    struct message message = { .letter = (uint8_t)letter, .number = number, .length = length };

    if (fwrite(&message, sizeof(message), 1, stdout) != 1 ||
        (length && fwrite(bytes, length, 1, stdout) != 1) || fflush(stdout))
        exit(0);
}

static struct terminal *find(uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (terminals[i].number == number)
            return &terminals[i];
    return NULL;
}

static int make_raw(const char *path)
{
    struct termios settings;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    int failed = fd < 0 || tcgetattr(fd, &settings);

    if (!failed) {
        cfmakeraw(&settings);
        failed = tcsetattr(fd, TCSANOW, &settings);
    }
    if (fd >= 0)
        close(fd);
    return failed;
}

/* An empty path says that there is none to be had. */
static void make(uint32_t number)
{
    char path[64] = "";
    int master = count < TERMINALS_MAX ? posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK) : -1;
    int watch = -1;

    if (master >= 0 && !grantpt(master) && !unlockpt(master) && !ptsname_r(master, path, sizeof(path)) &&
        !make_raw(path))
        watch = inotify_add_watch(notify, path, IN_OPEN | IN_CLOSE);
    if (watch < 0) {
        if (master >= 0)
            close(master);
        say('o', number, "", 0);
        return;
    }
    terminals[count++] = (struct terminal){ .number = number, .master = master, .watch = watch };
    say('o', number, path, (uint32_t)strlen(path));
}

static void forget(struct terminal *terminal)
{
    inotify_rm_watch(notify, terminal->watch);
    close(terminal->master);
    free(terminal->kept);
    *terminal = terminals[--count];
}

static void pump(struct terminal *terminal)
{
    ssize_t written = terminal->length ? write(terminal->master, terminal->kept, terminal->length) : 0;

    if (written <= 0)
        return;
    terminal->length -= (size_t)written;
    memmove(terminal->kept, terminal->kept + written, terminal->length);
}

static void keep(struct terminal *terminal, const char *bytes, size_t length)
{
    size_t over = terminal->length + length > KEPT_MAX ? terminal->length + length - KEPT_MAX : 0;

    if (!terminal->kept && !(terminal->kept = malloc(KEPT_MAX)))
        return;
    if (over > terminal->length)
        over = terminal->length;
    terminal->length -= over;
    memmove(terminal->kept, terminal->kept + over, terminal->length);
    memcpy(terminal->kept + terminal->length, bytes, length);
    terminal->length += length;
    pump(terminal);
}

static void order(void)
{
    static char bytes[BYTES_MAX];
    struct message message;
    struct terminal *terminal;

    if (fread(&message, sizeof(message), 1, stdin) != 1 || message.length > BYTES_MAX ||
        (message.length && fread(bytes, message.length, 1, stdin) != 1))
        exit(0);
    terminal = find(message.number);
    if (message.letter == 'o')
        make(message.number);
    else if (message.letter == 'c' && terminal)
        forget(terminal);
    else if (message.letter == 'w' && terminal)
        keep(terminal, bytes, message.length);
}

/* Somebody opened or closed terminals. */
static void opened_or_closed(void)
{
    char events[4096] __attribute__((aligned(8)));
    ssize_t got = read(notify, events, sizeof(events));

    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *event = (const struct inotify_event *)(events + at);
        for (size_t i = 0; i < count; i++) {
            struct terminal *terminal = &terminals[i];
            if (terminal->watch != event->wd)
                continue;
            if ((event->mask & IN_OPEN) && terminal->opens++ == 0)
                say('a', terminal->number, "", 0);
            else if ((event->mask & IN_CLOSE) && terminal->opens > 0 && --terminal->opens == 0)
                say('d', terminal->number, "", 0);
        }
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

static void typed(struct terminal *terminal)
{
    char bytes[4096];
    ssize_t got = read(terminal->master, bytes, sizeof(bytes));

    if (got > 0)
        say('r', terminal->number, bytes, (uint32_t)got);
}

int main(void)
{
    static struct pollfd fds[TERMINALS_MAX + 2];

    notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify < 0)
        return 1;
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        fds[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
        fds[1] = (struct pollfd){ .fd = notify, .events = POLLIN };
        for (size_t i = 0; i < count; i++) {
            struct terminal *terminal = &terminals[i];
            /* A terminal that nobody has open would hang up all the time. */
            fds[i + 2] = (struct pollfd){ .fd = terminal->opens ? terminal->master : -1, .events = POLLIN };
            if (terminal->length)
                fds[i + 2].events |= POLLOUT;
        }
        size_t polled = count;
        if (poll(fds, polled + 2, -1) < 0 && errno != EINTR)
            return 1;
        for (size_t i = 0; i < polled; i++) {
            if (fds[i + 2].revents & POLLIN)
                typed(&terminals[i]);
            if (fds[i + 2].revents & POLLOUT)
                pump(&terminals[i]);
        }
        if (fds[1].revents & POLLIN)
            opened_or_closed();
        if (fds[0].revents)
            order();
    }
}
