/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps frames and grants of a domain, binds event channels, and lets go of some
 * of it, for ever: hold-everything DOMID.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#define PAGES 64

int main(int argc, char **argv)
{
    uint32_t domid = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    xenevtchn_handle *events = xenevtchn_open(NULL, 0);
    xengnttab_handle *grants = xengnttab_open(NULL, 0);

    if (!memory || !events || !grants)
        return 2;
    for (unsigned round = 0;; round++) {
        xen_pfn_t frames[PAGES];
        int errors[PAGES];
        void *held, *granted;
        xenevtchn_port_or_error_t port = xenevtchn_bind_unbound_port(events, domid);

        for (int i = 0; i < PAGES; i++)
            frames[i] = 0x400 + (round * PAGES + i * 3) % 4096;
        held = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, PAGES, frames, errors);
        granted = xengnttab_map_grant_ref(grants, domid, 1, PROT_READ);
        if (!held)
            return 1;
        if (round % 3)
            xenforeignmemory_unmap(memory, held, PAGES);
        if (granted && round % 2)
            xengnttab_unmap(grants, granted, 1);
        if (port >= 0 && round % 4)
            xenevtchn_unbind(events, (evtchn_port_t)port);
    }
}
