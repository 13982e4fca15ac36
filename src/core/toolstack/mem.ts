// SPDX-License-Identifier: Apache-2.0
//
// How much memory a domain may have and is to have (tools/libs/light/libxl_mem.c).
// The guest's balloon does the rest: it watches its target.

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import { maxMem } from "../hypervisor/domctl.ts";
import { setPodTarget } from "../hypervisor/pod-target.ts";
import { domainInfo } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { ERROR_FAIL, ERROR_INVAL } from "./rc.ts";
import { transaction } from "./transaction.ts";
import { retrieveConfig, userdataPath } from "./userdata.ts";
import { writeRequest, xsGetDomainPath, xsRead, xsScript, xsWrite } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** What a domain may have beside what its configuration says, in KiB (LIBXL_MAXMEM_CONSTANT). */
const EXTRA_KIB = 1024;
/** The least dom0 can be asked to live with, in KiB (LIBXL_MIN_DOM0_MEM). */
const MIN_DOM0_KIB = 128 * 1024;
const KIB_PER_PAGE = 4;

/** A domain and the amount asked for in KiB, then what is known of it. */
interface MemLocals {
  process: string;
  domid: number;
  memkb: number;
  /** An amount to be added to the target, instead of the target. */
  relative: boolean;
  /** Whether Xen is to give the domain no more from now on. */
  enforce: boolean;
  t: number;
  home: string;
  translated: boolean;
  uuid: string;
  target: string | null;
  staticMax: string | null;
  videoram: string | null;
}

/** Which domain, how much in KiB, and how that is meant. */
type MemArgs = { process: string; domid: number; memkb: number; relative?: boolean; enforce?: boolean };

const locals = ({ process, domid, memkb, relative = false, enforce = true }: MemArgs): MemLocals => ({
  process,
  domid,
  memkb,
  relative,
  enforce,
  t: 0,
  home: "",
  translated: false,
  uuid: "",
  target: null,
  staticMax: null,
  videoram: null,
});

/** Finds a domain's home and holds the lock of what libxl keeps about it: there must be such a domain. */
function onDomain({ call, step, locked }: Vocabulary<MemLocals>, body: Node<MemLocals>[]): Node<MemLocals>[] {
  return [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    step("libxl__userdata_path", (host, { process, domid }) => {
      const path = userdataPath(host, process, domid, "libxl-json");
      return isFailure(path) ? path : undefined;
    }),
    locked("libxl__lock_domain_userdata", ({ domid }) => `domain-userdata-lock/${domid}`, body),
  ];
}

/** Looks whether libxl knows how the domain was made; it says so where it does not. */
function loadConfig(host: Host, l: MemLocals, where: string): void | Failure {
  const config = retrieveConfig(host, l.process, l.domid);
  if (isFailure(config)) return config;
  if (config === null) {
    return reported(host, l.process, where, "unable to retrieve domain configuration", fail("ENOENT"));
  }
  l.translated = config.c_info.type !== "pv";
}

/** A line about something libxl checked itself: no errno belongs to it. */
function refused(host: Host, l: MemLocals, where: string, text: string): void {
  libxlError(host, l.process, where, text, l.domid);
}

const SETMAXMEM = "libxl_domain_setmaxmem";

function setMaxMem(host: Host, l: MemLocals): void | Failure {
  const { process, domid, home, target, memkb } = l;
  if (target === null) {
    const text = `Cannot get memory info from ${home}/memory/target`;
    return reported(host, process, `libxl_mem.c:47:${SETMAXMEM}`, text, fail("ENOENT"), domid);
  }
  if (memkb < Number(target)) {
    const text = "memory_static_max must be greater than or or equal to memory_dynamic_max: Success";
    refused(host, l, `libxl_mem.c:59:${SETMAXMEM}`, text);
    return fail(ERROR_FAIL);
  }
  const loaded = loadConfig(host, l, `libxl_mem.c:66:${SETMAXMEM}`);
  if (isFailure(loaded)) return loaded;
  const maxMemkb = memkb + EXTRA_KIB;
  const set = maxMem(host, dom0(process), { domid, maxMemkb });
  if (!isFailure(set)) return;
  const text = `xc_domain_setmaxmem domid=${domid} memkb=${maxMemkb} failed rc=-1\n`;
  return reported(host, process, `libxl_mem.c:79:${SETMAXMEM}`, text, set, domid);
}

