// SPDX-License-Identifier: Apache-2.0
//
// Writes, reads and lists. Needs a xenstored: $XENSTORED_PATH, or a dom0's or guest's own.

import { connect } from "xenolith/xenstore";

const xenstore = await connect();
await xenstore.write("/tool/hello/name", "world");
console.log(await xenstore.read("/tool/hello/name"));
console.log(await xenstore.directory("/tool/hello"));
await xenstore.rm("/tool/hello");
console.log(await xenstore.exists("/tool/hello"));
xenstore.close();
