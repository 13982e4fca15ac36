// SPDX-License-Identifier: Apache-2.0
/*
 * xsload - load generator for any xenstored reachable over its Unix socket.
 *
 * Speaks the xenstore wire protocol directly (16-byte header of four
 * little-endian words: type, req_id, tx_id, len; then the payload), drives
 * --clients connections from one thread with epoll, keeps --pipeline
 * independent "lanes" going on each (a lane has at most one request in
 * flight and is found again by its req_id), and prints one line of JSON.
 *
 * bench/xenstored/load.ts builds it. See usage() for options and the list of workloads.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { T_CONTROL, T_DIRECTORY, T_READ, T_GET_PERMS, T_WATCH, T_UNWATCH,
       T_TX_START, T_TX_END, T_INTRODUCE, T_RELEASE, T_GET_DOMAIN_PATH,
       T_WRITE, T_MKDIR, T_RM, T_SET_PERMS, T_WATCH_EVENT, T_ERROR,
       T_IS_INTRODUCED, T_RESUME, T_SET_TARGET, T_RESTRICT,
       T_RESET_WATCHES, T_DIRECTORY_PART };

struct hdr { uint32_t type, req, tx, len; };
#define PAYMAX 4096

/* ---- options --------------------------------------------------------- */
static const char *o_socket, *o_workload = "read", *o_label = "";
static int o_clients = 1, o_pipeline = 1, o_nodes = 1000, o_value = 16;
static int o_children = 100, o_idle_conns, o_idle_watches, o_active = 16;
static int o_reads = 3, o_writes = 2, o_hot = 4, o_match_watches;
static double o_seconds = 2, o_warmup = 0.3;
static uint64_t o_seed = 1;
static int o_pid;
static bool o_keep, o_no_setup, o_setup_only, o_verify = true;

static void usage(void)
{
	puts(
"xsload --socket PATH --workload NAME [options]\n"
"  --clients N --pipeline D     connections, lanes (requests in flight) on each\n"
"  --seconds S --warmup S       measured time, time run before it: the server's\n"
"                               processor time where its pid is known\n"
"  --nodes K --value-bytes V    size of the tree read/written, of each value\n"
"  --children C                 children of the directory (dir, dirpart), siblings\n"
"                               (createrm), nodes in the subtree (rmtree)\n"
"  --idle-conns I               extra silent connections, open during the run\n"
"  --idle-watches M             watches on paths nobody touches, over those (or one)\n"
"  --match-watches M            watches above the written nodes, on one extra\n"
"                               connection whose events are read and dropped\n"
"  --active A                   manyclients: requests in flight over all clients\n"
"  --reads R --writes W         per transaction (txn, txnconflict); --hot H nodes\n"
"  --server-pid PID             report that process's CPU time and memory\n"
"  --setup-only | --no-setup | --keep   build the tree and stop; reuse it; leave it\n"
"  --no-verify --seed N --label TEXT\n"
"workloads:\n"
"  nop read write mix createrm dir dirpart getperms setperms txn txnempty\n"
"  txnconflict watch watchreg domlife manyclients churn rmtree\n");
}

/* ---- small things ---------------------------------------------------- */
static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}
static uint64_t rng_next(uint64_t *s)
{
	uint64_t x = *s;
	x ^= x << 13; x ^= x >> 7; x ^= x << 17;
	return *s = x;
}
static void die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "xsload: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(2);
}

/* log-linear histogram of nanoseconds: 64 steps for each power of two */
#define HB 6
static uint64_t hist[(64 - HB + 1) << HB];
static uint64_t hist_n, hist_max, hist_sum;
static void hist_add(uint64_t v)
{
	unsigned e, i;
	hist_n++;
	hist_sum += v;
	if (v > hist_max) hist_max = v;
	if (v < (1u << HB)) { hist[v]++; return; }
	e = 63 - __builtin_clzll(v);
	i = ((e - HB + 1) << HB) + (unsigned)((v >> (e - HB)) & ((1u << HB) - 1));
	hist[i]++;
}
static double hist_q(double q)
{
	uint64_t want = (uint64_t)(q * hist_n), seen = 0;
	unsigned i;
	if (!hist_n) return 0;
	if (want >= hist_n) want = hist_n - 1;
	for (i = 0; i < sizeof(hist) / sizeof(hist[0]); i++) {
		seen += hist[i];
		if (seen > want) {
			unsigned e;
			uint64_t lo;
			if (i < (1u << HB)) return i / 1e3;
			e = (i >> HB) + HB - 1;
			lo = (1ull << e) + ((uint64_t)(i & ((1u << HB) - 1)) << (e - HB));
			return (lo + (1ull << (e - HB)) / 2.0) / 1e3;
		}
	}
	return hist_max / 1e3;
}

/* ---- /proc ----------------------------------------------------------- */
static double proc_cpu(int pid)
{
	char p[64];
	DIR *d;
	struct dirent *e;
	double t = 0;

	if (!pid) return 0;
	snprintf(p, sizeof(p), "/proc/%d/task", pid);
	d = opendir(p);
	if (!d) return 0;
	while ((e = readdir(d))) {
		char f[400];
		FILE *h;
		unsigned long long ns;
		if (e->d_name[0] == '.') continue;
		snprintf(f, sizeof(f), "/proc/%d/task/%s/schedstat", pid, e->d_name);
		h = fopen(f, "r");
		if (!h) continue;
		if (fscanf(h, "%llu", &ns) == 1) t += ns / 1e9;
		fclose(h);
	}
	closedir(d);
	return t;
}
static long proc_kb(int pid, const char *key)
{
	char f[64], l[256];
	FILE *h;
	long v = 0;

	if (!pid) return 0;
	snprintf(f, sizeof(f), "/proc/%d/status", pid);
	h = fopen(f, "r");
	if (!h) return 0;
	while (fgets(l, sizeof(l), h))
		if (!strncmp(l, key, strlen(key)))
			v = atol(l + strlen(key) + 1);
	fclose(h);
	return v;
}

/* ---- connections ----------------------------------------------------- */
struct client;
struct lane {
	struct client *c;
	uint64_t rng, t0;
	uint32_t id;		/* number over all clients */
	uint32_t req;		/* number within the client */
	uint32_t tx, step, txstep, off, serial;
	int need_events, got_events;
	bool waiting, replied, flip, busy;
	uint32_t pick[64];
};
struct client {
	int fd, nlanes;
	uint32_t id;
	uint8_t *in, *out;
	size_t inlen, incap, outlen, outoff, outcap;
	bool dirty, wantout, sink;
	uint32_t gen;
	struct lane *lanes;
};

