// SPDX-License-Identifier: Apache-2.0
//
// The verbs of xl 4.17 in its own order: what `xl help` lists, how each is used
// and how many arguments it needs at least (tools/xl/xl_cmdtable.c).

import type { XlVerb } from "./command.ts";

/** A verb as `xl help` shows it. */
export interface VerbEntry {
  verb: XlVerb;
  /** Letters: "d" knows the global -N (dry run), "m" changes something and so is listed with -f. */
  flags: "" | "d" | "m" | "dm";
  /** Arguments xl insists on before it looks at anything else. */
  required: number;
  description: string;
  /** What follows the verb in the usage line. */
  usage: string;
}

function entry(
  verb: XlVerb,
  flags: VerbEntry["flags"],
  required: number,
  usage: string,
  description: string,
): VerbEntry {
  return { verb, flags, required, description, usage };
}

/** Every verb. */
export const commandTable: readonly VerbEntry[] = [
  entry("create", "dm", 0, "<ConfigFile> [options] [vars]", "Create a domain from config file <filename>"),
  entry(
    "config-update",
    "dm",
    0,
    "<Domain> <ConfigFile> [options] [vars]",
    "Update a running domain's saved configuration, used when rebuilding the domain after reboot.\n" +
      "WARNING: xl now has better capability to manage domain configuration, avoid using this command when possible",
  ),
  entry("list", "", 0, "[options] [Domain]\n", "List information about all/some domains"),
  entry("destroy", "m", 1, "[options] <Domain>\n", "Terminate a domain immediately"),
  entry("shutdown", "m", 0, "[options] <-a|Domain>", "Issue a shutdown signal to a domain"),
  entry("reboot", "m", 0, "[options] <-a|Domain>", "Issue a reboot signal to a domain"),
  entry("pci-attach", "m", 2, "<Domain> <PCI_SPEC_STRING>", "Insert a new pass-through pci device"),
  entry("pci-detach", "m", 2, "<Domain> <PCI_SPEC_STRING>", "Remove a domain's pass-through pci device"),
  entry("pci-list", "", 1, "<Domain>", "List pass-through pci devices for a domain"),
  entry("pci-assignable-add", "m", 1, "[options] <BDF>", "Make a device assignable for pci-passthru"),
  entry("pci-assignable-remove", "m", 1, "[options] <BDF>|NAME", "Remove a device from being assignable"),
  entry("pci-assignable-list", "", 0, "[options]", "List all the assignable pci devices"),
  entry("pause", "m", 1, "<Domain>", "Pause execution of a domain"),
  entry("unpause", "m", 1, "<Domain>", "Unpause a paused domain"),
  entry("console", "", 1, "[options] <Domain>", "Attach to domain's console"),
  entry("vncviewer", "", 1, "[options] <Domain>", "Attach to domain's VNC server."),
  entry(
    "save",
    "m",
    2,
    "[options] <Domain> <CheckpointFile> [<ConfigFile>]",
    "Save a domain state to restore later",
  ),
  entry("migrate", "m", 2, "[options] <Domain> <host>", "Migrate a domain to another host"),
  entry(
    "restore",
    "m",
    1,
    "[options] [<ConfigFile>] <CheckpointFile>",
    "Restore a domain from a saved state",
  ),
  entry("migrate-receive", "m", 0, "- for internal use only", "Restore a domain from a saved state"),
  entry("dump-core", "m", 2, "<Domain> <filename>", "Core dump a domain"),
  entry("cd-insert", "dm", 3, "<Domain> <VirtualDevice> <path>", "Insert a cdrom into a guest's cd drive"),
  entry("cd-eject", "dm", 2, "<Domain> <VirtualDevice>", "Eject a cdrom from a guest's cd drive"),
  entry(
    "mem-max",
    "m",
    2,
    "<Domain> <MemMB['b'[bytes]|'k'[KB]|'m'[MB]|'g'[GB]|'t'[TB]]>",
    "Set the maximum amount reservation for a domain",
  ),
  entry(
    "mem-set",
    "m",
    2,
    "<Domain> <MemMB['b'[bytes]|'k'[KB]|'m'[MB]|'g'[GB]|'t'[TB]]>",
    "Set the current memory usage for a domain",
  ),
  entry("button-press", "m", 2, "<Domain> <Button>", "Indicate an ACPI button press to the domain"),
  entry("vcpu-list", "", 0, "[Domain, ...]", "List the VCPUs for all/some domains"),
  entry(
    "vcpu-pin",
    "dm",
    3,
    "[option] <Domain> <VCPU|all> <Hard affinity|-|all> <Soft affinity|-|all>",
    "Set which CPUs a VCPU can use",
  ),
  entry(
    "vcpu-set",
    "m",
    2,
    "[option] <Domain> <vCPUs>",
    "Set the number of active VCPUs allowed for the domain",
  ),
  entry("vm-list", "", 0, "", "List guest domains, excluding dom0, stubdoms, etc."),
  entry(
    "info",
    "",
    0,
    "-n, --numa         List host NUMA topology information",
    "Get information about Xen host",
  ),
  entry("sharing", "", 0, "[Domain]", "Get information about page sharing"),
  entry(
    "sched-credit",
    "m",
    0,
    "[-d <Domain> [-w[=WEIGHT]|-c[=CAP]]] [-s [-t TSLICE] [-r RATELIMIT]] [-p CPUPOOL]",
    "Get/set credit scheduler parameters",
  ),
  entry(
    "sched-credit2",
    "m",
    0,
    "[-d <Domain> [-w[=WEIGHT]]] [-p CPUPOOL]",
    "Get/set credit2 scheduler parameters",
  ),
  entry(
    "sched-rtds",
    "m",
    0,
    "[-d <Domain> [-v[=VCPUID/all]] [-p[=PERIOD]] [-b[=BUDGET]] [-e[=Extratime]]]",
    "Get/set rtds scheduler parameters",
  ),
  entry("domid", "", 1, "<DomainName>", "Convert a domain name to domain id"),
  entry("domname", "", 1, "<DomainId>", "Convert a domain id to domain name"),
  entry("rename", "m", 2, "<Domain> <NewDomainName>", "Rename a domain"),
  entry(
    "trigger",
    "m",
    2,
    "<Domain> <nmi|reset|init|power|sleep|s3resume> [<VCPU>]",
    "Send a trigger to a domain",
  ),
  entry("sysrq", "m", 2, "<Domain> <letter>", "Send a sysrq to a domain"),
  entry("debug-keys", "m", 1, "<Keys>", "Send debug keys to Xen"),
  entry("set-parameters", "m", 1, "<Params>", "Set hypervisor parameters"),
  entry("dmesg", "", 0, "[-c]", "Read and/or clear dmesg buffer"),
  entry("top", "", 0, "", "Monitor a host and the domains in real time"),
  entry(
    "network-attach",
    "dm",
    1,
    "<Domain> [type=<type>] [mac=<mac>] [bridge=<bridge>] " +
      "[ip=<ip>] [script=<script>] [backend=<BackDomain>] [vifname=<name>] " +
      "[rate=<rate>] [model=<model>] [accel=<accel>] [mtu=<mtu>]",
    "Create a new virtual network device",
  ),
  entry("network-list", "", 1, "<Domain(s)>", "List virtual network interfaces for a domain"),
  entry("network-detach", "m", 2, "<Domain> <DevId|mac>", "Destroy a domain's virtual network device"),
  entry("channel-list", "", 1, "<Domain(s)>", "List virtual channel devices for a domain"),
  entry("block-attach", "dm", 2, "<Domain> <disk-spec-component(s)>...", "Create a new virtual block device"),
  entry("block-list", "", 1, "<Domain(s)>", "List virtual block devices for a domain"),
  entry("block-detach", "m", 2, "[option] <Domain> <DevId>", "Destroy a domain's virtual block device"),
  entry(
    "vtpm-attach",
    "dm",
    1,
    "<Domain> [uuid=<uuid>] [backend=<BackDomain>]",
    "Create a new virtual TPM device",
  ),
  entry("vtpm-list", "", 1, "<Domain(s)>", "List virtual TPM devices for a domain"),
  entry("vtpm-detach", "m", 2, "<Domain> <DevId|uuid>", "Destroy a domain's virtual TPM device"),
  entry("vkb-attach", "dm", 2, "<Domain> <vkb-spec-component(s)>...", "Create a new virtual keyboard device"),
  entry("vkb-list", "", 1, "<Domain(s)>", "List virtual keyboard devices for a domain"),
  entry("vkb-detach", "m", 2, "<Domain> <DevId>", "Destroy a domain's virtual keyboard device"),
  entry(
    "vdispl-attach",
    "dm",
    1,
    "<Domain> [backend=<BackDomain>] [be-alloc=<BackAlloc>] [connectors='<Connectors>']",
    "Create a new virtual display device",
  ),
  entry("vdispl-list", "", 1, "<Domain(s)>", "List virtual display devices for a domain"),
  entry("vdispl-detach", "m", 2, "<Domain> <DevId>", "Destroy a domain's virtual display device"),
  entry("vsnd-attach", "dm", 2, "<Domain> <vsnd-spec-component(s)>...", "Create a new virtual sound device"),
  entry("vsnd-list", "", 1, "<Domain(s)>", "List virtual display devices for a domain"),
  entry("vsnd-detach", "m", 2, "<Domain> <DevId>", "Destroy a domain's virtual sound device"),
  entry("uptime", "", 0, "[-s] [Domain]", "Print uptime for all/some domains"),
  entry("claims", "", 0, "", "List outstanding claim information about all domains"),
  entry("cpupool-create", "dm", 0, "[options] [<ConfigFile>] [Variable=value ...]", "Create a new CPU pool"),
  entry("cpupool-list", "", 0, "[-c|--cpus] [<CPU Pool>]", "List CPU pools on host"),
  entry("cpupool-destroy", "m", 1, "<CPU Pool>", "Deactivates a CPU pool"),
  entry("cpupool-rename", "m", 2, "<CPU Pool> <new name>", "Renames a CPU pool"),
  entry("cpupool-cpu-add", "m", 2, "<CPU Pool> <CPU nr>|node:<node nr>", "Adds a CPU to a CPU pool"),
  entry("cpupool-cpu-remove", "m", 2, "<CPU Pool> <CPU nr>|node:<node nr>", "Removes a CPU from a CPU pool"),
  entry("cpupool-migrate", "m", 2, "<Domain> <CPU Pool>", "Moves a domain into a CPU pool"),
  entry("cpupool-numa-split", "m", 0, "", "Splits up the machine into one CPU pool per NUMA node"),
  entry("getenforce", "", 0, "", "Returns the current enforcing mode of the Flask Xen security module"),
  entry(
    "setenforce",
    "m",
    0,
    "<1|0|Enforcing|Permissive>",
    "Sets the current enforcing mode of the Flask Xen security module",
  ),
  entry("loadpolicy", "m", 0, "<policy file>", "Loads a new policy into the Flask Xen security module"),
  entry("remus", "m", 2, "[options] <Domain> [<host>]", "Enable Remus HA for domain"),
  entry("devd", "m", 0, "[options]", "Daemon that listens for devices and launches backends"),
  entry("psr-hwinfo", "m", 0, "[options]", "Show hardware information for Platform Shared Resource"),
  entry("psr-cmt-attach", "m", 1, "<Domain>", "Attach Cache Monitoring Technology service to a domain"),
  entry("psr-cmt-detach", "m", 1, "<Domain>", "Detach Cache Monitoring Technology service from a domain"),
  entry("psr-cmt-show", "m", 1, "<PSR-CMT-Type> <Domain>", "Show Cache Monitoring Technology information"),
  entry("psr-cat-set", "m", 2, "[options] <Domain> <CBM>", "Set cache capacity bitmasks(CBM) for a domain"),
  entry("psr-cat-show", "m", 0, "[options] <Domain>", "Show Cache Allocation Technology information"),
  entry("psr-mba-set", "m", 0, "[options] <Domain> <THRTL>", "Set throttling value (THRTL) for a domain"),
  entry("psr-mba-show", "m", 0, "<Domain>", "Show Memory Bandwidth Allocation information"),
  entry(
    "usbctrl-attach",
    "m",
    1,
    "<Domain> [type=pv] [version=<version>] [ports=<number>]",
    "Create a virtual USB controller for a domain",
  ),
  entry(
    "usbctrl-detach",
    "m",
    2,
    "<Domain> <DevId>",
    "Remove the virtual USB controller specified by <DevId> for a domain",
  ),
  entry(
    "usbdev-attach",
    "m",
    2,
    "<Domain> hostbus=<busnum> hostaddr=<devnum> [controller=<DevId> [port=<port>]]",
    "Attach a USB device to a domain",
  ),
  entry("usbdev-detach", "m", 3, "<Domain> <controller> <port>", "Detach a USB device from a domain"),
  entry("usb-list", "", 1, "<Domain>", "List information about all USB controllers and devices for a domain"),
  entry(
    "qemu-monitor-command",
    "m",
    2,
    "<Domain> <Command>",
    "Issue a qemu monitor command to the device model of a domain",
  ),
];
