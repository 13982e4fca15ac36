// SPDX-License-Identifier: Apache-2.0
/*
 * xenstub.so - LD_PRELOAD shim that lets the distribution's xenstored and
 * oxenstored run on a machine without Xen, for tests and benchmarks only.
 *
 * It replaces the libxenctrl / libxenevtchn / libxengnttab entry points the
 * daemons use, redirects their fixed paths into a private run directory, and
 * fakes the dom0 ring page.  No hypervisor is contacted.
 *
 * Environment:
 *   XENSTUB_RUN    private directory: files /proc/xen/xsd_port and xsd_kva
 *                  become files in it, and /var/run/xenstored, /run/xenstored,
 *                  /var/run/xen, /var/log/xen are redirected into it.
 *   XENSTUB_DOMS   domids 1..N "exist" (default 999); dom0 always does.
 *   XENSTUB_DOMFILE  if set: a file of 32768 bytes, one per domid, read at
 *                  every query: 0 absent, 1 running, 2 shutdown, 3 dying.
 *                  Overrides XENSTUB_DOMS.  SIGUSR2 raises VIRQ_DOM_EXC.
 *   XENSTUB_RINGS  if set: a domain's ring page is the file ring-<domid> in the
 *                  run directory, and two FIFOs there carry event channels, four
 *                  bytes a port: `evtchn` what the daemon is to see, `notify` what
 *                  it raised. Ports: VIRQ_DOM_EXC is 7, that of a domain 1000+domid.
 *
 *   XENSTUB_PARENT  if set: the process that started the daemon; when it is gone,
 *                  so is the daemon.
 *
 * bench/xenstored/real.ts builds it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define REAL(ret, name, ...) \
	static ret (*real)(__VA_ARGS__); \
	if (!real) real = (ret (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static const char *rundir(void) { return getenv("XENSTUB_RUN"); }

/* ---- paths ---------------------------------------------------------- */
static const char *map_path(const char *p, char *buf, size_t n)
{
	static const char *const dirs[] = {
		"/var/run/xenstored", "/run/xenstored", "/var/run/xen",
		"/var/log/xen", "/var/lib/xenstored", NULL };
	const char *r = rundir();
	int i;

	if (!p || !r)
		return p;
	if (!strcmp(p, "/proc/xen/xsd_port")) {
		snprintf(buf, n, "%s/xsd_port", r);
		return buf;
	}
	if (!strcmp(p, "/proc/xen/xsd_kva")) {
		snprintf(buf, n, "%s/xsd_kva", r);
		return buf;
	}
	for (i = 0; dirs[i]; i++) {
		size_t l = strlen(dirs[i]);
		if (!strncmp(p, dirs[i], l) && (p[l] == '/' || !p[l])) {
			snprintf(buf, n, "%s%s", r, p + l);
			return buf;
		}
	}
	return p;
}

static void ensure_ring_files(void)
{
	const char *r = rundir();
	char buf[512];
	int fd;

	if (!r)
		return;
	snprintf(buf, sizeof(buf), "%s/xsd_port", r);
	fd = creat(buf, 0600);
	if (fd >= 0) {
		if (write(fd, "1", 1) < 0) perror("xenstub");
		close(fd);
	}
	snprintf(buf, sizeof(buf), "%s/xsd_kva", r);
	fd = creat(buf, 0600);
	if (fd >= 0) {
		if (ftruncate(fd, 4096) < 0) perror("xenstub");
		close(fd);
	}
}

int open(const char *path, int flags, ...)
{
	char b[512]; mode_t m = 0;
	REAL(int, "open", const char *, int, ...);
	if (flags & (O_CREAT | O_TMPFILE)) { va_list ap; va_start(ap, flags); m = va_arg(ap, mode_t); va_end(ap); }
	return real(map_path(path, b, sizeof(b)), flags, m);
}
int open64(const char *path, int flags, ...)
{
	char b[512]; mode_t m = 0;
	REAL(int, "open64", const char *, int, ...);
	if (flags & (O_CREAT | O_TMPFILE)) { va_list ap; va_start(ap, flags); m = va_arg(ap, mode_t); va_end(ap); }
	return real(map_path(path, b, sizeof(b)), flags, m);
}
int unlink(const char *p) { char b[512]; REAL(int, "unlink", const char *); return real(map_path(p, b, sizeof(b))); }
int mkdir(const char *p, mode_t m) { char b[512]; REAL(int, "mkdir", const char *, mode_t); return real(map_path(p, b, sizeof(b)), m); }
int chmod(const char *p, mode_t m) { char b[512]; REAL(int, "chmod", const char *, mode_t); return real(map_path(p, b, sizeof(b)), m); }
int stat(const char *p, struct stat *s) { char b[512]; REAL(int, "stat", const char *, struct stat *); return real(map_path(p, b, sizeof(b)), s); }
int stat64(const char *p, struct stat64 *s) { char b[512]; REAL(int, "stat64", const char *, struct stat64 *); return real(map_path(p, b, sizeof(b)), s); }
int lstat64(const char *p, struct stat64 *s) { char b[512]; REAL(int, "lstat64", const char *, struct stat64 *); return real(map_path(p, b, sizeof(b)), s); }

