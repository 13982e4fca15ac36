// SPDX-License-Identifier: Apache-2.0
/*
 * driver RUN - plays scripts of requests to a xenstored, one at a time.
 *
 * A script comes on standard input as commands (driver.ts writes them), and what
 * all its connections received goes to standard output in one piece. Every
 * request waits for its own reply, so that the order of what connections do is
 * that of the script; doing this here and not in Node makes it ten times cheaper.
 *
 * Connections are sockets (RUN/socket) or rings (RUN/ring-<domid>, see
 * bench/xenstored/xenstub.c). All numbers are little-endian.
 *
 *   C slot                          connect a socket
 *   R slot domid16                  take a domain's ring page, zeroed
 *   X slot                          close
 *   S slot txslot type32 tx32 len16 payload
 *                                   request; waits for the reply. The transaction is
 *                                   the one last started in `txslot`, or tx32 for 255
 *   P slot txslot type32 tx32 len16 payload
 *                                   the same, but leaves the reply to the next request that waits
 *   W slot len16 bytes              bytes, waits for nothing
 *   G slot                          waits until all the connection has to get is there
 *   A                               the same for all connections that have watches
 *   Q slot                          it has no watches any more, and may not answer
 *   D domid16 state                 what the hypervisor says of a domain (xenstub.c), and VIRQ_DOM_EXC
 *   d domid16 state                 the same, but nobody is told
 *   E                               end of the script
 *
 * Output: length32, then records: `.` after each command; `M slot flags type32
 * len16 payload` for a message, flags 1 for a request id that is not the one asked
 * with, 2 for such a transaction id; `X slot` for a closed connection; `T slot`
 * for one that did not answer in time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SLOTS = 32, RING = 1024, VIRQ_PORT = 7, FIRST_DOMAIN_PORT = 1000, WAIT_MS = 3000 };
enum { GET_DOMAIN_PATH = 10, TRANSACTION_START = 6, WATCH = 4, WATCH_EVENT = 15 };

struct page {
	uint8_t req[RING], rsp[RING];
	uint32_t req_cons, req_prod, rsp_cons, rsp_prod, features, connection, error;
};

struct slot {
	int fd;			/* -1: no socket */
	volatile struct page *page;
	uint32_t port, req_id;
	/* Requests whose replies nobody has waited for. */
	uint32_t pending;
	int watches, dead;
	uint8_t in[1 << 16];
	size_t used;
};

static struct slot slots[SLOTS];
static uint32_t transactions[SLOTS];
static const char *run;
static int evtchn = -1, notify = -1;
static uint8_t *out;
static size_t out_used, out_size;

static void die(const char *what)
{
	fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(const void *data, size_t n)
{
	if (out_used + n > out_size) {
		out_size = (out_used + n) * 2;
		out = realloc(out, out_size);
		if (!out)
			die("memory");
	}
	memcpy(out + out_used, data, n);
	out_used += n;
}
static void put8(uint8_t v) { put(&v, 1); }

static void take(void *data, size_t n)
{
	if (fread(data, 1, n, stdin) != n)
		exit(0);
}
static uint8_t take8(void) { uint8_t v; take(&v, 1); return v; }
static uint16_t take16(void) { uint16_t v; take(&v, 2); return v; }
static uint32_t take32(void) { uint32_t v; take(&v, 4); return v; }

static int fifo(const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", run, name);
	/* The daemon makes it as well, perhaps later. */
	if (mkfifo(path, 0600) && errno != EEXIST)
		return -1;
	return open(path, O_RDWR | O_NONBLOCK);
}

static void raise_port(uint32_t port)
{
	while (write(evtchn, &port, 4) != 4)
		if (errno != EAGAIN)
			die("event channel");
}

static void mark_dead(struct slot *s, uint8_t how)
{
	if (!s->dead) {
		put8(how);
		put8(s - slots);
	}
	s->dead = 1;
}

/* ---- transports ------------------------------------------------------ */
static void open_socket(struct slot *s)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/socket", run);
	s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&un, sizeof(un)))
		die("socket");
}