static struct client *clients;
static int nclients, epfd;
static struct client **dirty;
static int ndirty;
static uint64_t n_ops, n_reqs, n_events, n_conflicts, n_errors;
static char first_error[256];
static bool measuring, stopping;

static int xconnect(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) die("socket: %s", strerror(errno));
	if (strlen(o_socket) >= sizeof(a.sun_path)) die("socket path too long");
	strcpy(a.sun_path, o_socket);
	while (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		if (errno == EINTR || errno == EAGAIN) continue;
		die("connect %s: %s", o_socket, strerror(errno));
	}
	return fd;
}
static void note_error(const char *what, const void *p, unsigned n)
{
	n_errors++;
	if (!first_error[0])
		snprintf(first_error, sizeof(first_error), "%s: %.*s", what, (int)(n > 60 ? 60 : n), (const char *)p);
}
static void put(struct client *c, uint32_t type, uint32_t req, uint32_t tx, const void *p, uint32_t len)
{
	struct hdr h = { type, req, tx, len };

	if (c->outlen + sizeof(h) + len > c->outcap) {
		c->outcap = (c->outlen + sizeof(h) + len) * 2;
		c->out = realloc(c->out, c->outcap);
	}
	memcpy(c->out + c->outlen, &h, sizeof(h));
	memcpy(c->out + c->outlen + sizeof(h), p, len);
	c->outlen += sizeof(h) + len;
	if (!c->dirty) { c->dirty = true; dirty[ndirty++] = c; }
	n_reqs++;
}
static void want(struct client *c, bool out)
{
	struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c };
	if (c->wantout == out) return;
	c->wantout = out;
	epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &e);
}
static void flush_client(struct client *c)
{
	while (c->outoff < c->outlen) {
		ssize_t n = write(c->fd, c->out + c->outoff, c->outlen - c->outoff);
		if (n < 0) {
			if (errno == EINTR) continue;
			if (errno == EAGAIN) { want(c, true); return; }
			die("write: %s", strerror(errno));
		}
		c->outoff += n;
	}
	c->outoff = c->outlen = 0;
	want(c, false);
}
static void watch_fd(struct client *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->wantout = false;
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
}

/* ---- blocking helper connection, for setup --------------------------- */
static int sfd = -1, s_out, s_evs;
static uint8_t sbuf[1 << 18];
static size_t slen;
static bool s_strict = true;

static void rd_full(int fd, void *p, size_t n)
{
	while (n) {
		ssize_t r = read(fd, p, n);
		if (r < 0 && errno == EINTR) continue;
		if (r <= 0) die("setup: server closed the connection");
		p = (char *)p + r;
		n -= r;
	}
}
static void wr_full(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t r = write(fd, p, n);
		if (r < 0 && errno == EINTR) continue;
		if (r <= 0) die("setup: write: %s", strerror(errno));
		p = (const char *)p + r;
		n -= r;
	}
}
/* read replies until `replies` and `events` have come */
static void drain(int fd, int replies, int events)
{
	while (replies > 0 || events > 0) {
		struct hdr h;
		char pl[65536];
		rd_full(fd, &h, sizeof(h));
		if (h.len > sizeof(pl)) die("setup: oversized reply");
		rd_full(fd, pl, h.len);
		if (h.type == T_WATCH_EVENT) { events--; continue; }
		if (h.type == T_ERROR && s_strict) die("setup: error reply %.*s to request %u", (int)h.len, pl, h.req);
		replies--;
	}
}
static void s_flush(void)
{
	if (!s_out) return;
	wr_full(sfd, sbuf, slen);
	drain(sfd, s_out, s_evs);
	slen = 0; s_out = s_evs = 0;
}
static void s_req(uint32_t type, const void *p, uint32_t len)
{
	struct hdr h = { type, type, 0, len };
	memcpy(sbuf + slen, &h, sizeof(h));
	memcpy(sbuf + slen + sizeof(h), p, len);
	slen += sizeof(h) + len;
	if (++s_out >= 32) s_flush();
}

/* ---- payload building ------------------------------------------------ */
static char value[PAYMAX];
static const char b36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static int node_path(char *b, uint32_t i)	/* 100 nodes to a "domain" */
{
	return sprintf(b, "/bench/domain/%u/data/k%u", i / 100, i % 100);
}
static int child_name(char *b, uint32_t i, int count)
{
	if (count <= 36 * 36) { b[0] = b36[i / 36]; b[1] = b36[i % 36]; b[2] = 0; return 2; }
	b[0] = b36[i / 36 / 36 / 36 % 36]; b[1] = b36[i / 36 / 36 % 36];
	b[2] = b36[i / 36 % 36]; b[3] = b36[i % 36]; b[4] = 0;
	return 4;
}
static void l_send(struct lane *l, uint32_t type, uint32_t tx, const void *p, uint32_t len)
{
	put(l->c, type, l->req, tx, p, len);
}
static void l_path(struct lane *l, uint32_t type, uint32_t tx, uint32_t node)
{
	char b[128];
	int n = node_path(b, node);
	l_send(l, type, tx, b, n + 1);
}
static bool vary = true;
static void l_write(struct lane *l, uint32_t tx, uint32_t node)
{
	char b[128 + PAYMAX];
	int n = node_path(b, node) + 1;
	memcpy(b + n, value, o_value);
	if (vary && o_value >= 9) {	/* first byte stays: read_reply looks at it */
		char t[16];
		sprintf(t, "%04x%04x", l->id & 0xffff, l->serial++ & 0xffff);
		memcpy(b + n + 1, t, 8);
	}
	l_send(l, T_WRITE, tx, b, n + o_value);
}
static void setup_write(const char *path, const void *v, int vlen)
{
	char b[256 + PAYMAX];
	int n = sprintf(b, "%s", path) + 1;
	memcpy(b + n, v, vlen);
	s_req(T_WRITE, b, n + vlen);
}
static void setup_nodes(uint32_t count)
{
	char p[128];
	uint32_t i;
	for (i = 0; i < count; i++) { node_path(p, i); setup_write(p, value, o_value); }
	s_flush();
}
static void setup_children(const char *base, int count)
{
	char p[160];
	int i, n;
	for (i = 0; i < count; i++) {
		n = sprintf(p, "%s/", base);
		child_name(p + n, i, count);
		setup_write(p, "", 0);
	}
	s_flush();
}

/* ---- workloads ------------------------------------------------------- */
struct workload {
	const char *name;
	void (*setup)(void);
	void (*next)(struct lane *l);		/* start an operation */
	/* a reply came; return true when the operation is complete */
	bool (*reply)(struct lane *l, struct hdr *h, char *p);
	void (*event)(struct client *c, char *path, char *token);
	void (*ready)(void);			/* after the connections are up */
};
static struct workload *wl;
static void op_done(struct lane *l);