int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_un un, out;
	char b[512];
	const char *m;
	REAL(int, "bind", int, const struct sockaddr *, socklen_t);

	if (!sa || sa->sa_family != AF_UNIX || len > sizeof(un))
		return real(fd, sa, len);
	memset(&un, 0, sizeof(un));
	memcpy(&un, sa, len);
	m = map_path(un.sun_path, b, sizeof(b));
	if (m == un.sun_path)
		return real(fd, sa, len);
	memset(&out, 0, sizeof(out));
	out.sun_family = AF_UNIX;
	if (strlen(m) >= sizeof(out.sun_path)) { errno = ENAMETOOLONG; return -1; }
	strcpy(out.sun_path, m);
	return real(fd, (struct sockaddr *)&out, sizeof(out));
}

/* oxenstored insists on raising RLIMIT_NOFILE; be content with what there is. */
int setrlimit(__rlimit_resource_t what, const struct rlimit *rl)
{
	struct rlimit cur, want = *rl;
	REAL(int, "setrlimit", __rlimit_resource_t, const struct rlimit *);

	if (real(what, rl) == 0)
		return 0;
	if (getrlimit(what, &cur))
		return -1;
	if (want.rlim_max > cur.rlim_max)
		want.rlim_max = cur.rlim_max;
	if (want.rlim_cur > want.rlim_max)
		want.rlim_cur = want.rlim_max;
	real(what, &want);
	return 0;
}

/* ---- domains -------------------------------------------------------- */
enum { FIRST_RESERVED = 0x7ff0 };

/* XENSTUB_DOMFILE, mapped when it is first asked for; NULL where there is none. */
static const volatile unsigned char *dom_states(void)
{
	static const volatile unsigned char *states;
	const char *f = getenv("XENSTUB_DOMFILE");
	void *p;
	int fd;

	if (states || !f)
		return states;
	fd = open(f, O_RDONLY);
	if (fd < 0)
		return NULL;
	p = mmap(NULL, 32768, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return states = p == MAP_FAILED ? NULL : p;
}

static int dom_state(uint32_t domid)
{
	const char *n;

	if (domid == 0)
		return 1;
	if (getenv("XENSTUB_DOMFILE"))
		return dom_states() ? dom_states()[domid] : 0;
	n = getenv("XENSTUB_DOMS");
	return domid <= (uint32_t)(n ? atoi(n) : 999) ? 1 : 0;
}

static struct { int dummy; } fake_xch;

xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b, unsigned flags)
{ (void)a; (void)b; (void)flags; return (xc_interface *)&fake_xch; }
int xc_interface_close(xc_interface *x) { (void)x; return 0; }

int xc_domain_getinfo(xc_interface *x, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
	unsigned int n = 0;
	uint32_t d;

	(void)x;
	for (d = first; n < max && d < FIRST_RESERVED; d++) {
		int s = dom_state(d);
		if (!s)
			continue;
		memset(&info[n], 0, sizeof(info[n]));
		info[n].domid = d;
		info[n].running = s == 1;
		info[n].shutdown = s >= 2;
		info[n].dying = s == 3;
		n++;
		if (max == 1)
			break;
	}
	if (!n) { errno = ESRCH; return -1; }
	return n;
}

int xc_domain_getinfolist(xc_interface *x, uint32_t first, unsigned int max, xc_domaininfo_t *info)
{
	unsigned int n = 0;
	uint32_t d;

	(void)x;
	for (d = first; n < max && d < FIRST_RESERVED; d++) {
		int s = dom_state(d);
		if (!s)
			continue;
		memset(&info[n], 0, sizeof(info[n]));
		info[n].domain = d;
		info[n].flags = (s == 1 ? XEN_DOMINF_running : 0) |
			(s >= 2 ? XEN_DOMINF_shutdown : 0) |
			(s == 3 ? XEN_DOMINF_dying : 0);
		n++;
	}
	return n;
}

static int has_rings(void) { return getenv("XENSTUB_RINGS") != NULL; }

