/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps frames of a domain without touching them, says what came of it, and fills
 * them when it is told to by a line: filler DOMID FIRST COUNT.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xenforeignmemory.h>

int main(int argc, char **argv)
{
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    size_t count = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
    xen_pfn_t *frames = calloc(count + 1, sizeof(*frames));
    void *pages;
    char line[16];

    if (!memory || !count || !frames)
        return 2;
    for (size_t i = 0; i < count; i++)
        frames[i] = strtoul(argv[2], NULL, 0) + i;
    pages = xenforeignmemory_map(memory, (uint32_t)atoi(argv[1]), PROT_READ | PROT_WRITE, count, frames, NULL);
    if (!pages) {
        printf("%s\n", strerrorname_np(errno));
        return 1;
    }
    printf("mapped\n");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return 0;
    memset(pages, 0xa5, count * 4096);
    printf("filled\n");
    return 0;
}