static bool plain_reply(struct lane *l, struct hdr *h, char *p)
{
	(void)l;
	if (h->type == T_ERROR) note_error(o_workload, p, h->len);
	return true;
}
static uint32_t pick_node(struct lane *l) { return rng_next(&l->rng) % o_nodes; }

static void none_setup(void) {}
static void nop_next(struct lane *l) { l_send(l, T_GET_DOMAIN_PATH, 0, "0", 2); }

static void tree_setup(void) { setup_nodes(o_nodes); }
static void read_next(struct lane *l) { l_path(l, T_READ, 0, pick_node(l)); }
static bool read_reply(struct lane *l, struct hdr *h, char *p)
{
	(void)l;
	if (h->type == T_ERROR) note_error("read", p, h->len);
	else if (o_verify && ((int)h->len != o_value || (o_value && p[0] != value[0])))
		note_error("read: wrong value", p, h->len);
	return true;
}
static void write_next(struct lane *l) { l_write(l, 0, pick_node(l)); }
static void mix_next(struct lane *l)
{
	unsigned r = rng_next(&l->rng) % 100;
	char b[64];
	if (r < 65) read_next(l);
	else if (r < 85) write_next(l);
	else if (r < 90) l_path(l, T_GET_PERMS, 0, pick_node(l));
	else { int n = sprintf(b, "/bench/domain/%u/data", pick_node(l) / 100); l_send(l, T_DIRECTORY, 0, b, n + 1); }
}
static void getperms_next(struct lane *l) { l_path(l, T_GET_PERMS, 0, pick_node(l)); }
static void setperms_next(struct lane *l)
{
	char b[160];
	int n = node_path(b, pick_node(l)) + 1;
	memcpy(b + n, "n0", 3); n += 3;
	n += sprintf(b + n, "r%u", (unsigned)(1 + rng_next(&l->rng) % 9)) + 1;
	l_send(l, T_SET_PERMS, 0, b, n);
}

/* createrm: a lane writes a new node under its client's directory, then removes it */
static void createrm_setup(void)
{
	char p[64];
	int i;
	for (i = 0; i < o_clients; i++) {
		sprintf(p, "/bench/cr/%d", i);
		setup_write(p, "", 0);
		setup_children(p, o_children);
	}
	s_flush();
}
static void createrm_next(struct lane *l)
{
	char b[160 + PAYMAX];
	int n = sprintf(b, "/bench/cr/%u/new-%u-%u", l->c->id, l->req, l->serial % 8) + 1;
	if (!l->flip) {
		memcpy(b + n, value, o_value);
		l_send(l, T_WRITE, 0, b, n + o_value);
	} else {
		l_send(l, T_RM, 0, b, n);
		l->serial++;
	}
	l->flip = !l->flip;
}

static void dir_setup(void) { setup_write("/bench/dir", "", 0); setup_children("/bench/dir", o_children); }
static void dir_next(struct lane *l) { l_send(l, T_DIRECTORY, 0, "/bench/dir", 11); }

static void dirpart_send(struct lane *l)
{
	char b[64];
	int n = sprintf(b, "/bench/dir") + 1;
	n += sprintf(b + n, "%u", l->off) + 1;
	l_send(l, T_DIRECTORY_PART, 0, b, n);
}
static void dirpart_next(struct lane *l) { l->off = 0; dirpart_send(l); }
static bool dirpart_reply(struct lane *l, struct hdr *h, char *p)
{
	uint32_t gl;
	if (h->type == T_ERROR) { note_error("dirpart", p, h->len); return true; }
	gl = strnlen(p, h->len) + 1;
	if (h->len <= gl || p[h->len - 1]) { note_error("dirpart: malformed", p, h->len); return true; }
	if (h->len == gl + 1 || !p[h->len - 2]) {
		if (o_verify && l->off + (h->len - gl - 1) != (uint32_t)o_children * (o_children <= 1296 ? 3 : 5))
			note_error("dirpart: wrong total", p, 0);
		return true;
	}
	l->off += h->len - gl;
	dirpart_send(l);
	return false;
}

/* transactions.  txn: every lane has nodes of its own; txnconflict: a few hot nodes */
static bool is_eagain(struct hdr *h, char *p) { return h->type == T_ERROR && h->len >= 6 && !memcmp(p, "EAGAIN", 6); }
static bool hot;
static int txn_span(void)
{
	int lanes = o_clients * o_pipeline, s = o_nodes / (lanes ? lanes : 1);
	return s < 1 ? 1 : s;
}
static void txn_next(struct lane *l)
{
	int i;
	for (i = 0; i < o_reads + o_writes; i++) {
		if (hot) l->pick[i] = rng_next(&l->rng) % o_hot;
		else l->pick[i] = (l->id * txn_span() + rng_next(&l->rng) % txn_span()) % o_nodes;
	}
	l->step = 0;
	l_send(l, T_TX_START, 0, "", 1);
}
static bool txn_reply(struct lane *l, struct hdr *h, char *p)
{
	uint32_t s = l->step++, acts = o_reads + o_writes;

	if (s == 0) {
		if (h->type == T_ERROR) { note_error("tx_start", p, h->len); return true; }
		l->tx = strtoul(p, NULL, 10);
	} else if (s <= acts) {
		if (h->type == T_ERROR) {
			note_error("in tx", p, h->len);
			l->step = acts + 1;
			l_send(l, T_TX_END, l->tx, "F", 2);
			return false;
		}
	} else {
		if (is_eagain(h, p)) {
			n_conflicts++;
			l->step = 0;
			l_send(l, T_TX_START, 0, "", 1);
			return false;
		}
		if (h->type == T_ERROR) note_error("tx_end", p, h->len);
		return true;
	}
	s = l->step - 1;
	if (s < (uint32_t)o_reads) l_path(l, T_READ, l->tx, l->pick[s]);
	else if (s < acts) l_write(l, l->tx, l->pick[s]);
	else l_send(l, T_TX_END, l->tx, "T", 2);
	return false;
}

/* watch: clients 0..N-1 watch /bench/w, one more writes; an operation is one
 * write, complete when the reply and every watcher's event have come */
