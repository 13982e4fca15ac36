// SPDX-License-Identifier: Apache-2.0
//
// xenolith wait --freed: until a domain is gone, not only dead. xenstored's
// watches cannot tell anybody.

import { ask, NoHost } from "../../live/control.ts";
import { Problem } from "../../live/problem.ts";
import type { Command, Invocation } from "../command.ts";
import { DIR_OPTION, numberOf, printJson } from "../command.ts";
import { dirWords, hostDirectory, noHost } from "../host.ts";
import { domidOf } from "../domid.ts";

async function run(invocation: Invocation): Promise<number> {
  const word = invocation.values["freed"];
  if (word === undefined) throw new Problem("say what to wait for: --freed DOMID", null, 2);
  const domid = domidOf(word);
  const seconds = numberOf(invocation, "timeout", 0);
  const conversation = ask(
    hostDirectory(invocation).control,
    { verb: "wait-freed", args: [String(domid)] },
    {
      out: () => {},
      err: (text) => void (invocation.json || process.stderr.write(text)),
    },
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    if (seconds > 0) timer = setTimeout(() => resolve(null), seconds * 1_000);
  });
  try {
    const outcome = await Promise.race([conversation.outcome, late]);
    if (outcome === null) {
      throw new Problem(
        `domain ${domid} is still there after ${seconds} s`,
        `xenolith doctor ${domid}${dirWords(invocation)}`,
      );
    }
    if (invocation.json) printJson(outcome.result ?? { domid, freed: false });
    return outcome.exit;
  } catch (error) {
    throw error instanceof NoHost ? noHost(invocation, error) : error;
  } finally {
    clearTimeout(timer);
    conversation.outcome.catch(() => {});
    conversation.close();
  }
}

export const command: Command = {
  name: "wait",
  summary: "wait until a domain is gone, not only dead",
  operands: "--freed DOMID",
  details:
    "Ends when the domain's last reference is dropped and its structure is freed: its pages are back and its number\n" +
    "can be used again. Who still holds it is printed as it changes. Exit code 1 where the time is up, or where no\n" +
    "domain has had that number.",
  examples: ["xenolith wait --freed 2", "xenolith wait --freed 2 --timeout 30"],
  options: [
    { name: "freed", value: "DOMID", help: "the domain" },
    { name: "timeout", value: "SECONDS", help: "give up then (default: never)" },
    DIR_OPTION,
  ],
  words: [0, 0],
  run,
};
