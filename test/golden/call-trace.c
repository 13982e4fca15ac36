/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A preloaded library that writes down every call on a Xen device file, as the
 * recordings' tracer did: one file a process, $CALLS/hc.PROGRAM.PID.log.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))
#define LINE 1024

struct name {
    unsigned number;
    const char *text;
};

#define DOMCTL(name) { XEN_DOMCTL_##name, #name }
#define SYSCTL(name) { XEN_SYSCTL_##name, #name }
#define MEMORY(name) { XENMEM_##name, #name }
#define EVTCHN(name) { EVTCHNOP_##name, #name }

static const struct name domctls[] = {
    DOMCTL(createdomain), DOMCTL(destroydomain), DOMCTL(pausedomain), DOMCTL(unpausedomain),
    DOMCTL(getdomaininfo), DOMCTL(setvcpuaffinity), DOMCTL(getvcpuaffinity), DOMCTL(shadow_op),
    DOMCTL(max_mem), DOMCTL(setvcpucontext), DOMCTL(getvcpucontext), DOMCTL(getvcpuinfo), DOMCTL(max_vcpus),
    DOMCTL(scheduler_op), DOMCTL(setdomainhandle), DOMCTL(settscinfo), DOMCTL(gettscinfo), DOMCTL(resumedomain),
    DOMCTL(sendtrigger), DOMCTL(set_address_size), DOMCTL(get_address_size), DOMCTL(getpageframeinfo3),
    DOMCTL(set_ext_vcpucontext), DOMCTL(get_ext_vcpucontext), DOMCTL(setvcpuextstate), DOMCTL(getvcpuextstate),
    DOMCTL(setnodeaffinity), DOMCTL(get_vcpu_msrs), DOMCTL(set_vcpu_msrs), DOMCTL(get_cpu_policy),
    DOMCTL(set_cpu_policy),
};
static const struct name sysctls[] = {
    SYSCTL(readconsole), SYSCTL(physinfo), SYSCTL(sched_id), SYSCTL(getdomaininfolist), SYSCTL(debug_keys),
    SYSCTL(getcpuinfo), SYSCTL(cputopoinfo), SYSCTL(numainfo), SYSCTL(cpupool_op), SYSCTL(scheduler_op),
    SYSCTL(get_cpu_featureset), SYSCTL(get_cpu_policy),
};
static const struct name memory_ops[] = {
    MEMORY(increase_reservation), MEMORY(decrease_reservation), MEMORY(populate_physmap),
    MEMORY(maximum_ram_page), MEMORY(machphys_mfn_list), MEMORY(exchange), MEMORY(set_memory_map),
    MEMORY(maximum_gpfn), MEMORY(get_sharing_freed_pages), MEMORY(get_sharing_shared_pages),
    MEMORY(claim_pages), MEMORY(get_vnumainfo),
};
static const struct name evtchn_ops[] = { EVTCHN(alloc_unbound), EVTCHN(status), EVTCHN(reset) };

/* A line under way. */
struct line {
    char text[LINE];
    size_t length;
};

static void add(struct line *line, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line->text + line->length, LINE - line->length, format, args);
    va_end(args);
    line->length += length > 0 ? (size_t)length : 0;
    if (line->length >= LINE)
        line->length = LINE - 1;
}

static void add_name(struct line *line, const char *family, const struct name *names, size_t count, unsigned number)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].number == number) {
            add(line, "%s %s", family, names[i].text);
            return;
        }
    add(line, "%s %u", family, number);
}

static void add_domctl(struct line *line, const struct xen_domctl *call)
{
    const struct xen_domctl_createdomain *made = &call->u.createdomain;

    add_name(line, "domctl", domctls, LENGTH(domctls), call->cmd);
    add(line, " dom=%u", call->domain);
    if (call->cmd == XEN_DOMCTL_createdomain)
        add(line, " ssid=%u flags=%#x iommu=%#x max_vcpus=%u max_evtchn_port=%u gnt_frames=%d maptrack=%d"
                  " grant_opts=%#x vmtrace=%u cpupool=%u emul=%#x misc=%#x",
            made->ssidref, made->flags, made->iommu_opts, made->max_vcpus, made->max_evtchn_port,
            made->max_grant_frames, made->max_maptrack_frames, made->grant_opts, made->vmtrace_size,
            made->cpupool_id, made->arch.emulation_flags, made->arch.misc_flags);
    if (call->cmd == XEN_DOMCTL_max_mem)
        add(line, " max_memkb=%llu", (unsigned long long)call->u.max_mem.max_memkb);
    if (call->cmd == XEN_DOMCTL_max_vcpus)
        add(line, " max=%u", call->u.max_vcpus.max);
    if (call->cmd == XEN_DOMCTL_shadow_op)
        add(line, " op=%u mode=%#x mb=%u", call->u.shadow_op.op, call->u.shadow_op.mode, call->u.shadow_op.mb);
}

static void add_memory_op(struct line *line, unsigned command, const void *argument)
{
    const struct xen_memory_reservation *wanted = argument;

    add_name(line, "memory_op", memory_ops, LENGTH(memory_ops), command);
    if (command == XENMEM_maximum_gpfn)
        add(line, " dom=%u", *(const domid_t *)argument);
    if (command == XENMEM_claim_pages)
        add(line, " dom=%u nr=%lu", wanted->domid, (unsigned long)wanted->nr_extents);
    if (command == XENMEM_populate_physmap || command == XENMEM_increase_reservation ||
        command == XENMEM_decrease_reservation)
        add(line, " dom=%u nr=%lu order=%u flags=%#x", wanted->domid, (unsigned long)wanted->nr_extents,
            wanted->extent_order, wanted->mem_flags);
}

