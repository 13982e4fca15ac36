// SPDX-License-Identifier: Apache-2.0
//
// What commands can ask of a live host.

import type { Asker, Handler, Request } from "./control.ts";
import type { LiveHost } from "./live-host.ts";
import { statusOf } from "./status.ts";

/** Answers commands. `down` stops the host; the answer to it comes when the host is gone. */
export function verbsOf(host: LiveHost, down: () => Promise<void>): Handler {
  const verbs: { readonly [verb: string]: (request: Request, asker: Asker) => void } = {
    status: (_request, asker) => {
      asker.say({ result: statusOf(host) });
      asker.say({ exit: 0 });
    },
    down: (_request, asker) => void down().then(() => asker.say({ exit: 0 })),
  };
  return (request, asker) => {
    const answer = Object.hasOwn(verbs, request.verb) ? verbs[request.verb] : undefined;
    if (answer !== undefined) return answer(request, asker);
    asker.say({ err: `this host knows no ${request.verb}: it is of another version\n` });
    asker.say({ exit: 2 });
  };
}
