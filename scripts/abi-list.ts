// SPDX-License-Identifier: Apache-2.0
//
// Which of Xen's public structures and constants the product uses. Sizes,
// offsets and values are not written here: the compiler says them.

/**
 * Fields of structures by name. Plain names are numbers, `*name` is a guest
 * handle (an address), `name[]` bytes or an embedded structure or union. A
 * dotted name reaches into an embedded structure.
 */
export const structs: { readonly [name: string]: string } = {
  // domctl.h
  xen_domctl: "cmd interface_version domain u[]",
  xen_arch_domainconfig: "emulation_flags misc_flags",
  xen_domctl_createdomain:
    "ssidref handle[] flags iommu_opts max_vcpus max_evtchn_port max_grant_frames max_maptrack_frames " +
    "grant_opts vmtrace_size cpupool_id arch.emulation_flags arch.misc_flags",
  xen_domctl_getdomaininfo:
    "domain flags tot_pages max_pages outstanding_pages shr_pages paged_pages shared_info_frame " +
    "cpu_time nr_online_vcpus max_vcpu_id ssidref handle[] cpupool gpaddr_bits " +
    "arch_config.emulation_flags arch_config.misc_flags",
  xen_domctl_getpageframeinfo3: "num *array",
  xen_domctl_shadow_op: "op mode mb *dirty_bitmap pages stats.fault_count stats.dirty_count",
  xen_domctl_max_mem: "max_memkb",
  xen_domctl_vcpucontext: "vcpu *ctxt",
  xen_domctl_getvcpuinfo: "vcpu online blocked running cpu_time cpu",
  xen_domctl_nodeaffinity: "nodemap[]",
  xen_domctl_vcpuaffinity: "vcpu flags cpumap_hard[] cpumap_soft[]",
  xen_domctl_max_vcpus: "max",
  xen_domctl_scheduler_op: "sched_id cmd u[] u.credit2.weight u.credit2.cap",
  xen_domctl_setdomainhandle: "handle[]",
  xen_domctl_setdebugging: "enable",
  xen_domctl_irq_permission: "pirq allow_access",
  xen_domctl_iomem_permission: "first_mfn nr_mfns allow_access",
  xen_domctl_ioport_permission: "first_port nr_ports allow_access",
  xen_domctl_hypercall_init: "gmfn",
  xen_domctl_settimeoffset: "time_offset_seconds",
  xen_domctl_hvmcontext: "size *buffer",
  xen_domctl_hvmcontext_partial: "type instance bufsz *buffer",
  xen_domctl_address_size: "size",
  xen_domctl_sendtrigger: "trigger vcpu",
  xen_domctl_ext_vcpucontext: "vcpu size",
  xen_domctl_set_target: "target",
  xen_domctl_cpu_policy: "nr_leaves nr_msrs *leaves *msrs err_leaf err_subleaf err_msr",
  xen_domctl_subscribe: "port",
  xen_domctl_tsc_info: "tsc_mode gtsc_khz incarnation elapsed_nsec",
  xen_domctl_set_virq_handler: "virq",
  xen_domctl_vcpuextstate: "vcpu xfeature_mask size *buffer",
  xen_domctl_paging_mempool: "size",
  xen_domctl_vcpu_msrs: "vcpu msr_count *msrs",
  xen_domctl_vnuma: "nr_vnodes nr_vmemranges nr_vcpus *vdistance *vcpu_to_vnode *vnode_to_pnode *vmemrange",
  xen_cpuid_leaf: "leaf subleaf a b c d",
  xen_msr_entry: "idx flags val",
  // sysctl.h
  xen_sysctl: "cmd interface_version u[]",
  xen_sysctl_readconsole: "clear incremental index *buffer count",
  xen_sysctl_physinfo:
    "threads_per_core cores_per_socket nr_cpus max_cpu_id nr_nodes max_node_id cpu_khz capabilities " +
    "arch_capabilities total_pages free_pages scrub_pages outstanding_pages max_mfn hw_cap[]",
  xen_sysctl_sched_id: "sched_id",
  xen_sysctl_getdomaininfolist: "first_domain max_domains *buffer num_domains",
  xen_sysctl_debug_keys: "*keys nr_keys",
  xen_sysctl_cpuinfo: "idletime",
  xen_sysctl_getcpuinfo: "max_cpus *info nr_cpus",
  xen_sysctl_availheap: "min_bitwidth max_bitwidth node avail_bytes",
  xen_sysctl_cputopo: "core socket node",
  xen_sysctl_cputopoinfo: "num_cpus *cputopo",
  xen_sysctl_meminfo: "memsize memfree",
  xen_sysctl_numainfo: "num_nodes *meminfo *distance",
  xen_sysctl_cpupool_op: "op cpupool_id sched_id domid cpu n_dom cpumap[]",
  xen_sysctl_scheduler_op: "cpupool_id sched_id cmd u[] u.sched_credit2.ratelimit_us",
  xen_sysctl_cpu_levelling_caps: "caps",
  xen_sysctl_cpu_featureset: "index nr_features *features",
  xen_sysctl_cpu_policy: "index nr_leaves nr_msrs *leaves *msrs",
  xenctl_bitmap: "*bitmap nr_bits",
  // memory.h
  xen_memory_reservation: "*extent_start nr_extents extent_order mem_flags domid",
  xen_memory_domain: "domid",
  xen_machphys_mfn_list: "max_extents *extent_start nr_extents",
  xen_add_to_physmap: "domid size space idx gpfn",
  xen_add_to_physmap_batch: "domid space size u.foreign_domid *idxs *gpfns *errs",
  xen_remove_from_physmap: "domid gpfn",
  xen_memory_map: "nr_entries *buffer",
  xen_foreign_memory_map: "domid map.nr_entries *map.buffer",
  xen_pod_target: "target_pages tot_pages pod_cache_pages pod_entries domid",
  xen_mem_acquire_resource: "domid type id nr_frames frame *frame_list",
  xen_vnuma_topology_info: "domid nr_vnodes nr_vcpus nr_vmemranges",
  // event_channel.h
  evtchn_alloc_unbound: "dom remote_dom port",
  evtchn_bind_interdomain: "remote_dom remote_port local_port",
  evtchn_bind_virq: "virq vcpu port",
  evtchn_bind_ipi: "vcpu port",
  evtchn_close: "port",
  evtchn_send: "port",
  evtchn_status: "dom port status vcpu u.unbound.dom u.interdomain.dom u.interdomain.port u.pirq u.virq",
  evtchn_bind_vcpu: "port vcpu",
  evtchn_unmask: "port",
  evtchn_reset: "dom",
  // grant_table.h
  grant_entry_v1: "flags domid frame",
  gnttab_map_grant_ref: "host_addr flags ref dom status handle dev_bus_addr",
  gnttab_unmap_grant_ref: "host_addr dev_bus_addr handle status",
  gnttab_setup_table: "dom nr_frames status *frame_list",
  gnttab_query_size: "dom nr_frames max_nr_frames status",
  gnttab_get_version: "dom version",
  // hvm/hvm_op.h, hvm/dm_op.h
  xen_hvm_param: "domid index value",
  xen_dm_op: "op u[] u.remote_shutdown.reason u.nr_vcpus.vcpus",
  // sched.h, version.h, platform.h, xen.h
  sched_shutdown: "reason",
  sched_remote_shutdown: "domain_id reason",
  xen_compile_info: "compiler[] compile_by[] compile_domain[] compile_date[]",
  xen_platform_parameters: "virt_start",
  xen_feature_info: "submap_idx submap",
  xen_build_id: "len",
  xen_platform_op: "cmd interface_version u[]",
  xenpf_settime64: "secs nsecs system_time mbz",
  multicall_entry: "op result args[]",
  mmuext_op: "cmd arg1.mfn arg1.linear_addr arg2.nr_ents",
  mmu_update: "ptr val",
  vcpu_guest_context:
    "flags user_regs[] user_regs.r15 user_regs.r14 user_regs.r13 user_regs.r12 user_regs.rbp user_regs.rbx " +
    "user_regs.r11 user_regs.r10 user_regs.r9 user_regs.r8 user_regs.rax user_regs.rcx user_regs.rdx " +
    "user_regs.rsi user_regs.rdi user_regs.rip user_regs.rflags user_regs.rsp gdt_frames[] gdt_ents ctrlreg[]",
  shared_info:
    "vcpu_info[] evtchn_pending[] evtchn_mask[] arch[] arch.max_pfn arch.pfn_to_mfn_frame_list_list " +
    "arch.p2m_cr3 arch.p2m_vaddr arch.p2m_generation",
  start_info:
    "nr_pages flags store_mfn store_evtchn console.domU.mfn console.domU.evtchn mfn_list cmd_line[]",
  // arch-x86/hvm/start_info.h, arch-x86/hvm/save.h
  hvm_start_info: "magic cmdline_paddr",
  hvm_save_descriptor: "typecode instance length",
  hvm_save_header: "magic version changeset cpuid gtsc_khz",
  hvm_hw_cpu:
    "rax rbx rcx rdx rbp rsi rdi rsp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags cr0 cr2 cr3 cr4 msr_efer flags",
  hvm_hw_mtrr: "msr_pat_cr msr_mtrr_cap msr_mtrr_def_type",
  hvm_hw_lapic: "apic_base_msr disabled timer_divisor tdt_msr",
  hvm_hw_lapic_regs: "data[]",
  hvm_vmce_vcpu: "caps mci_ctl2_bank0 mci_ctl2_bank1 mcg_ext_ctl",
  hvm_tsc_adjust: "tsc_adjust",
  // sys/privcmd.h, sys/evtchn.h, sys/gntdev.h
  privcmd_hypercall: "op arg[]",
  privcmd_mmapbatch: "num dom addr *arr",
  privcmd_mmapbatch_v2: "num dom addr *arr *err",
  privcmd_dm_op: "dom num *ubufs",
  privcmd_dm_op_buf: "*uptr size",
  privcmd_mmap_resource: "dom type id idx num addr",
  ioctl_evtchn_bind_virq: "virq",
  ioctl_evtchn_bind_interdomain: "remote_domain remote_port",
  ioctl_evtchn_bind_unbound_port: "remote_domain",
  ioctl_evtchn_unbind: "port",
  ioctl_evtchn_notify: "port",
  ioctl_evtchn_restrict_domid: "domid",
  ioctl_gntdev_grant_ref: "domid ref",
  ioctl_gntdev_map_grant_ref: "count index refs[]",
  ioctl_gntdev_unmap_grant_ref: "index count",
  ioctl_gntdev_get_offset_for_vaddr: "vaddr offset count",
  ioctl_gntdev_unmap_notify: "index action event_channel_port",
};