/* A domain's ring page: a file the tests map as well, or nobody's. */
static void *map_ring(uint32_t domid, int prot)
{
	char b[512];
	void *p;
	int fd;

	if (!has_rings()) {
		p = mmap(NULL, 4096, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	snprintf(b, sizeof(b), "%s/ring-%u", rundir(), domid);
	fd = open(b, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return NULL;
	p = ftruncate(fd, 4096) ? MAP_FAILED : mmap(NULL, 4096, prot, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void *xc_map_foreign_range(xc_interface *x, uint32_t dom, int size, int prot, unsigned long mfn)
{ (void)x; (void)mfn; (void)size; return map_ring(dom, prot); }

/* ---- grant table ---------------------------------------------------- */
xengnttab_handle *xengnttab_open(xentoollog_logger *l, unsigned f) { (void)l; (void)f; return (xengnttab_handle *)&fake_xch; }
int xengnttab_close(xengnttab_handle *g) { (void)g; return 0; }
int xengnttab_set_max_grants(xengnttab_handle *g, uint32_t n) { (void)g; (void)n; return 0; }
void *xengnttab_map_grant_ref(xengnttab_handle *g, uint32_t domid, uint32_t ref, int prot)
{ (void)g; (void)ref; return map_ring(domid, prot); }
int xengnttab_unmap(xengnttab_handle *g, void *a, uint32_t c) { (void)g; return munmap(a, c * 4096); }

/* ---- event channel: a socketpair or two FIFOs, four bytes per pending port -- */
enum { VIRQ_PORT = 7, FIRST_DOMAIN_PORT = 1000 };
static int ev_in = -1, ev_raise = -1, ev_out = -1;

static void on_usr2(int s)
{
	int e = errno;
	uint32_t port = VIRQ_PORT;
	(void)s;
	if (ev_raise >= 0 && write(ev_raise, &port, 4) != 4) {}
	errno = e;
}
static int open_fifo(const char *name)
{
	char b[512];
	snprintf(b, sizeof(b), "%s/%s", rundir(), name);
	if (mkfifo(b, 0600) && errno != EEXIST)
		return -1;
	return open(b, O_RDWR | O_NONBLOCK);
}
static int ev_open(void)
{
	int pair[2];
	if (has_rings()) {
		ev_in = ev_raise = open_fifo("evtchn");
		ev_out = open_fifo("notify");
		if (ev_in < 0 || ev_out < 0)
			return -1;
	} else {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
			return -1;
		ev_in = pair[0];
		ev_raise = pair[1];
	}
	if (getenv("XENSTUB_DOMFILE"))
		signal(SIGUSR2, on_usr2);
	return 0;
}
xenevtchn_handle *xenevtchn_open(xentoollog_logger *l, unsigned f) { (void)l; (void)f; return ev_open() ? NULL : (xenevtchn_handle *)&fake_xch; }
xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *l, int fd, unsigned f) { (void)l; (void)f; (void)fd; return ev_open() ? NULL : (xenevtchn_handle *)&fake_xch; }
int xenevtchn_close(xenevtchn_handle *x)
{
	(void)x;
	close(ev_in);
	if (ev_raise != ev_in)
		close(ev_raise);
	if (ev_out >= 0)
		close(ev_out);
	return 0;
}
int xenevtchn_fd(xenevtchn_handle *x) { (void)x; return ev_in; }
int xenevtchn_notify(xenevtchn_handle *x, evtchn_port_t p)
{
	uint32_t port = p;
	(void)x;
	if (ev_out >= 0 && write(ev_out, &port, 4) != 4) {}
	return 0;
}
xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *x, unsigned v) { (void)x; (void)v; return VIRQ_PORT; }
xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *x, uint32_t d, evtchn_port_t p) { (void)x; (void)p; return FIRST_DOMAIN_PORT + d; }
int xenevtchn_unbind(xenevtchn_handle *x, evtchn_port_t p) { (void)x; (void)p; return 0; }
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *x) { uint32_t p; (void)x; return read(ev_in, &p, 4) == 4 ? (int)p : -1; }
int xenevtchn_unmask(xenevtchn_handle *x, evtchn_port_t p) { (void)x; (void)p; return 0; }

/* Ends with the process that started it, and not with one that handed over to it. */
static void die_with_parent(void)
{
	const char *parent = getenv("XENSTUB_PARENT");

	if (!parent || getppid() != atoi(parent))
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != atoi(parent))
		_exit(1);
}

__attribute__((constructor)) static void init(void)
{
	die_with_parent();
	ensure_ring_files();
}
