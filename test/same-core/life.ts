// SPDX-License-Identifier: Apache-2.0
//
// One life of a domain: created from an xl.cfg, up, destroyed, freed. Its files
// are on the disk too, so that programs find them where the simulated dom0 does.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import { domainIsFreed, guestIsUp, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

export const folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-life-"));

const config = path.join(folder, "tiny.cfg");
const kernel = path.join(folder, "tiny.elf");

export const files: { readonly [file: string]: string | Uint8Array } = {
  [config]: `name = "tiny"\ntype = "pvh"\nkernel = "${kernel}"\nmemory = 32\n`,
  [kernel]: tinyKernel(),
};
for (const [file, content] of Object.entries(files)) fs.writeFileSync(file, content);

export const CREATE = ["create", config];
export const DESTROY = ["destroy", "tiny"];

export const life = scenario({
  name: "life",
  about: "a domain is created from an xl.cfg, comes up, is destroyed and freed",
  host: { files },
  // One order of what only passes things on, and of xl's own monitor: what is explored is xl against the guest.
  prompt: ["xenconsoled", "dom0/xenwatch", "dom0/xl.1.monitor"],
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", CREATE),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      ...xl("destroy", DESTROY),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
    ];
  },
});
