// SPDX-License-Identifier: Apache-2.0
//
// The hypervisor's front door: what the layers above may use, by file. Import
// the file you need (`import * as domctl from "../hypervisor/domctl.ts"`).
//
// Every hypercall is one function `op(host, caller, args)` and one atomic step;
// what restarts in Xen (ERESTART) is a routine beside it. `caller` is
// `{ domid, process }`: `{ domid: 0, process: "xl.166" }`, a kernel is process
// "kernel". Results are values, failures are `fail("EPERM")`; whatever changes
// state leaves a trace event `hypercall`, named as Xen names the operation.
//
//   setup.ts          startHypervisor(host, config): frames, CPUs, version, dom0 (domid 0, running)
//   machine.ts        MachineConfig, defaultMachine, machineOf, versionOf
//   caller.ts         Caller, isPrivileged
//   domid.ts          DOMID_SELF …; domid allocator        version.ts  what each Xen version has
//   domain.ts         domainCell, domainRefsCell, domainPagesCell; domainById, forEachDomain
//   dominfo.ts        getdomaininfo → DomainInfo; flagString (`--p---`); stateString (as xl list)
//   vcpu.ts           vcpuCell; vcpuBlock / vcpuUnblock (what a guest kernel does when idle)
//   shutdown.ts       domainShutdown, domainCrash, tripleFault, hltWithInterruptsOff, shutdown deferral
//   port.ts           portCell { pending, masked }; consumeEvent(host, domid, port) in a handler;
//                     a kernel thread waits with waitFor(host => eventPending(host, domid, port))
//   page.ts           page references with their ledger; check-ledger.ts checkLedger(host, domid)
//
//   domctl.ts         createdomain({domid?, flags, maxVcpus, …}) → { domid }, maxVcpus, maxMem, pausedomain,
//                     unpausedomain, getdomaininfo, resumedomain, setVirqHandler, setTarget, getDomainState, …
//                     and the routines destroydomain, softReset
//   domctl-vcpu.ts    setvcpucontext({domid, vcpu, context: { online, bytes?, cr3? } | null}), getvcpuinfo, sendtrigger
//   domain-settings.ts  affinities, settscinfo, setAddressSize, setPagingMempool, putSchedulerParams, settimeoffset …
//   mmuext-op.ts      mmuextPin({domid, level, mfn}), mmuextUnpin
//   hvm-op.ts         setParam, getParam      acpi-button.ts  takeAcpiButton(host, domid): what the guest's ACPI sees
//   sysctl.ts         getdomaininfolist, readconsole, debugKeys, physinfo, cpupoolInfo, numainfo, …
//   memory-op.ts      populatePhysmap({domid, gpfns, order}) → { done, mfns }, decreaseReservation, claimPages,
//                     mapForeign / unmapForeign, mapSharedFrames, acquireGrantFrames, addToPhysmap, …
//   event-channel-op.ts  allocUnbound({domid, remoteDomid}) → { port }, bindInterdomain({remoteDomid, remotePort}),
//                     bindVirq, bindIpi, send, close, status, unmask, bindVcpu, reset (routine)
//   grant-table-op.ts mapGrantRef({domid, ref, flags}) → { status, handle, mfn }, unmapGrantRef({handle}), copy,
//                     setupTable, querySize; grantAccess / endAccess write v1 entries as a guest kernel does
//   sched-op.ts       schedopShutdown, schedopBlock, schedopWatchdog, remoteShutdown, dmopRemoteShutdown, vcpuopUp/Down
//   vm-assist.ts      vmAssist: what a PV kernel switches on in its boot
//   debug-keys.ts     the text of q, g and e    console-ring.ts  printk, the hypervisor's console
