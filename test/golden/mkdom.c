/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creates domains and nothing else of them, as the recordings' driver did:
 * mkdom auto N     N domains of domids that Xen chooses
 * mkdom try DOMID  that one; destroyed again, as those of `auto` are
 * mkdom keep DOMID that one, and keeps it
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenctrl.h>

static int create(xc_interface *xc, uint32_t *domid)
{
    struct xen_domctl_createdomain config = {
        .max_vcpus = 1,
        .max_evtchn_port = 1023,
        .max_grant_frames = 4,
        .grant_opts = XEN_DOMCTL_GRANT_version(2),
    };

    return xc_domain_create(xc, domid, &config);
}

static void make_many(xc_interface *xc, int count)
{
    while (count-- > 0) {
        uint32_t domid = 0;
        int result = create(xc, &domid);

        printf("       0.000 auto rc=%d domid=%u\n", result, domid);
        if (result == 0)
            xc_domain_destroy(xc, domid);
    }
}

static void make_one(xc_interface *xc, uint32_t asked, int keep)
{
    uint32_t domid = asked;
    int result = create(xc, &domid);
    int error = errno;

    printf("       0.000 createdomain(domid=%u) rc=%d %s%s domid_out=%u\n", asked, result, result ? "errno=" : "",
           result ? strerror(error) : "", domid);
    if (result)
        printf("errno=%d\n", error);
    else if (!keep) {
        result = xc_domain_destroy(xc, domid);
        printf("       0.000 destroydomain(%u) rc=%d errno=%d\n", domid, result, result ? errno : 0);
    }
}

int main(int argc, char **argv)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);

    if (argc < 3 || !xc)
        return 2;
    if (strcmp(argv[1], "auto") == 0)
        make_many(xc, atoi(argv[2]));
    else
        make_one(xc, (uint32_t)atoi(argv[2]), strcmp(argv[1], "keep") == 0);
    xc_interface_close(xc);
    return 0;
}
