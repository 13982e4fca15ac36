/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps a page of a domain and holds it until it is killed: holder DOMID GFN, or
 * holder DOMID grant REF. Prints the page's first bytes, marks its last.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

static unsigned char *map_frame(uint32_t domid, xen_pfn_t frame)
{
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    unsigned char *page;
    int error = 0;

    if (!memory)
        return NULL;
    page = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, 1, &frame, &error);
    if (error)
        errno = -error;
    return error ? NULL : page;
}

static unsigned char *map_grant(uint32_t domid, uint32_t ref)
{
    xengnttab_handle *grants = xengnttab_open(NULL, 0);

    return grants ? xengnttab_map_grant_ref(grants, domid, ref, PROT_READ | PROT_WRITE) : NULL;
}

int main(int argc, char **argv)
{
    uint32_t domid = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    int grant = argc > 3 && strcmp(argv[2], "grant") == 0;
    unsigned char *page;

    if (argc < 3)
        return 2;
    page = grant ? map_grant(domid, (uint32_t)atoi(argv[3])) : map_frame(domid, strtoul(argv[2], NULL, 0));
    if (!page) {
        printf("error %d\n", errno);
        return 1;
    }
    printf("%02x%02x%02x%02x\n", page[0], page[1], page[2], page[3]);
    page[4095] = 0x5a;
    fflush(stdout);
    pause();
    return 0;
}