static void watch_setup(void) { setup_write("/bench/w/x", "", 0); s_flush(); }
static void watch_next(struct lane *l)
{
	char b[64 + PAYMAX];
	int n = sprintf(b, "/bench/w/l%u", l->req) + 1;
	memcpy(b + n, value, o_value);
	l->need_events = o_clients;
	l->replied = false;
	l_send(l, T_WRITE, 0, b, n + o_value);
}
static bool watch_reply(struct lane *l, struct hdr *h, char *p)
{
	if (h->type == T_ERROR) { note_error("watch write", p, h->len); return true; }
	l->replied = true;
	return l->need_events == 0;
}
static void watch_event(struct client *c, char *path, char *token)
{
	struct lane *l;
	(void)c; (void)token;
	if (strncmp(path, "/bench/w/l", 10)) return;
	l = &clients[o_clients].lanes[atoi(path + 10)];
	if (--l->need_events == 0 && l->replied) op_done(l);
}
static void watch_ready(void)
{
	struct client *w = &clients[o_clients];
	int i;
	for (i = 0; i < w->nlanes; i++) { w->lanes[i].t0 = now_ns(); watch_next(&w->lanes[i]); }
}

/* watchreg: WATCH, its first event, UNWATCH */
static void watchreg_next(struct lane *l)
{
	char b[96];
	int n = sprintf(b, "/bench/wr/%u/%u", l->req, l->serial % 4) + 1;
	n += sprintf(b + n, "L%u", l->req) + 1;
	if (!l->flip) l->need_events = 1, l->replied = false;
	else l->serial++;
	l_send(l, l->flip ? T_UNWATCH : T_WATCH, 0, b, n);
}
static bool watchreg_reply(struct lane *l, struct hdr *h, char *p)
{
	if (h->type == T_ERROR) { note_error("watchreg", p, h->len); return true; }
	if (l->flip) { l->flip = false; return true; }
	l->replied = true;
	if (!l->need_events) { l->flip = true; watchreg_next(l); }
	return false;
}
static void watchreg_event(struct client *c, char *path, char *token)
{
	struct lane *l;
	(void)path;
	if (token[0] != 'L') return;
	l = &c->lanes[atoi(token + 1)];
	l->need_events = 0;
	if (l->replied) { l->flip = true; watchreg_next(l); }
}

/* domlife: what a toolstack and its backends write for one guest with a disk
 * and a network interface, from creation to removal.  '#' in a path is the
 * domid.  Types: S start tx, E end tx, m mkdir, w write, p perms, r read,
 * x rm, d directory, + watch, - unwatch, W write and wait for its event. */