/** Sets the most memory a domain can have, in KiB; not below what it is to have now. */
export const domainSetMaxMem = routine(SETMAXMEM, locals, (words) => {
  const { call, step } = words;
  return onDomain(words, [
    call(
      "target",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/memory/target` }),
      (l, target) => {
        l.target = target;
      },
    ),
    step("max_mem", setMaxMem),
    call("static-max", xsWrite, ({ process, home, memkb }) => ({
      process,
      path: `${home}/memory/static-max`,
      value: String(memkb),
    })),
  ]);
});

const SET_TARGET = "libxl_set_memory_target";

/** Whether the target is one the domain can have; says what is wrong with it. */
function checkTarget(host: Host, l: MemLocals): void | Failure {
  const { process, domid, home, memkb } = l;
  for (const [line, node, about] of [
    [234, "target", "target memory"],
    [251, "static-max", "memory"],
  ] as const) {
    if ((node === "target" ? l.target : l.staticMax) !== null) continue;
    const text = `Cannot get ${about} info from ${home}/memory/${node}`;
    return reported(host, process, `libxl_mem.c:${line}:${SET_TARGET}`, text, fail("ENOENT"), domid);
  }
  l.memkb = l.relative ? Math.max(0, Number(l.target) + memkb) : memkb - Number(l.videoram ?? 0);
  if (l.memkb > Number(l.staticMax)) {
    const text = "memory_dynamic_max must be less than or equal to memory_static_max\n";
    refused(host, l, `libxl_mem.c:278:${SET_TARGET}`, text);
    return fail(ERROR_INVAL);
  }
  if (domid === 0 && l.memkb < MIN_DOM0_KIB) {
    refused(
      host,
      l,
      `libxl_mem.c:287:${SET_TARGET}`,
      `New target ${l.memkb} for dom0 is below the minimum threshold`,
    );
    return fail(ERROR_INVAL);
  }
}

/** Has Xen give the domain no more than the target. */
function enforceTarget(host: Host, l: MemLocals): void | Failure {
  const { process, domid, memkb, videoram } = l;
  const maxMemkb = memkb + Number(videoram ?? 0) + EXTRA_KIB;
  const set = maxMem(host, dom0(process), { domid, maxMemkb });
  if (!isFailure(set)) return;
  const text = `xc_domain_setmaxmem memkb=${maxMemkb} failed rc=-1\n`;
  return reported(host, process, `libxl_mem.c:299:${SET_TARGET}`, text, set, domid);
}

function setPages(host: Host, { process, domid, memkb }: MemLocals): void | Failure {
  const targetPages = Math.floor((memkb + EXTRA_KIB) / KIB_PER_PAGE);
  const set = setPodTarget(host, dom0(process), { domid, targetPages });
  if (!isFailure(set)) return;
  const text = `xc_domain_set_pod_target memkb=${targetPages} failed rc=-1\n`;
  return reported(host, process, `libxl_mem.c:313:${SET_TARGET}`, text, set, domid);
}

/**
 * Sets how much memory a domain is to have, in KiB; what its video memory takes
 * is part of that. Fails, and mostly says so, where it cannot have that much.
 */
export const setMemoryTarget = routine(SET_TARGET, locals, (words) => {
  const { step, call, when } = words;
  const node = (l: MemLocals, name: string): { process: string; t: number; path: string } => ({
    process: l.process,
    t: l.t,
    path: `${l.home}/memory/${name}`,
  });
  return onDomain(words, [
    step("libxl__get_domain_configuration", (host, l) =>
      loadConfig(host, l, `libxl_mem.c:210:${SET_TARGET}`),
    ),
    transaction(words, [
      call(
        "target",
        xsRead,
        (l) => node(l, "target"),
        (l, value) => void (l.target = value),
      ),
      call(
        "static-max",
        xsRead,
        (l) => node(l, "static-max"),
        (l, value) => void (l.staticMax = value),
      ),
      call(
        "videoram",
        xsRead,
        (l) => node(l, "videoram"),
        (l, value) => void (l.videoram = value),
      ),
      step("check", checkTarget),
      when("enforced", (l) => l.enforce, [step("max_mem", enforceTarget)]),
      when("translated", (l) => l.translated, [step("set_pod_target", setPages)]),
      call("new target", xsScript, (l) => ({
        process: l.process,
        t: l.t,
        requests: [writeRequest(`${l.home}/memory/target`, String(l.memkb))],
      })),
      step("getdomaininfolist", (host, l) => {
        const info = domainInfo(host, l.process, l.domid);
        if (isFailure(info)) return fail(ERROR_FAIL);
        l.uuid = info.uuid;
        return;
      }),
      call("vm", xsScript, (l) => ({
        process: l.process,
        t: l.t,
        requests: [writeRequest(`/vm/${l.uuid}/memory`, String(Math.floor(l.memkb / 1024)))],
      })),
    ]),
  ]);
});
