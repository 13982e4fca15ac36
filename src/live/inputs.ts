// SPDX-License-Identifier: Apache-2.0
//
// Everything that can be given to a live host from outside: a recording names
// inputs and operations, and those must have been declared before it is run again.

/* eslint-disable import/no-unassigned-import -- declaring is what they do */
import "../core/daemons/outside.ts";
import "../core/drivers/gntalloc.ts";
import "../core/guest/built.ts";
import "../core/hypervisor/force-free.ts";
import "../core/hypervisor/hypercall/evtchn-device.ts";
import "../core/hypervisor/hypercall/gntdev-device.ts";
import "../core/hypervisor/hypercall/perform.ts";
import "../core/hypervisor/hypercall/privcmd-device.ts";
import "../core/hypervisor/hypercall/table.ts";
import "../core/xenbus/xenbus-dev.ts";
import "./dom0.ts";
import "./hotplug-scripts.ts";
import "./terminals.ts";
import "./xl-session.ts";
