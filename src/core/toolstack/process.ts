// SPDX-License-Identifier: Apache-2.0
//
// Processes moved to the daemons: hotplug scripts are processes too.

export * from "../daemons/process.ts";
