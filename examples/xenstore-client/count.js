// SPDX-License-Identifier: Apache-2.0
//
// Counts in a node that others count in as well: read and write are one step, or are done again.

import { connect } from "xenolith/xenstore";

const xenstore = await connect();
await xenstore.write("/tool/counter", "0");
const count = () =>
  xenstore.transaction(async (transaction) => {
    const value = Number(await transaction.read("/tool/counter"));
    await transaction.write("/tool/counter", String(value + 1));
  });
await Promise.all(Array.from({ length: 10 }, count));
console.log(await xenstore.read("/tool/counter"));
await xenstore.rm("/tool/counter");
xenstore.close();