static void open_ring(struct slot *s, uint16_t domid)
{
	char path[512];
	int fd;
	snprintf(path, sizeof(path), "%s/ring-%u", run, domid);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, 4096))
		die(path);
	s->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s->page == MAP_FAILED)
		die("mmap");
	close(fd);
	memset((void *)s->page, 0, sizeof(struct page));
	s->port = FIRST_DOMAIN_PORT + domid;
}

static void close_slot(struct slot *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->page)
		munmap((void *)s->page, 4096);
	memset(s, 0, offsetof(struct slot, in));
	s->fd = -1;
	s->used = 0;
}

/* Takes what a ring has; 1 where that was something. */
static int ring_take(struct slot *s)
{
	uint32_t cons = s->page->rsp_cons, n = s->page->rsp_prod - cons, i;
	if (n == 0 || n > RING || s->used + n > sizeof(s->in))
		return 0;
	__sync_synchronize();
	for (i = 0; i < n; i++)
		s->in[s->used + i] = s->page->rsp[(cons + i) % RING];
	s->used += n;
	__sync_synchronize();
	s->page->rsp_cons = cons + n;
	raise_port(s->port);
	return 1;
}

/* Waits until there is something new to look at; 0 where the connection is of no more use. */
static int wait_for(struct slot *s, short events)
{
	uint32_t ports[64];
	struct pollfd p = { .fd = s->page ? notify : s->fd, .events = s->page ? POLLIN : events };
	int n = poll(&p, 1, WAIT_MS);
	if (n < 0 && errno != EINTR)
		die("poll");
	if (n == 0) {
		mark_dead(s, 'T');
		return 0;
	}
	if (s->page) {
		if (read(notify, ports, sizeof(ports)) < 0 && errno != EAGAIN)
			die("notify");
		return 1;
	}
	return 1;
}

/* Receives at least something. */
static int receive(struct slot *s)
{
	ssize_t n;
	if (s->page) {
		while (!ring_take(s))
			if (!wait_for(s, POLLIN))
				return 0;
		return 1;
	}
	if (!wait_for(s, POLLIN))
		return 0;
	n = read(s->fd, s->in + s->used, sizeof(s->in) - s->used);
	if (n <= 0) {
		mark_dead(s, 'X');
		return 0;
	}
	s->used += n;
	return 1;
}

static int send_bytes(struct slot *s, const uint8_t *data, size_t n)
{
	if (s->dead)
		return 0;
	if (!s->page) {
		while (n > 0) {
			ssize_t m = send(s->fd, data, n, MSG_NOSIGNAL);
			if (m <= 0) {
				mark_dead(s, 'X');
				return 0;
			}
			data += m;
			n -= m;
		}
		return 1;
	}
	while (n > 0) {
		uint32_t prod = s->page->req_prod, room = RING - (prod - s->page->req_cons), i;
		if (room == 0 || room > RING) {
			ring_take(s);
			if (!wait_for(s, POLLIN))
				return 0;
			continue;
		}
		if (room > n)
			room = n;
		for (i = 0; i < room; i++)
			s->page->req[(prod + i) % RING] = data[i];
		__sync_synchronize();
		s->page->req_prod = prod + room;
		data += room;
		n -= room;
		raise_port(s->port);
	}
	return 1;
}

/* ---- messages -------------------------------------------------------- */
/* Hands out messages until the reply with this request id; the reply's payload, or NULL. */
static const uint8_t *until_reply(struct slot *s, uint32_t req_id, uint32_t tx, int show, uint32_t *type)
{
	static uint8_t payload[4096 + 1];
	for (;;) {
		uint32_t h[4];
		size_t whole;
		memcpy(h, s->in, 16);
		if (s->used < 16 || s->used < 16 + h[3]) {
			if (s->dead || !receive(s))
				return NULL;
			continue;
		}
		if (h[3] > 4096) {
			mark_dead(s, 'X');
			return NULL;
		}
		whole = 16 + h[3];
		memcpy(payload, s->in + 16, h[3]);
		payload[h[3]] = 0;
		memmove(s->in, s->in + whole, s->used - whole);
		s->used -= whole;
		if (h[0] == WATCH_EVENT || show) {
			uint16_t len = h[3];
			int event = h[0] == WATCH_EVENT;
			put8('M');
			put8(s - slots);
			put8((h[1] != (event ? 0 : req_id)) | (h[2] != (event ? 0 : tx)) << 1);
			put(&h[0], 4);
			put(&len, 2);
			put(payload, len);
		}
		if (h[0] != WATCH_EVENT) {
			*type = h[0];
			return payload;
		}
	}
}

