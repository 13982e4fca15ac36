// SPDX-License-Identifier: Apache-2.0
//
// dom0's files moved to the daemons: hotplug scripts look at them, too.

export * from "../daemons/files.ts";
