/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a node of xenstore, one request after another, as libxl does for each domain's name.
 *
 *     reads COUNT any|same|two HOST-PID
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <xenstore.h>

#include "placement.h"

static void read_name(struct xs_handle *store)
{
    unsigned length;
    char *name = store ? xs_read(store, XBT_NULL, "/local/domain/0/name", &length) : NULL;

    if (!name) {
        perror("xs_read");
        exit(1);
    }
    free(name);
}

int main(int argc, char **argv)
{
    struct xs_handle *store = xs_open(0);
    int count = argc == 4 ? atoi(argv[1]) : 0;

    read_name(store);
    placement_start();
    if (argc == 4)
        placement_apply(placement_of(argv[2]), atoi(argv[3]));
    for (int i = 0; i < count; i++)
        read_name(store);
    if (argc == 4)
        placement_apply(ANY, atoi(argv[3]));
    xs_close(store);
    return 0;
}