struct act { char t; const char *path, *val; };
#define FR_D "/bench/local/domain/#/device/vbd/51712"
#define BK_D "/bench/local/domain/0/backend/vbd/#/51712"
#define FR_N "/bench/local/domain/#/device/vif/0"
#define BK_N "/bench/local/domain/0/backend/vif/#/0"
#define DOM "/bench/local/domain/#"
#define LXL "/bench/libxl/#"
#define VMP "/bench/vm/a1b2c3d4-0000-4000-8000-#"
static const struct act script[] = {
	{'S'}, {'x', DOM}, {'m', DOM}, {'p', DOM, "n0 r#"}, {'x', VMP}, {'m', VMP}, {'p', VMP, "n0 r#"},
	{'x', LXL}, {'m', LXL}, {'p', LXL, "n0"}, {'w', DOM "/vm", VMP},
	{'m', DOM "/cpu"}, {'p', DOM "/cpu", "n0 r#"}, {'m', DOM "/memory"}, {'p', DOM "/memory", "n0 r#"},
	{'m', DOM "/device"}, {'p', DOM "/device", "n0 r#"}, {'m', DOM "/control"}, {'p', DOM "/control", "n0 r#"},
	{'m', DOM "/control/shutdown"}, {'p', DOM "/control/shutdown", "n#"},
	{'m', DOM "/control/feature-suspend"}, {'p', DOM "/control/feature-suspend", "n#"},
	{'m', DOM "/data"}, {'p', DOM "/data", "n#"}, {'m', DOM "/drivers"}, {'p', DOM "/drivers", "n#"},
	{'w', DOM "/name", "guest-#"}, {'w', DOM "/domid", "#"},
	{'w', VMP "/uuid", "a1b2c3d4-0000-4000-8000-#"}, {'w', VMP "/name", "guest-#"},
	{'w', VMP "/start_time", "1700000000.00"}, {'w', LXL "/type", "pv"}, {'E'},
	{'w', DOM "/memory/static-max", "1048576"}, {'w', DOM "/memory/target", "1048577"},
	{'w', DOM "/store/ring-ref", "1044476"}, {'w', DOM "/store/port", "1"},
	{'w', DOM "/cpu/0/availability", "online"}, {'w', DOM "/cpu/1/availability", "online"},
	{'w', DOM "/console/ring-ref", "1044475"}, {'w', DOM "/console/port", "2"},
	{'w', DOM "/console/limit", "1048576"}, {'w', DOM "/console/type", "xenconsoled"},
	/* disk */
	{'S'}, {'x', FR_D}, {'x', BK_D}, {'m', FR_D}, {'p', FR_D, "n# r0"}, {'m', BK_D}, {'p', BK_D, "n0 r#"},
	{'w', FR_D "/backend", BK_D}, {'w', FR_D "/backend-id", "0"}, {'w', FR_D "/state", "1"},
	{'w', FR_D "/virtual-device", "51712"}, {'w', FR_D "/device-type", "disk"},
	{'w', BK_D "/frontend", FR_D}, {'w', BK_D "/frontend-id", "#"}, {'w', BK_D "/online", "1"},
	{'w', BK_D "/removable", "0"}, {'w', BK_D "/bootable", "1"}, {'w', BK_D "/state", "1"},
	{'w', BK_D "/dev", "xvda"}, {'w', BK_D "/type", "phy"}, {'w', BK_D "/mode", "w"},
	{'w', BK_D "/device-type", "disk"}, {'w', BK_D "/params", "/dev/vg0/guest-#"}, {'w', LXL "/device/vbd/51712/frontend", FR_D},
	{'w', LXL "/device/vbd/51712/backend", BK_D}, {'E'},
	{'+', BK_D "/state"}, {'W', BK_D "/state", "2"}, {'r', BK_D "/state"}, {'w', BK_D "/physical-device", "fe:0"},
	{'w', BK_D "/hotplug-status", "connected"},
	/* network */
	{'S'}, {'x', FR_N}, {'x', BK_N}, {'m', FR_N}, {'p', FR_N, "n# r0"}, {'m', BK_N}, {'p', BK_N, "n0 r#"},
	{'w', FR_N "/backend", BK_N}, {'w', FR_N "/backend-id", "0"}, {'w', FR_N "/state", "1"},
	{'w', FR_N "/handle", "0"}, {'w', FR_N "/mac", "00:16:3e:00:00:01"}, {'w', FR_N "/mtu", "1500"},
	{'w', BK_N "/frontend", FR_N}, {'w', BK_N "/frontend-id", "#"}, {'w', BK_N "/online", "1"},
	{'w', BK_N "/state", "1"}, {'w', BK_N "/script", "/etc/xen/scripts/vif-bridge"},
	{'w', BK_N "/mac", "00:16:3e:00:00:01"}, {'w', BK_N "/bridge", "xenbr0"}, {'w', BK_N "/handle", "0"},
	{'w', BK_N "/type", "vif"}, {'w', LXL "/device/vif/0/frontend", FR_N}, {'w', LXL "/device/vif/0/backend", BK_N}, {'E'},
	{'+', BK_N "/state"}, {'W', BK_N "/state", "2"}, {'r', BK_N "/state"}, {'w', BK_N "/hotplug-status", "connected"},
	/* the two drivers connect */
	{'r', FR_D "/backend"}, {'d', BK_D}, {'S'}, {'w', FR_D "/ring-ref", "8"}, {'w', FR_D "/event-channel", "15"},
	{'w', FR_D "/protocol", "x86_64-abi"}, {'w', FR_D "/state", "3"}, {'E'},
	{'r', FR_D "/ring-ref"}, {'r', FR_D "/event-channel"}, {'S'}, {'w', BK_D "/feature-barrier", "1"},
	{'w', BK_D "/sectors", "20971520"}, {'w', BK_D "/sector-size", "512"}, {'w', BK_D "/info", "0"}, {'E'},
	{'W', BK_D "/state", "4"}, {'r', BK_D "/state"}, {'w', FR_D "/state", "4"}, {'r', FR_D "/state"},
	{'d', FR_N}, {'S'}, {'w', FR_N "/tx-ring-ref", "9"}, {'w', FR_N "/rx-ring-ref", "10"},
	{'w', FR_N "/event-channel", "16"}, {'w', FR_N "/request-rx-copy", "1"}, {'w', FR_N "/state", "4"}, {'E'},
	{'r', FR_N "/tx-ring-ref"}, {'r', FR_N "/rx-ring-ref"}, {'r', FR_N "/event-channel"},
	{'w', BK_N "/feature-sg", "1"}, {'w', BK_N "/feature-rx-copy", "1"}, {'W', BK_N "/state", "4"}, {'r', BK_N "/state"},
	{'r', DOM "/name"}, {'r', DOM "/vm"}, {'r', DOM "/memory/target"},
	/* shutdown and removal */
	{'w', DOM "/control/shutdown", "poweroff"}, {'r', DOM "/control/shutdown"}, {'w', DOM "/control/shutdown", ""},
	{'S'}, {'w', BK_D "/online", "0"}, {'w', BK_D "/state", "5"}, {'E'}, {'r', BK_D "/state"}, {'W', BK_D "/state", "6"},
	{'S'}, {'w', BK_N "/online", "0"}, {'w', BK_N "/state", "5"}, {'E'}, {'r', BK_N "/state"}, {'W', BK_N "/state", "6"},
	{'-', BK_D "/state"}, {'-', BK_N "/state"},
	{'S'}, {'x', FR_D}, {'x', BK_D}, {'x', LXL "/device/vbd/51712"}, {'E'},
	{'S'}, {'x', FR_N}, {'x', BK_N}, {'x', LXL "/device/vif/0"}, {'E'},
	{'x', "/bench/local/domain/0/backend/vbd/#"}, {'x', "/bench/local/domain/0/backend/vif/#"},
	{'x', VMP}, {'x', DOM}, {'x', LXL},
};
#define NSCRIPT (sizeof(script) / sizeof(script[0]))
static void domlife_setup(void)
{
	static const char *const p[] = { "/bench/local/domain/0/backend/vbd/900/x", "/bench/local/domain/0/backend/vif/900/x", "/bench/vm/x", "/bench/libxl/x" };
	int i;
	for (i = 0; i < 4; i++) setup_write(p[i], "", 0);
	setup_nodes(o_nodes);
}
static int expand(char *b, const char *t, uint32_t dom)
{
	char *o = b;
	for (; *t; t++) {
		if (*t == '#') o += sprintf(o, "%u", dom);
		else *o++ = *t;
	}
	*o = 0;
	return o - b;
}
static void domlife_send(struct lane *l)
{
	const struct act *a = &script[l->step];
	uint32_t dom = 1 + l->id % 800, tx = l->tx;
	char b[1024];
	int n = 0, i, s;

	if (a->path) n = expand(b, a->path, dom) + 1;
	switch (a->t) {
	case 'S': l->txstep = l->step; l_send(l, T_TX_START, 0, "", 1); return;
	case 'E': l_send(l, T_TX_END, tx, "T", 2); return;
	case 'm': l_send(l, T_MKDIR, tx, b, n); return;
	case 'x': l_send(l, T_RM, tx, b, n); return;
	case 'r': l_send(l, T_READ, tx, b, n); return;
	case 'd': l_send(l, T_DIRECTORY, tx, b, n); return;
	case 'W': l->need_events = 1; l->replied = false; /* fall through */
	case 'w': n += expand(b + n, a->val, dom); l_send(l, T_WRITE, tx, b, n); return;
	case 'p':
		s = n;
		n += expand(b + n, a->val, dom) + 1;
		for (i = s; i < n; i++) if (b[i] == ' ') b[i] = 0;
		l_send(l, T_SET_PERMS, tx, b, n);
		return;
	case '+': l->need_events = 1; l->replied = false; /* fall through */
	case '-':
		n += sprintf(b + n, "L%u", l->req) + 1;
		l_send(l, a->t == '+' ? T_WATCH : T_UNWATCH, 0, b, n);
		return;
	}
}
static void domlife_next(struct lane *l) { l->step = 0; l->tx = 0; domlife_send(l); }
static bool domlife_advance(struct lane *l)
{
	if (++l->step >= NSCRIPT) return true;
	domlife_send(l);
	return false;
}
static bool domlife_reply(struct lane *l, struct hdr *h, char *p)
{
	char t = script[l->step].t;

	if (h->type == T_ERROR) {
		if (t == 'E' && is_eagain(h, p)) {
			n_conflicts++;
			l->tx = 0;
			l->step = l->txstep;
			domlife_send(l);
			return false;
		}
		if (!(t == 'x' && h->len >= 6 && !memcmp(p, "ENOENT", 6))) {
			char w[128];
			snprintf(w, sizeof(w), "domlife step %u %c %s", l->step, t, script[l->step].path ? script[l->step].path : "");
			note_error(w, p, h->len);
		}
	} else if (t == 'S') l->tx = strtoul(p, NULL, 10);
	if (t == 'E') l->tx = 0;
	if (t == '+' || t == 'W') {
		l->replied = true;
		if (l->need_events) return false;
	}
	return domlife_advance(l);
}
static void domlife_event(struct client *c, char *path, char *token)
{
	struct lane *l;
	(void)path;
	if (token[0] != 'L') return;
	l = &c->lanes[atoi(token + 1)];
	if (!l->need_events) return;
	l->need_events = 0;
	if (l->replied && (script[l->step].t == '+' || script[l->step].t == 'W') && domlife_advance(l)) op_done(l);
}

