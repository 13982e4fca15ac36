// SPDX-License-Identifier: Apache-2.0
//
// What commands can ask of a live host.

import type { Luggage } from "./caller-files.ts";
import type { Asker, Handler, Request } from "./control.ts";
import { doctorSays, waitFreed } from "./doctor.ts";
import { clear, ethtool, faultRows, ifconfig, inject, interfaces } from "./dom0.ts";
import { freePages } from "./free.ts";
import { runScript } from "./hotplug-scripts.ts";
import type { LiveHost } from "./live-host.ts";
import { Problem } from "./problem.ts";
import { statusOf } from "./status.ts";
import { threadRows } from "./threads.ts";
import { FILES } from "./verbs-words.ts";
import { forgetFiles, startXl, writtenFiles } from "./xl-session.ts";

type Verb = (request: Request, asker: Asker) => void;

function isLuggage(data: unknown): data is Pick<Luggage, "files" | "writes"> {
  if (typeof data !== "object" || data === null) return false;
  const { files, writes } = data as Partial<Luggage>;
  return Array.isArray(files) && Array.isArray(writes);
}

/** Runs xl; its files go back before its exit code, and stay in the host until they are safe. */
function xl(host: LiveHost): Verb {
  return ({ args, data }, asker) => {
    if (!isLuggage(data)) {
      asker.say({ err: "not a request\n" });
      return asker.say({ exit: 2 });
    }
    const session = startXl(host, args, data.files, {
      out: (out) => asker.say({ out }),
      err: (err) => asker.say({ err }),
    });
    let ended = false;
    let exit = 0;
    let written: string[] = [];
    asker.onInput((text) => {
      if (text === null) session.interrupt();
      else if (!ended) session.type(text);
      else {
        if (text === FILES.written) forgetFiles(host, written);
        asker.say({ exit });
      }
    });
    void session.exit.then((status) => {
      ended = true;
      exit = status;
      const files = writtenFiles(host, data);
      written = files.map(({ name }) => name);
      asker.say(files.length > 0 ? { result: files } : { exit });
    });
  };
}

/** Lets programs into a domain; says with what they are to be run. */
function enterDomain(host: LiveHost): Verb {
  return ({ args: [named = ""] }, asker) => {
    host.enterDomain(named).then(
      (place) => {
        asker.say({ result: place });
        asker.say({ exit: 0 });
      },
      (error: unknown) => {
        if (!(error instanceof Problem)) throw error;
        asker.say({ result: { refused: error.message, next: error.next } });
        asker.say({ exit: 1 });
      },
    );
  };
}

/** A verb that is answered at once. */
function result(answer: (args: readonly string[]) => unknown): Verb {
  return ({ args }, asker) => {
    asker.say({ result: answer(args) });
    asker.say({ exit: 0 });
  };
}

/** Answers commands. `down` stops the host; the answer to it comes when the host is gone. */
export function verbsOf(host: LiveHost, down: () => Promise<void>): Handler {
  const verbs: { readonly [verb: string]: Verb } = {
    status: result(() => statusOf(host)),
    ps: result(() => threadRows(host.world)),
    ethtool: result(([vif = ""]) => ethtool(host, vif)),
    ifconfig: result(([nic, way]) =>
      nic === undefined ? interfaces(host) : ifconfig(host, nic, way === "up"),
    ),
    "fault-list": result(() => faultRows(host)),
    "fault-inject": result((args) => inject(host, args)),
    "fault-clear": result((args) => clear(host, args)),
    doctor: result(([domid]) => doctorSays(host, domid)),
    free: result(([domid, mfn]) => freePages(host, Number(domid), mfn === undefined ? null : Number(mfn))),
    "wait-freed": ({ args }, asker) => waitFreed(host, Number(args[0]), asker),
    down: (_request, asker) => void down().then(() => asker.say({ exit: 0 })),
    xl: xl(host),
    hotplug: (request, asker) => runScript(host, request, asker),
    "enter-domain": enterDomain(host),
  };
  return (request, asker) => {
    const answer = Object.hasOwn(verbs, request.verb) ? verbs[request.verb] : undefined;
    if (answer !== undefined) return answer(request, asker);
    asker.say({ err: `this host knows no ${request.verb}: it is of another version\n` });
    asker.say({ exit: 2 });
  };
}
