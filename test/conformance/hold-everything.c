/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps frames and grants of a domain, binds event channels, and lets go of some
 * of it, for ever: hold-everything DOMID [PAGES [fork]]. After a fork the child
 * goes on with the devices it has inherited, beside its parent.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#define PAGES_MAX 4096

int main(int argc, char **argv)
{
    uint32_t domid = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    xenevtchn_handle *events = xenevtchn_open(NULL, 0);
    xengnttab_handle *grants = xengnttab_open(NULL, 0);
    unsigned pages = argc > 2 ? (unsigned)atoi(argv[2]) : 64;

    if (pages > PAGES_MAX || (argc > 3 && fork() < 0))
        return 2;
    if (!memory || !events || !grants)
        return 2;
    for (unsigned round = 0;; round++) {
        static xen_pfn_t frames[PAGES_MAX];
        static int errors[PAGES_MAX];
        void *held, *granted;
        xenevtchn_port_or_error_t port = xenevtchn_bind_unbound_port(events, domid);

        for (unsigned i = 0; i < pages; i++)
            frames[i] = 0x400 + (round * pages + i * 3) % 4096;
        held = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, pages, frames, errors);
        granted = xengnttab_map_grant_ref(grants, domid, 1, PROT_READ);
        if (!held)
            return 1;
        if (round % 3)
            xenforeignmemory_unmap(memory, held, pages);
        if (granted && round % 2)
            xengnttab_unmap(grants, granted, 1);
        if (port >= 0 && round % 4)
            xenevtchn_unbind(events, (evtchn_port_t)port);
    }
}