/* manyclients: every client has a watch; A requests in flight over all, each
 * from a client picked at random.  Driven from op_done. */
static void many_start(uint64_t *r)
{
	struct lane *l;
	do l = &clients[rng_next(r) % o_clients].lanes[0]; while (l->busy);
	l->busy = true;
	l->t0 = now_ns();
	read_next(l);
}
static uint64_t many_rng = 88172645463325252ull;
static void many_ready(void)
{
	int i, n = o_active < o_clients ? o_active : o_clients;
	for (i = 0; i < n; i++) many_start(&many_rng);
}

/* churn: connect, one read, close */
static void churn_next(struct lane *l)
{
	struct client *c = l->c;
	if (c->fd >= 0) {
		epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
		close(c->fd);
	}
	c->gen++;
	c->fd = xconnect();
	c->inlen = c->outlen = c->outoff = 0;
	watch_fd(c);
	read_next(l);
}

/* rmtree: build a subtree of C nodes (untimed), then time its removal */
static void rmtree_next(struct lane *l) { l->step = 0; char b[64]; int n = sprintf(b, "/bench/rt/%u", l->id) + 1; l_send(l, T_WRITE, 0, b, n); }
static bool rmtree_reply(struct lane *l, struct hdr *h, char *p)
{
	char b[96];
	int n;
	if (h->type == T_ERROR) { note_error("rmtree", p, h->len); return true; }
	if (l->step == (uint32_t)o_children + 1) return true;
	if (l->step++ < (uint32_t)o_children) {
		n = sprintf(b, "/bench/rt/%u/%u/%u", l->id, l->step / 32, l->step % 32) + 1;
		l_send(l, T_WRITE, 0, b, n);
	} else {
		n = sprintf(b, "/bench/rt/%u", l->id) + 1;
		l->t0 = now_ns();
		l_send(l, T_RM, 0, b, n);
	}
	return false;
}
static void rt_setup(void) { setup_write("/bench/rt", "", 0); s_flush(); }

static struct workload workloads[] = {
	{ "nop", none_setup, nop_next, plain_reply },
	{ "read", tree_setup, read_next, read_reply },
	{ "write", tree_setup, write_next, plain_reply },
	{ "mix", tree_setup, mix_next, plain_reply },
	{ "createrm", createrm_setup, createrm_next, plain_reply },
	{ "dir", dir_setup, dir_next, plain_reply },
	{ "dirpart", dir_setup, dirpart_next, dirpart_reply },
	{ "getperms", tree_setup, getperms_next, plain_reply },
	{ "setperms", tree_setup, setperms_next, plain_reply },
	{ "txn", tree_setup, txn_next, txn_reply },
	{ "txnempty", tree_setup, txn_next, txn_reply },
	{ "txnconflict", tree_setup, txn_next, txn_reply },
	{ "watch", watch_setup, watch_next, watch_reply, watch_event, watch_ready },
	{ "watchreg", none_setup, watchreg_next, watchreg_reply, watchreg_event },
	{ "domlife", domlife_setup, domlife_next, domlife_reply, domlife_event },
	{ "manyclients", tree_setup, read_next, read_reply, NULL, many_ready },
	{ "churn", tree_setup, churn_next, read_reply },
	{ "rmtree", rt_setup, rmtree_next, rmtree_reply },
	{ NULL }
};

static bool is_many;
static void op_done(struct lane *l)
{
	uint64_t t = now_ns();

	n_ops++;
	if (measuring) hist_add(t - l->t0);
	l->busy = false;
	if (stopping) return;
	if (is_many) { many_start(&many_rng); return; }
	l->t0 = t;
	wl->next(l);
}

static void handle(struct client *c, struct hdr *h, char *p)
{
	if (h->type == T_WATCH_EVENT) {
		char *tok = memchr(p, 0, h->len);
		n_events++;
		if (tok && !c->sink && wl->event) wl->event(c, p, tok + 1);
		return;
	}
	if (c->sink) return;
	if (h->req >= (uint32_t)c->nlanes) { note_error("reply to unknown request", "", 0); return; }
	if (wl->reply(&c->lanes[h->req], h, p)) op_done(&c->lanes[h->req]);
}
static void on_readable(struct client *c)
{
	size_t pos = 0;
	ssize_t n;
	uint32_t gen = c->gen;

	if (c->incap - c->inlen < 65536) { c->incap = c->inlen + 131072; c->in = realloc(c->in, c->incap); }
	n = read(c->fd, c->in + c->inlen, c->incap - c->inlen - 1);
	if (n < 0) { if (errno == EAGAIN || errno == EINTR) return; die("read: %s", strerror(errno)); }
	if (n == 0) die("server closed connection %u", c->id);
	c->inlen += n;
	while (c->inlen - pos >= sizeof(struct hdr)) {
		struct hdr h;
		char save, *p;
		memcpy(&h, c->in + pos, sizeof(h));
		if (h.len > 65536) die("reply of %u bytes", h.len);
		if (c->inlen - pos < sizeof(h) + h.len) break;
		p = (char *)c->in + pos + sizeof(h);
		save = p[h.len];
		p[h.len] = 0;
		handle(c, &h, p);
		if (c->gen != gen) return;	/* churn: a new connection by now */
		p[h.len] = save;
		pos += sizeof(h) + h.len;
	}
	memmove(c->in, c->in + pos, c->inlen - pos);
	c->inlen -= pos;
}
static void flush_all(void)
{
	int i;
	for (i = 0; i < ndirty; i++) { dirty[i]->dirty = false; flush_client(dirty[i]); }
	ndirty = 0;
}
static void run_until(uint64_t t)
{
	struct epoll_event ev[256];
	flush_all();
	for (;;) {
		uint64_t n = now_ns();
		int k, i;
		if (n >= t) return;
		k = epoll_wait(epfd, ev, 256, (int)((t - n) / 1000000) + 1);
		for (i = 0; i < k; i++) {
			struct client *c = ev[i].data.ptr;
			if (ev[i].events & EPOLLOUT) flush_client(c);
			if (ev[i].events & ~EPOLLOUT) on_readable(c);
		}
		flush_all();
	}
}