/** Structures that exist as a typedef only. */
export const typedefs: ReadonlySet<string> = new Set([
  "xen_cpuid_leaf",
  "xen_msr_entry",
  "grant_entry_v1",
  "privcmd_hypercall",
  "multicall_entry",
]);

/** Constants by the macros' names: everything that matches is in the table. */
export const constants: readonly RegExp[] = [
  /^__HYPERVISOR_[a-z]\w*$/,
  /^XEN_(DOMCTL|SYSCTL)_INTERFACE_VERSION$/,
  /^XENPF_INTERFACE_VERSION$/,
  /^XEN_DOMCTL_[a-z]\w*$/,
  /^XEN_DOMCTL_(CDF|SCHEDOP|SHADOW_OP|SHADOW_LOGDIRTY|SENDTRIGGER|PFINFO)_\w+$/,
  /^XEN_DOMINF_\w+$/,
  /^XEN_SYSCTL_[a-z]\w*$/,
  /^XEN_SYSCTL_(PHYSCAP|CPUPOOL_OP|CPUPOOL_PAR|SCHEDOP)_\w+$/,
  /^XEN_SCHEDULER_\w+$/,
  /^XEN_(CPUID_INPUT_UNUSED|INVALID_MAX_VCPU_ID|INVALID_MEM_SZ|INVALID_NODE_DIST)$/,
  /^XENMEM_[a-z]\w*$/,
  /^XENMEMF_(populate_on_demand|exact_node_request|vnode)$/,
  /^XENMAPSPACE_\w+$/,
  /^XENMAPIDX_grant_table_status$/,
  /^EVTCHNOP_\w+$/,
  /^EVTCHNSTAT_\w+$/,
  /^GNTTABOP_(?!error_msgs)\w+$/,
  /^GNTST_\w+$/,
  /^GNTMAP_(host_map|readonly|device_map|application_map|contains_pte)$/,
  /^GTF_\w+$/,
  /^HVMOP_(set|get)_param$/,
  /^HVM_PARAM_\w+$/,
  /^HVM_FILE_MAGIC$|^HVM_FILE_VERSION$/,
  /^XEN_DMOP_[a-z]\w*$/,
  /^SCHEDOP_\w+$/,
  /^XENVER_\w+$/,
  /^XENPF_[a-z]\w*$/,
  /^MMUEXT_[A-Z]\w*$/,
  /^VIRQ_\w+$/,
  /^DOMID_\w+$/,
  /^XEN_X86_EMU_\w+$/,
  /^VGCF_\w+$/,
  /^IOCTL_(PRIVCMD|EVTCHN|GNTDEV)_\w+$/,
  /^XEN_HVM_START_MAGIC_VALUE$/,
  /^PRIVCMD_MMAPBATCH_\w+_ERROR$/,
  /^UNMAP_NOTIFY_\w+$/,
];