struct request {
	uint32_t type, tx;
	const uint8_t *data;
	uint16_t n;
	int show, txslot, waits;
};

static void request(struct slot *s, struct request r)
{
	static uint8_t whole[16 + 65536];
	uint32_t h[4] = { r.type, ++s->req_id, r.tx, r.n }, answered = 0;
	const uint8_t *reply;
	if (s->fd < 0 && !s->page)
		return;
	memcpy(whole, h, 16);
	memcpy(whole + 16, r.data, r.n);
	if (!send_bytes(s, whole, 16 + r.n))
		return;
	if (!r.waits) {
		s->pending++;
		return;
	}
	for (; s->pending > 0 && !s->dead; s->pending--)
		until_reply(s, h[1] - s->pending, 0, 1, &answered);
	reply = until_reply(s, h[1], r.tx, r.show, &answered);
	if (r.type == WATCH)
		s->watches = 1;
	if (reply && answered == TRANSACTION_START && r.txslot != 255)
		transactions[r.txslot] = strtoul((const char *)reply, NULL, 10);
}

static void barrier(struct slot *s)
{
	if (!s->dead)
		request(s, (struct request){ GET_DOMAIN_PATH, 0, (const uint8_t *)"0", 2, 0, 255, 1 });
}

static void set_domain(uint16_t domid, uint8_t state, int tell)
{
	static int fd = -1;
	int i, left = 0;
	char path[512];
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/domains", run);
		fd = open(path, O_RDWR);
	}
	if (pwrite(fd, &state, 1, domid) != 1)
		die("domains");
	if (!tell)
		return;
	raise_port(VIRQ_PORT);
	/* Daemons take one event a turn, and requests in each. */
	for (i = 0; i < WAIT_MS * 20 && !ioctl(evtchn, FIONREAD, &left) && left > 0; i++)
		usleep(50);
}

static void command(uint8_t op)
{
	static uint8_t data[65536];
	struct slot *s = NULL;
	uint16_t n;
	if (op != 'A' && op != 'D' && op != 'd')
		s = &slots[take8() % SLOTS];
	switch (op) {
	case 'C': open_socket(s); break;
	case 'R': open_ring(s, take16()); break;
	case 'X': close_slot(s); break;
	case 'S':
	case 'P': {
		uint8_t txslot = take8();
		uint32_t type = take32(), tx = take32();
		n = take16();
		take(data, n);
		if (txslot != 255 && type != TRANSACTION_START)
			tx = transactions[txslot % SLOTS];
		request(s, (struct request){ type, tx, data, n, 1, txslot, op == 'S' });
		break;
	}
	case 'W':
		n = take16();
		take(data, n);
		send_bytes(s, data, n);
		break;
	case 'G': barrier(s); break;
	case 'Q': s->watches = 0; break;
	case 'A':
		for (s = slots; s < slots + SLOTS; s++)
			if (s->watches)
				barrier(s);
		break;
	case 'D':
	case 'd':
		n = take16();
		set_domain(n, take8(), op == 'D');
		break;
	default:
		fprintf(stderr, "driver: command %u\n", op);
		exit(1);
	}
	put8('.');
}

int main(int argc, char **argv)
{
	int i;
	if (argc != 2) {
		fprintf(stderr, "driver RUN: plays scripts of requests from standard input\n");
		return 2;
	}
	run = argv[1];
	evtchn = fifo("evtchn");
	notify = fifo("notify");
	if (evtchn < 0 || notify < 0)
		die(run);
	for (i = 0; i < SLOTS; i++)
		slots[i].fd = -1;
	for (;;) {
		uint8_t op = take8();
		if (op == 'E') {
			uint32_t n = out_used;
			if (write(1, &n, 4) != 4)
				die("output");
			for (n = 0; n < out_used;) {
				ssize_t m = write(1, out + n, out_used - n);
				if (m <= 0)
					die("output");
				n += m;
			}
			out_used = 0;
			memset(transactions, 0, sizeof(transactions));
		} else
			command(op);
	}
}