/* run for so many seconds: of the server's processor time where its pid is known,
 * so that a busy machine only makes it take longer, up to RUN_MAX times */
enum { RUN_MAX = 20 };
static void run_for(double secs)
{
	uint64_t end = now_ns() + (uint64_t)(secs * RUN_MAX * 1e9);
	double cpu = proc_cpu(o_pid);

	if (!o_pid) { run_until(now_ns() + (uint64_t)(secs * 1e9)); return; }
	do {
		uint64_t t = now_ns() + (uint64_t)(secs * 1e9 / 8);
		run_until(t < end ? t : end);
	} while (now_ns() < end && proc_cpu(o_pid) - cpu < secs);
}

static void init_client(struct client *c, int id, int lanes)
{
	int i;
	c->id = id;
	c->nlanes = lanes;
	c->lanes = calloc(lanes ? lanes : 1, sizeof(*c->lanes));
	for (i = 0; i < lanes; i++) {
		struct lane *l = &c->lanes[i];
		l->c = c;
		l->req = i;
		l->id = id * lanes + i;
		l->rng = (o_seed + l->id + 1) * 0x9e3779b97f4a7c15ull;
		if (!l->rng) l->rng = 1;
		rng_next(&l->rng);
	}
}
/* register `n` watches, paths by fmt from number `from`, and take first events */
static void add_watches(int fd, const char *fmt, int from, int n)
{
	while (n > 0) {
		int k = n > 32 ? 32 : n, i;
		uint8_t b[32 * 160];
		size_t o = 0;
		for (i = 0; i < k; i++) {
			char p[128];
			int m = sprintf(p, fmt, from + i) + 1;
			struct hdr h = { T_WATCH, 0, 0, 0 };
			m += sprintf(p + m, "I%d", from + i) + 1;
			h.len = m;
			memcpy(b + o, &h, sizeof(h));
			memcpy(b + o + sizeof(h), p, m);
			o += sizeof(h) + m;
		}
		wr_full(fd, b, o);
		drain(fd, k, o_verify ? k : 0);
		from += k;
		n -= k;
	}
}
static void on_alarm(int s)
{
	(void)s;
	static const char m[] = "{\"error\":\"timeout\"}\n";
	if (write(1, m, sizeof(m) - 1) < 0) {}
	_exit(3);
}