static void add_evtchn_op(struct line *line, unsigned command, const void *argument)
{
    const struct evtchn_alloc_unbound *wanted = argument;

    add_name(line, "evtchn_op", evtchn_ops, LENGTH(evtchn_ops), command);
    if (command == EVTCHNOP_alloc_unbound)
        add(line, " dom=%u remote=%u", wanted->dom, wanted->remote_dom);
}

static void add_hypercall(struct line *line, unsigned long number, const uint64_t *args)
{
    const void *first = (const void *)(uintptr_t)args[0], *second = (const void *)(uintptr_t)args[1];
    const struct xen_sysctl *sysctl = first;

    if (number == __HYPERVISOR_domctl)
        add_domctl(line, first);
    else if (number == __HYPERVISOR_sysctl) {
        add_name(line, "sysctl", sysctls, LENGTH(sysctls), sysctl->cmd);
        if (sysctl->cmd == XEN_SYSCTL_getdomaininfolist)
            add(line, " first=%u max=%u", sysctl->u.getdomaininfolist.first_domain,
                sysctl->u.getdomaininfolist.max_domains);
    } else if (number == __HYPERVISOR_memory_op)
        add_memory_op(line, (unsigned)args[0] & 63, second);
    else if (number == __HYPERVISOR_event_channel_op)
        add_evtchn_op(line, (unsigned)args[0], second);
    else if (number == __HYPERVISOR_xen_version)
        add(line, "xen_version %#llx", (unsigned long long)args[0]);
    else if (number == __HYPERVISOR_xsm_op || number == __HYPERVISOR_mmuext_op)
        add(line, "%s %#llx", number == __HYPERVISOR_xsm_op ? "xsm_op" : "mmuext_op", (unsigned long long)args[0]);
    else
        add(line, "hypercall %lu", number);
}

/* What a hypercall gave back, where that is more than a number. */
static void add_given(struct line *line, unsigned long number, const uint64_t *args)
{
    const struct xen_domctl *domctl = (const void *)(uintptr_t)args[0];
    const struct evtchn_alloc_unbound *port = (const void *)(uintptr_t)args[1];

    if (number == __HYPERVISOR_domctl && domctl->cmd == XEN_DOMCTL_createdomain)
        add(line, " => domid=%u", domctl->domain);
    if (number == __HYPERVISOR_event_channel_op && args[0] == EVTCHNOP_alloc_unbound)
        add(line, " => port=%u", port->port);
}

static void add_device_call(struct line *line, unsigned long request, const void *argument)
{
    const struct privcmd_mmapbatch_v2 *batch = argument;
    const struct privcmd_mmap_resource *resource = argument;

    if (request == IOCTL_PRIVCMD_MMAPBATCH_V2)
        add(line, "privcmd MMAPBATCH_V2 dom=%u num=%u", batch->dom, batch->num);
    else if (request == IOCTL_PRIVCMD_MMAP_RESOURCE)
        add(line, "privcmd MMAP_RESOURCE dom=%u type=%u id=%u idx=%u num=%llu", resource->dom, resource->type,
            resource->id, resource->idx, (unsigned long long)resource->num);
    else if (request == IOCTL_PRIVCMD_DM_OP)
        add(line, "privcmd DM_OP dom=%u", ((const privcmd_dm_op_t *)argument)->dom);
    else
        add(line, "ioctl %c %lu", (int)(request >> 8 & 0xff), request & 0xff);
}

/* The file of this process, made by its first call: a fork is a process of its own. */
static int log_file(void)
{
    static int file = -1;
    static pid_t whose;
    char path[512], words[512];
    ssize_t length;
    int from;

    if (file >= 0 && whose == getpid())
        return file;
    whose = getpid();
    snprintf(path, sizeof(path), "%s/hc.%.15s.%d.log", getenv("CALLS"), program_invocation_short_name, whose);
    file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    from = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    length = read(from, words, sizeof(words));
    close(from);
    for (ssize_t i = 0; i < length - 1; i++)
        if (words[i] == '\0')
            words[i] = ' ';
    dprintf(file, "# pid %d: %.*s\n", whose, (int)length, words);
    return file;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    struct line line = { .length = 0 };
    const multicall_entry_t *part = NULL;
    privcmd_hypercall_t *call;
    struct timespec now;
    va_list args;
    void *argument;
    long result;
    int error, returned;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    if (!next)
        next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    if (!getenv("CALLS") || !strchr("PEG", (int)(request >> 8 & 0xff)))
        return next(fd, request, argument);

    call = request == IOCTL_PRIVCMD_HYPERCALL ? argument : NULL;
    if (call && call->op == __HYPERVISOR_multicall && call->arg[1] == 1)
        part = (const multicall_entry_t *)(uintptr_t)call->arg[0];
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (part)
        add_hypercall(&line, part->op, (const uint64_t *)part->args);
    else if (call)
        add_hypercall(&line, call->op, (const uint64_t *)call->arg);
    else
        add_device_call(&line, request, argument);

    returned = next(fd, request, argument);
    error = errno;
    result = part && returned == 0 ? (long)part->result : returned;
    if (result < 0) {
        int number = returned == 0 ? (int)-result : error;

        add(&line, " = -1 errno=%d (%s)", number, strerrorname_np(number));
    } else {
        add(&line, " = %ld", result);
        if (call && !part)
            add_given(&line, call->op, (const uint64_t *)call->arg);
    }
    dprintf(log_file(), "%12.3f %s%.*s 0.00ms\n", (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6,
            part ? "[mc] " : "", (int)line.length, line.text);
    errno = error;
    return returned;
}
