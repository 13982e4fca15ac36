// SPDX-License-Identifier: Apache-2.0
//
// What is refused has the wire's name; what is lost says so.

import { connect, XenstoreConnectionError, XenstoreError } from "xenolith/xenstore";

const xenstore = await connect({ reconnect: false });
try {
  await xenstore.read("/tool/nothing/here");
} catch (error) {
  if (!(error instanceof XenstoreError)) throw error;
  console.log(error.code, error.request, error.argument);
}
xenstore.close();
try {
  await xenstore.read("/tool");
} catch (error) {
  if (!(error instanceof XenstoreConnectionError)) throw error;
  console.log(error.code);
}
