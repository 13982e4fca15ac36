// SPDX-License-Identifier: Apache-2.0
//
// What debug key q prints, read back: `xl debug-keys q`, then `xl dmesg` or the
// serial log (xen/common/keyhandler.c, dump_domains).

/** A page that key q lists. */
export interface QPage {
  list: "DomPage" | "XenPage" | "ExtraPage";
  mfn: number;
  /** `count_info` and `type_info`; where the bits are moved between versions. */
  caf: bigint;
  taf: bigint;
}

/** A domain as key q shows it; null where its lines do not say. */
export interface QDomain {
  domid: number;
  refcnt: number | null;
  /** 0 alive, 1 dying, 2 dead. */
  dying: number | null;
  pauseCount: number | null;
  nrPages: number | null;
  xenheapPages: number | null;
  handle: string | null;
  /** Null where Xen found the list too long to print. */
  pages: QPage[] | null;
}

/** One press of the key. */
export interface QDump {
  domains: Map<number, QDomain>;
  /** Whether its first line is there: a ring that wrapped has lost it, and domains with it. */
  begins: boolean;
  ends: boolean;
}

const FIRST = /'q' pressed -> dumping domain info/;
const LAST = /^Shared frames /;
const DOMAIN = /^General information for domain (\d+):/;
const PAGE = /^ *(DomPage|XenPage|ExtraPage) (?:0x)?([0-9a-f]+): caf=([0-9a-f]+), taf=([0-9a-f]+)/;

/** The last press of key q in a log without its prefixes, or null where there is none. */
export function parseQ(lines: readonly string[]): QDump | null {
  let dump: QDump | null = null;
  let domain: QDomain | null = null;
  for (const line of lines) {
    if (FIRST.test(line)) {
      dump = { domains: new Map(), begins: true, ends: false };
      domain = null;
    }
    const named = DOMAIN.exec(line)?.[1];
    if (named !== undefined) {
      dump ??= { domains: new Map(), begins: false, ends: false };
      domain = emptyDomain(Number(named));
      dump.domains.set(domain.domid, domain);
    } else if (domain !== null) readInto(domain, line);
    if (LAST.test(line) && dump !== null) {
      dump.ends = true;
      domain = null;
    }
  }
  return dump;
}

function emptyDomain(domid: number): QDomain {
  return {
    domid,
    refcnt: null,
    dying: null,
    pauseCount: null,
    nrPages: null,
    xenheapPages: null,
    handle: null,
    pages: [],
  };
}

function readInto(domain: QDomain, line: string): void {
  const number = (name: string): number | null => {
    const found = new RegExp(`\\b${name}=(\\d+)`).exec(line)?.[1];
    return found === undefined ? null : Number(found);
  };
  if (line.includes("refcnt=")) {
    domain.refcnt = number("refcnt");
    domain.dying = number("dying");
    domain.pauseCount = number("pause_count");
  } else if (line.includes("nr_pages=")) {
    domain.nrPages = number("nr_pages");
    domain.xenheapPages = number("xenheap_pages");
  } else if (line.includes("handle=")) {
    domain.handle = /handle=([0-9a-f-]{36})/.exec(line)?.[1] ?? null;
  } else if (line.includes("list too long to display")) domain.pages = null;
  else readPage(domain, line);
}

function readPage(domain: QDomain, line: string): void {
  const [, list, mfn, caf, taf] = PAGE.exec(line) ?? [];
  if (list === undefined || mfn === undefined || caf === undefined || taf === undefined) return;
  domain.pages?.push({
    list: list as QPage["list"],
    mfn: Number.parseInt(mfn, 16),
    caf: BigInt(`0x${caf}`),
    taf: BigInt(`0x${taf}`),
  });
}
