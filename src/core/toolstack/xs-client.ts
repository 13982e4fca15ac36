// SPDX-License-Identifier: Apache-2.0
//
// libxenstore moved to the daemons, which use it too.

export * from "../daemons/xs-client.ts";
