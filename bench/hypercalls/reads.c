/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a node of xenstore, one request after another, as libxl does for each domain's name.
 *
 *     reads COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <xenstore.h>

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1;
    struct xs_handle *store = xs_open(0);

    for (int i = 0; i < count; i++) {
        unsigned length;
        char *name = store ? xs_read(store, XBT_NULL, "/local/domain/0/name", &length) : NULL;

        if (!name) {
            perror("xs_read");
            return 1;
        }
        free(name);
    }
    xs_close(store);
    return 0;
}
