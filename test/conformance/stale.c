/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses every device, waits for a line while its host is started anew, and uses
 * the same open devices, and new ones, again: stale DOMID GFN. A line for each
 * use says what came of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

struct handles {
    xc_interface *xc;
    xenforeignmemory_handle *memory;
    xenevtchn_handle *events;
    xengnttab_handle *grants;
};

static struct handles open_all(void)
{
    return (struct handles){
        .xc = xc_interface_open(NULL, NULL, 0),
        .memory = xenforeignmemory_open(NULL, 0),
        .events = xenevtchn_open(NULL, 0),
        .grants = xengnttab_open(NULL, 0),
    };
}

static void say(const char *what, int good)
{
    printf("%s: %s\n", what, good ? "ok" : strerrorname_np(errno));
    fflush(stdout);
}

static unsigned char *use_all(const struct handles *h, uint32_t domid, xen_pfn_t gfn)
{
    xc_physinfo_t info = { 0 };
    unsigned char *page;

    if (!h->xc || !h->memory || !h->events || !h->grants) {
        say("open", 0);
        return NULL;
    }
    say("hypercall", xc_physinfo(h->xc, &info) == 0);
    page = xenforeignmemory_map(h->memory, domid, PROT_READ | PROT_WRITE, 1, &gfn, NULL);
    say("foreign map", page != NULL);
    say("event channel", xenevtchn_bind_unbound_port(h->events, domid) >= 0);
    say("grant", xengnttab_map_grant_ref(h->grants, domid, 1, PROT_READ) != NULL);
    return page;
}

int main(int argc, char **argv)
{
    uint32_t domid = argc > 2 ? (uint32_t)atoi(argv[1]) : 0;
    xen_pfn_t gfn = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    struct handles old = open_all(), fresh;
    unsigned char *page = use_all(&old, domid, gfn);
    char line[16];

    if (!page || !fgets(line, sizeof(line), stdin))
        return 2;
    printf("the page: %02x%02x%02x%02x\n", page[0], page[1], page[2], page[3]);
    use_all(&old, domid, gfn);
    say("unmap", munmap(page, 4096) == 0);
    fresh = open_all();
    use_all(&fresh, domid, gfn);
    return 0;
}