int main(int argc, char **argv)
{
	enum { O_SOCKET = 1, O_WORKLOAD, O_CLIENTS, O_PIPELINE, O_SECONDS, O_WARMUP, O_NODES, O_VALUE, O_CHILDREN,
	       O_ICONNS, O_IWATCH, O_MWATCH, O_ACTIVE, O_READS, O_WRITES, O_HOT, O_PID, O_SONLY, O_NSETUP, O_KEEP, O_NVERIFY, O_SEED, O_LABEL, O_HELP };
	static const struct option opts[] = {
		{"socket", 1, 0, O_SOCKET}, {"workload", 1, 0, O_WORKLOAD}, {"clients", 1, 0, O_CLIENTS},
		{"pipeline", 1, 0, O_PIPELINE}, {"seconds", 1, 0, O_SECONDS}, {"warmup", 1, 0, O_WARMUP},
		{"nodes", 1, 0, O_NODES}, {"value-bytes", 1, 0, O_VALUE}, {"children", 1, 0, O_CHILDREN},
		{"idle-conns", 1, 0, O_ICONNS}, {"idle-watches", 1, 0, O_IWATCH}, {"match-watches", 1, 0, O_MWATCH},
		{"active", 1, 0, O_ACTIVE}, {"reads", 1, 0, O_READS}, {"writes", 1, 0, O_WRITES}, {"hot", 1, 0, O_HOT},
		{"server-pid", 1, 0, O_PID}, {"setup-only", 0, 0, O_SONLY}, {"no-setup", 0, 0, O_NSETUP},
		{"keep", 0, 0, O_KEEP}, {"no-verify", 0, 0, O_NVERIFY}, {"seed", 1, 0, O_SEED}, {"label", 1, 0, O_LABEL},
		{"help", 0, 0, O_HELP}, {0} };
	int o, i, extra, *idle;
	uint64_t t, t1, ops0, reqs0, ev0, cf0, er0;
	double cpu0, cpu1, setup_s, secs, clean_s = 0;
	struct rusage ru0, ru1;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) switch (o) {
		case O_SOCKET: o_socket = optarg; break;
		case O_WORKLOAD: o_workload = optarg; break;
		case O_CLIENTS: o_clients = atoi(optarg); break;
		case O_PIPELINE: o_pipeline = atoi(optarg); break;
		case O_SECONDS: o_seconds = atof(optarg); break;
		case O_WARMUP: o_warmup = atof(optarg); break;
		case O_NODES: o_nodes = atoi(optarg); break;
		case O_VALUE: o_value = atoi(optarg); break;
		case O_CHILDREN: o_children = atoi(optarg); break;
		case O_ICONNS: o_idle_conns = atoi(optarg); break;
		case O_IWATCH: o_idle_watches = atoi(optarg); break;
		case O_MWATCH: o_match_watches = atoi(optarg); break;
		case O_ACTIVE: o_active = atoi(optarg); break;
		case O_READS: o_reads = atoi(optarg); break;
		case O_WRITES: o_writes = atoi(optarg); break;
		case O_HOT: o_hot = atoi(optarg); break;
		case O_PID: o_pid = atoi(optarg); break;
		case O_SONLY: o_setup_only = true; break;
		case O_NSETUP: o_no_setup = true; break;
		case O_KEEP: o_keep = true; break;
		case O_NVERIFY: o_verify = false; break;
		case O_SEED: o_seed = strtoull(optarg, NULL, 0); break;
		case O_LABEL: o_label = optarg; break;
		case O_HELP: usage(); return 0;
		default: usage(); return 2;
	}
	if (!o_socket) { usage(); return 2; }
	if (o_clients < 1 || o_pipeline < 1 || o_nodes < 1 || o_value < 0 || o_value > PAYMAX - 128 ||
	    o_reads + o_writes > 64)
		die("bad option value");
	for (wl = workloads; wl->name && strcmp(wl->name, o_workload); wl++) ;
	if (!wl->name) die("no such workload: %s", o_workload);
	is_many = !strcmp(wl->name, "manyclients");
	if (is_many || !strcmp(wl->name, "churn")) o_pipeline = 1;
	if (!strcmp(wl->name, "txnempty")) o_reads = o_writes = 0;
	hot = !strcmp(wl->name, "txnconflict");
	if (o_nodes < o_hot) o_nodes = o_hot;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_alarm);
	alarm((unsigned)((o_seconds + o_warmup) * RUN_MAX) + 240);
	for (i = 0; i < PAYMAX; i++) value[i] = 'a' + i % 26;

	t = now_ns();
	cpu0 = proc_cpu(o_pid);
	sfd = xconnect();
	if (!o_no_setup) wl->setup();
	setup_s = (now_ns() - t) / 1e9;
	cpu1 = proc_cpu(o_pid);
	if (o_setup_only) {
		printf("{\"workload\":\"%s\",\"setup_only\":true,\"nodes\":%d,\"setup_s\":%.3f,\"srv_cpu_s\":%.3f,\"srv_rss_kb\":%ld,\"srv_hwm_kb\":%ld}\n",
		       o_workload, o_nodes, setup_s, cpu1 - cpu0, proc_kb(o_pid, "VmRSS:"), proc_kb(o_pid, "VmHWM:"));
		return 0;
	}

	/* connections: the clients, perhaps one more (writer or sink), the idle */
	epfd = epoll_create1(EPOLL_CLOEXEC);
	extra = (!strcmp(wl->name, "watch") ? 1 : 0) + (o_match_watches ? 1 : 0);
	nclients = o_clients + extra;
	clients = calloc(nclients, sizeof(*clients));
	dirty = calloc(nclients, sizeof(*dirty));
	idle = calloc(o_idle_conns + 1, sizeof(int));
	for (i = 0; i < o_idle_conns; i++) idle[i] = xconnect();
	if (o_idle_watches) {
		if (!o_idle_conns) { idle[0] = xconnect(); o_idle_conns = 1; }
		for (i = 0; i < o_idle_conns; i++) {
			int a = (int)((long)o_idle_watches * i / o_idle_conns), b = (int)((long)o_idle_watches * (i + 1) / o_idle_conns);
			add_watches(idle[i], "/bench/idle/domain/%d/device/vif/0/state", a, b - a);
		}
	}
	for (i = 0; i < nclients; i++) {
		struct client *c = &clients[i];
		c->fd = -1;
		if (!strcmp(wl->name, "watch")) init_client(c, i, i == o_clients ? o_pipeline : 0);
		else init_client(c, i, i < o_clients ? o_pipeline : 0);
		if (!strcmp(wl->name, "churn") && i < o_clients) continue;
		c->fd = xconnect();
		if (!strcmp(wl->name, "watch") && i < o_clients) add_watches(c->fd, "/bench/w", i, 1);
		if (is_many && i < o_clients) add_watches(c->fd, "/bench/idle/domain/%d/device/vif/0/state", i, 1);
		if (o_match_watches && i == nclients - 1) {
			int k;
			c->sink = true;
			for (k = 0; k < o_match_watches; k++) add_watches(c->fd, "/bench/domain", k, 1);
		}
		watch_fd(c);
	}

	if (wl->ready) wl->ready();
	else for (i = 0; i < o_clients; i++) {
		int k;
		for (k = 0; k < clients[i].nlanes; k++) {
			clients[i].lanes[k].t0 = now_ns();
			wl->next(&clients[i].lanes[k]);
		}
	}
	run_for(o_warmup);
	measuring = true;
	ops0 = n_ops; reqs0 = n_reqs; ev0 = n_events; cf0 = n_conflicts; er0 = n_errors;
	cpu0 = proc_cpu(o_pid);
	getrusage(RUSAGE_SELF, &ru0);
	t = now_ns();
	run_for(o_seconds);
	t1 = now_ns();
	cpu1 = proc_cpu(o_pid);
	getrusage(RUSAGE_SELF, &ru1);
	secs = (t1 - t) / 1e9;
	measuring = false;
	stopping = true;
	{
		uint64_t ops = n_ops - ops0, reqs = n_reqs - reqs0, evs = n_events - ev0;
		long rss = proc_kb(o_pid, "VmRSS:"), hwm = proc_kb(o_pid, "VmHWM:");
		double cli = (ru1.ru_utime.tv_sec - ru0.ru_utime.tv_sec) + (ru1.ru_utime.tv_usec - ru0.ru_utime.tv_usec) / 1e6 +
			(ru1.ru_stime.tv_sec - ru0.ru_stime.tv_sec) + (ru1.ru_stime.tv_usec - ru0.ru_stime.tv_usec) / 1e6;
		for (i = 0; i < nclients; i++) if (clients[i].fd >= 0) close(clients[i].fd);
		for (i = 0; i < o_idle_conns; i++) close(idle[i]);
		if (!o_keep) {
			uint64_t c0 = now_ns();
			s_strict = false;
			s_req(T_RM, "/bench", 7);
			s_flush();
			clean_s = (now_ns() - c0) / 1e9;
		}
		printf("{\"workload\":\"%s\",\"label\":\"%s\",\"clients\":%d,\"pipeline\":%d,\"nodes\":%d,\"value\":%d,\"children\":%d,"
		       "\"seconds\":%.3f,\"ops\":%llu,\"ops_s\":%.1f,\"reqs\":%llu,\"reqs_s\":%.1f,\"events\":%llu,\"events_s\":%.1f,"
		       "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"mean_us\":%.1f,"
		       "\"conflicts\":%llu,\"errors\":%llu,\"first_error\":\"",
		       o_workload, o_label, o_clients, o_pipeline, o_nodes, o_value, o_children,
		       secs, (unsigned long long)ops, ops / secs, (unsigned long long)reqs, reqs / secs,
		       (unsigned long long)evs, evs / secs, hist_q(.5), hist_q(.9), hist_q(.99), hist_max / 1e3,
		       hist_n ? hist_sum / 1e3 / hist_n : 0.0,
		       (unsigned long long)(n_conflicts - cf0), (unsigned long long)(n_errors - er0));
		for (i = 0; first_error[i]; i++) putchar(first_error[i] < 32 || first_error[i] > 126 || strchr("\"\\", first_error[i]) ? '.' : first_error[i]);
		printf("\",\"srv_cpu_s\":%.4f,\"srv_cpu_us_op\":%.3f,\"srv_rss_kb\":%ld,\"srv_hwm_kb\":%ld,\"cli_cpu_s\":%.3f,\"setup_s\":%.3f,\"clean_s\":%.3f}\n",
		       cpu1 - cpu0, ops ? (cpu1 - cpu0) * 1e6 / ops : 0.0, rss, hwm, cli, setup_s, clean_s);
	}
	return 0;
}
