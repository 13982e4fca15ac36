// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into the real xl so that it starts on a machine without Xen: a host
// of four CPUs on two nodes and an empty xenstore. Enough for `xl -N`, for usage
// messages and for `xl help`, which need nothing more from a hypervisor.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>

enum { cpus = 4, nodes = 2, megabyte = 1 << 20 };

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *builder, unsigned flags)
{
    return calloc(1, 1 << 16);
}

int xc_interface_close(xc_interface *xch)
{
    return 0;
}

int xc_physinfo(xc_interface *xch, xc_physinfo_t *info)
{
    memset(info, 0, sizeof *info);
    info->threads_per_core = 1;
    info->cores_per_socket = cpus;
    info->nr_cpus = cpus;
    info->max_cpu_id = cpus - 1;
    info->nr_nodes = nodes;
    info->max_node_id = nodes - 1;
    info->total_pages = megabyte;
    info->free_pages = megabyte / 2;
    return 0;
}

int xc_get_max_cpus(xc_interface *xch)
{
    return cpus;
}

int xc_get_online_cpus(xc_interface *xch)
{
    return cpus;
}

int xc_get_max_nodes(xc_interface *xch)
{
    return nodes;
}

int xc_cputopoinfo(xc_interface *xch, unsigned *count, xc_cputopo_t *topology)
{
    *count = cpus;
    for (int cpu = 0; topology && cpu < cpus; cpu++)
        topology[cpu] = (xc_cputopo_t){ .core = cpu, .socket = 0, .node = cpu * nodes / cpus };
    return 0;
}

int xc_numainfo(xc_interface *xch, unsigned *count, xc_meminfo_t *memory, uint32_t *distances)
{
    *count = nodes;
    for (int node = 0; memory && node < nodes; node++)
        memory[node].memsize = 1ull << 31;
    return 0;
}

long xc_sharing_freed_pages(xc_interface *xch)
{
    return 0;
}

long xc_sharing_used_frames(xc_interface *xch)
{
    return 0;
}

int xc_maximum_ram_page(xc_interface *xch, unsigned long *page)
{
    *page = megabyte;
    return 0;
}

int xc_sched_id(xc_interface *xch, int *id)
{
    *id = XEN_SCHEDULER_CREDIT2;
    return 0;
}

int xc_version(xc_interface *xch, int command, void *argument)
{
    return command == XENVER_version ? 4 << 16 | 17 : command == XENVER_pagesize ? 4096 : 0;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    return 0;
}

void *xs_open(unsigned long flags)
{
    return calloc(1, 4096);
}

void xs_close(void *handle)
{
}

int xs_fileno(void *handle)
{
    return 0;
}

void *xs_read(void *handle, unsigned transaction, const char *path, unsigned *length)
{
    errno = ENOENT;
    return NULL;
}

char **xs_directory(void *handle, unsigned transaction, const char *path, unsigned *count)
{
    errno = ENOENT;
    return NULL;
}

char *xs_get_domain_path(void *handle, unsigned domid)
{
    char path[64];

    snprintf(path, sizeof path, "/local/domain/%u", domid);
    return strdup(path);
}
