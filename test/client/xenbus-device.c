// SPDX-License-Identifier: Apache-2.0
/*
 * xenbus-device SOCKET - a character device that leads to a xenstored, as
 * /dev/xen/xenbus does: prints its name, and serves it until standard input ends.
 *
 * As in Linux (xenbus_dev_frontend.c), watches are confirmed without the
 * request's identifier, and events carry none.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { HEADER = 16, WATCH = 4, UNWATCH = 5 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void all(int fd, const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t m = write(fd, data, n);
		if (m <= 0)
			exit(0);
		data += m;
		n -= m;
	}
}

/* Hands on whole replies, those to watches as the kernel makes them. */
static void replies(int from, int to)
{
	static uint8_t bytes[1 << 17];
	static size_t used;
	ssize_t n = read(from, bytes + used, sizeof(bytes) - used);
	if (n <= 0)
		exit(0);
	used += n;
	for (;;) {
		uint32_t h[4];
		memcpy(h, bytes, HEADER);
		if (used < HEADER || used < HEADER + h[3])
			return;
		if (h[0] == WATCH || h[0] == UNWATCH)
			memset(bytes + 4, 0, 8);
		all(to, bytes, HEADER + h[3]);
		used -= HEADER + h[3];
		memmove(bytes, bytes + HEADER + h[3], used);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct termios raw;
	uint8_t bytes[4096];
	int store = socket(AF_UNIX, SOCK_STREAM, 0), master = posix_openpt(O_RDWR | O_NOCTTY), keep;
	ssize_t n;

	if (argc != 2 || master < 0 || grantpt(master) || unlockpt(master))
		die("xenbus-device SOCKET");
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", argv[1]);
	if (connect(store, (struct sockaddr *)&un, sizeof(un)))
		die(argv[1]);
	/* Held open, so that the device is there before and after its user. */
	keep = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (keep < 0 || tcgetattr(keep, &raw))
		die("pty");
	cfmakeraw(&raw);
	tcsetattr(keep, TCSANOW, &raw);
	printf("%s\n", ptsname(master));
	fflush(stdout);
	for (;;) {
		struct pollfd fds[] = { { 0, POLLIN, 0 }, { master, POLLIN, 0 }, { store, POLLIN, 0 } };
		if (poll(fds, 3, -1) < 0)
			die("poll");
		if (fds[0].revents && read(0, bytes, sizeof(bytes)) <= 0)
			return 0;
		if (fds[1].revents) {
			n = read(master, bytes, sizeof(bytes));
			if (n <= 0)
				return 0;
			all(store, bytes, n);
		}
		if (fds[2].revents)
			replies(store, master);
	}
}
