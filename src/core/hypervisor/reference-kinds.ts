// SPDX-License-Identifier: Apache-2.0
//
// Everything that can hold a page or a domain: what a ledger's entries are, what
// the fault forget-put can forget, what the page on teardown lists.

/** One kind of reference. */
interface Kind {
  /** What is held: a page (`caf`, and `taf` for its type), a domain's structure (`refcnt`), a shadow of 2005. */
  readonly of: "page" | "domain" | "shadow";
  /** The type reference that comes with it, as in `taf`; null for none. */
  readonly type: "page table" | "segdesc" | "writable" | null;
  /** The operation that takes it, and the one that drops it, in Xen's names. */
  readonly taken: string;
  readonly dropped: string;
  /** Where it was in Xen, where current Xen has it no longer. */
  readonly legacy?: string;
}

const kinds = {
  allocated: {
    of: "page",
    type: null,
    taken: "assign_pages",
    dropped: "put_page_alloc_ref (relinquish_memory, guest_remove_page)",
  },
  pinned: {
    of: "page",
    type: "page table",
    taken: "MMUEXT_PIN_Ln_TABLE",
    dropped: "MMUEXT_UNPIN_TABLE, relinquish_memory",
  },
  "page table": {
    of: "page",
    type: "page table",
    taken: "get_page_from_l4e, _l3e, _l2e, get_l4_linear_pagetable (mmu_update, validate_page)",
    dropped: "put_page_from_l4e, _l3e, _l2e (mmu_update, devalidate_page)",
  },
  partial: {
    of: "page",
    type: "page table",
    taken: "devalidate_page, interrupted: PGT_partial",
    dropped: "relinquish_memory, put_old_guest_table: when it is through",
  },
  cr3: {
    of: "page",
    type: "page table",
    taken: "arch_set_info_guest, MMUEXT_NEW_BASEPTR, MMUEXT_NEW_USER_BASEPTR",
    dropped: "vcpu_destroy_pagetables",
  },
  gdt: { of: "page", type: "segdesc", taken: "pv_set_gdt", dropped: "pv_destroy_gdt" },
  ldt: { of: "page", type: "segdesc", taken: "pv_map_ldt_shadow_page", dropped: "pv_destroy_ldt" },
  "vcpu info": {
    of: "page",
    type: "writable",
    taken: "map_vcpu_info (map_guest_area)",
    dropped: "unmap_vcpu_info: after all memory was given up",
  },
  runstate: {
    of: "page",
    type: "writable",
    taken: "map_guest_area (VCPUOP_register_runstate_phys_area, since 4.18)",
    dropped: "unmap_guest_area",
  },
  "vcpu time": {
    of: "page",
    type: "writable",
    taken: "map_guest_area (VCPUOP_register_vcpu_time_phys_area, since 4.18)",
    dropped: "unmap_guest_area, with the vCPU's page tables",
  },
  "grant map": {
    of: "page",
    type: "writable",
    taken: "map_grant_ref",
    dropped: "unmap_grant_ref; gnttab_release_mappings of the mapper",
  },
  "foreign map": {
    of: "page",
    type: "writable",
    taken: "get_page_from_l1e (mmu_update, MMAPBATCH, MMAP_RESOURCE)",
    dropped: "put_page_from_l1e: unmapping, or the mapper's page tables",
  },
  "own map": {
    of: "page",
    type: "writable",
    taken: "get_page_from_l1e (update_va_mapping)",
    dropped: "put_page_from_l1e: the domain's own page tables",
  },
  ioreq: {
    of: "page",
    type: "writable",
    taken: "ioreq_server_alloc_mfn",
    dropped: "ioreq_server_free_mfn (ioreq_server_destroy, hvm_domain_relinquish_resources)",
  },
  shared: {
    of: "page",
    type: "writable",
    taken: "share_xen_page_with_guest: a type reference, no general one",
    dropped: "never: the frame is freed with the domain's structure",
  },
  "shadow l1": legacy("shadow_l1_table: the hash's entry, and each present PTE", "free_shadow_l1_table"),
  "shadow l2": legacy("shadow_l2_table: the hash's entry", "free_shadow_l2_table"),
  "shadow hl2": legacy("shadow_hl2_table: the hash's entry, and each present entry", "free_shadow_hl2_table"),
  snapshot: legacy("shadow_make_snapshot", "shadow_free_snapshot"),
  "out of sync": legacy("__mark_mfn_out_of_sync", "release_out_of_sync_entry"),
  "writable pte prediction": legacy("increase_writable_pte_prediction", "free_writable_pte_predictions"),
  "shadow table": { ...legacy("__update_pagetables", "free_shadow_pages"), of: "shadow" },
  "monitor table": { ...legacy("__update_pagetables", "free_monitor_pagetable"), of: "shadow" },
  created: { of: "domain", type: null, taken: "domain_create", dropped: "domain_kill, as the last act" },
  pages: {
    of: "domain",
    type: null,
    taken: "assign_pages: the first",
    dropped: "free_domheap_pages: the last",
  },
  "xenheap pages": {
    of: "domain",
    type: null,
    taken: "share_xen_page_with_guest: the first",
    dropped: "free_domheap_pages: the last",
  },
  set_target: {
    of: "domain",
    type: null,
    taken: "XEN_DOMCTL_set_target",
    dropped: "complete_domain_destroy of the device model's domain",
  },
  "global virq": {
    of: "domain",
    type: null,
    taken: "set_global_virq_handler",
    dropped: "another handler, evtchn_destroy",
  },
  "ioreq server": {
    of: "domain",
    type: null,
    taken: "ioreq_server_init, on the emulator's domain",
    dropped: "ioreq_server_deinit",
  },
} as const satisfies { readonly [kind: string]: Kind };

/** A reference of the shadow code of 2005. */
function legacy(taken: string, dropped: string) {
  return { of: "page", type: null, taken, dropped, legacy: "xen/arch/x86/shadow.c of 2005" } as const;
}

/** What a reference is for. */
export type ReferenceKind = keyof typeof kinds;
type KindOf<Of> = { [K in ReferenceKind]: (typeof kinds)[K]["of"] extends Of ? K : never }[ReferenceKind];
export type PageReferenceKind = KindOf<"page">;
export type DomainReferenceKind = KindOf<"domain">;
export type ShadowReferenceKind = KindOf<"shadow">;

/** The table, for those who go through it. */
export const referenceKinds: { readonly [kind in ReferenceKind]: Kind } = kinds;

/** All names, in the table's order. */
export const referenceKindNames = Object.keys(kinds) as ReferenceKind[];