/** Records of an HVM context: their type codes and lengths come from the compiler too. */
export const hvmSaveRecords: readonly string[] = [
  "HEADER",
  "CPU",
  "PIC",
  "IOAPIC",
  "LAPIC",
  "LAPIC_REGS",
  "PCI_IRQ",
  "ISA_IRQ",
  "PCI_LINK",
  "PIT",
  "RTC",
  "HPET",
  "PMTIMER",
  "MTRR",
  "VIRIDIAN_DOMAIN",
  "VIRIDIAN_VCPU",
  "VMCE_VCPU",
  "TSC_ADJUST",
  "END",
];

/** What declares all of it. */
export const headers: readonly string[] = [
  "xen/xen.h",
  "xen/errno.h",
  "xen/sysctl.h",
  "xen/domctl.h",
  "xen/memory.h",
  "xen/version.h",
  "xen/platform.h",
  "xen/sched.h",
  "xen/event_channel.h",
  "xen/grant_table.h",
  "xen/vcpu.h",
  "xen/hvm/hvm_op.h",
  "xen/hvm/params.h",
  "xen/hvm/dm_op.h",
  "xen/hvm/save.h",
  "xen/arch-x86/hvm/start_info.h",
  "xen/sys/privcmd.h",
  "xen/sys/evtchn.h",
  "xen/sys/gntdev.h",
];
