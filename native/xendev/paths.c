/* SPDX-License-Identifier: Apache-2.0 */
/* Which paths are Xen's: devices become connections, files live with the host. */
#define _GNU_SOURCE
#include "xendev.h"

#include <stdio.h>
#include <string.h>

static const char *const devices[] = {
    "/dev/xen/privcmd",        "/dev/xen/evtchn",  "/dev/xen/gntdev", "/dev/xen/gntalloc",
    "/dev/xen/xenbus_backend", "/dev/xen/xenbus",  "/proc/xen/xenbus", "/proc/xen/privcmd",
    "/proc/xen/xsd_kva",
};

static const char *const trees[] = {
    "/dev/xen",
    "/proc/xen",
    "/sys/hypervisor",
    "/sys/bus/xen-backend",
};

int path_is_device(const char *path)
{
    if (!path || path[0] != '/')
        return 0;
    for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
        if (!strcmp(path, devices[i]))
            return 1;
    return 0;
}

const char *path_redirect(const char *path, char *buffer, size_t size)
{
    if (!path || path[0] != '/')
        return path;
    for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
        size_t length = strlen(trees[i]);
        if (strncmp(path, trees[i], length) || (path[length] && path[length] != '/'))
            continue;
        if (snprintf(buffer, size, "%s/files%s", host_dir(), path) < (int)size)
            return buffer;
    }
    return path;
}
