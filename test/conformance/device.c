/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does to device files what it is told, a system call a line of its standard input,
 * and answers each with a line: the result, its errno, and the bytes there are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static char line[200000], text[200000];
static unsigned char bytes[65536];

static size_t from_hex(const char *hex)
{
    size_t count = 0;

    for (; hex[0] && hex[1]; hex += 2)
        sscanf(hex, "%2hhx", &bytes[count++]);
    return count;
}

static void answer(long result, const void *data, size_t length)
{
    printf("%ld %s ", result, result == -1 ? strerrorname_np(errno) : "-");
    for (size_t i = 0; i < length; i++)
        printf("%02x", ((const unsigned char *)data)[i]);
    putchar('\n');
    fflush(stdout);
}

/* The argument is at the end of a page, so that nothing behind it can be read. */
static void do_ioctl(int fd, unsigned long number)
{
    static char *pages;
    size_t length = from_hex(text);
    char *argument;
    int result;

    if (!pages) {
        pages = mmap(NULL, 32 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(pages + 31 * 4096, 4096);
    }
    argument = strcmp(text, "nowhere") ? pages + 31 * 4096 - length : pages + 31 * 4096;
    if (argument < pages + 31 * 4096)
        memcpy(argument, bytes, length);
    else
        length = 0;
    errno = 0;
    result = ioctl(fd, number, argument);
    answer(result, argument, length);
}

int main(void)
{
    long a, b, c, d, e;

    while (fgets(line, sizeof(line), stdin)) {
        text[0] = 0;
        a = b = c = d = e = 0;
        if (sscanf(line, "open %ld %s", &a, text) == 2)
            answer(open(text, (int)a), NULL, 0);
        else if (sscanf(line, "ioctl %ld %ld %s", &a, &b, text) >= 2)
            do_ioctl((int)a, (unsigned long)b);
        else if (sscanf(line, "map %ld %ld %ld %ld %ld", &a, &b, &c, &d, &e) == 5)
            answer((long)mmap(NULL, (size_t)b, (int)c, (int)d, (int)a, e), NULL, 0);
        else if (sscanf(line, "unmap %ld %ld", &a, &b) == 2)
            answer(munmap((void *)a, (size_t)b), NULL, 0);
        else if (sscanf(line, "memory %ld", &a) == 1)
            answer((long)calloc(1, (size_t)a), NULL, 0);
        else if (sscanf(line, "poke %ld %s", &a, text) == 2) {
            size_t length = from_hex(text);
            memcpy((void *)a, bytes, length);
            answer(0, NULL, 0);
        } else if (sscanf(line, "peek %ld %ld", &a, &b) == 2)
            answer(0, (void *)a, (size_t)b);
        else if (sscanf(line, "write %ld %s", &a, text) >= 1) {
            size_t length = from_hex(text);
            answer(write((int)a, bytes, length), NULL, 0);
        } else if (sscanf(line, "read %ld %ld", &a, &b) == 2) {
            ssize_t got = read((int)a, bytes, (size_t)b);
            answer(got, bytes, got < 0 ? 0 : (size_t)got);
        } else if (sscanf(line, "poll %ld %ld", &a, &b) == 2) {
            struct pollfd asked = { (int)a, POLLIN | POLLOUT, 0 };
            int ready = poll(&asked, 1, (int)b);
            answer(ready <= 0 ? ready : asked.revents, NULL, 0);
        } else if (sscanf(line, "close %ld", &a) == 1)
            answer(close((int)a), NULL, 0);
        else
            return 2;
    }
    return 0;
}
