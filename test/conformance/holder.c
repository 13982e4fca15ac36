/* SPDX-License-Identifier: Apache-2.0 */
/* Maps a frame of a domain and holds it until it is killed: holder DOMID GFN. Prints the frame's first bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenforeignmemory.h>

int main(int argc, char **argv)
{
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    xen_pfn_t frame;
    int error = 0;
    unsigned char *page;

    if (argc < 3 || !memory)
        return 2;
    frame = strtoul(argv[2], NULL, 0);
    page = xenforeignmemory_map(memory, (uint32_t)atoi(argv[1]), PROT_READ | PROT_WRITE, 1, &frame, &error);
    if (!page || error) {
        printf("error %d\n", error);
        return 1;
    }
    printf("%02x%02x%02x%02x\n", page[0], page[1], page[2], page[3]);
    page[4095] = 0x5a;
    fflush(stdout);
    pause();
    return 0;
}
