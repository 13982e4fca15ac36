// SPDX-License-Identifier: Apache-2.0
//
// What an operator at dom0's shell sees of the kernel's interfaces, and faults
// he injects: looks at the host, and inputs that change it.

import type { Cells, Plain } from "../core/engine/cells.ts";
import { must } from "../core/engine/cells.ts";
import {
  checkFault,
  clearFaults,
  faultCell,
  faultKinds,
  faultsMeant,
  faultsOn,
  faultUsage,
  injectFault,
} from "../core/engine/fault.ts";
import { input } from "../core/engine/input.ts";
import type { Input } from "../core/engine/input.ts";
import type { World } from "../core/engine/world.ts";
import { bridgeCell, bridgesCell, netDeviceCell, nicCell, setNic } from "../core/drivers/backend-devices.ts";
import { netbackCell, netbackStatsCell } from "../core/drivers/netback-cells.ts";
import type { NetbackStats } from "../core/drivers/netback-cells.ts";

/** A host to look at and to give inputs to: a live one, or one in a simulation. */
export interface Dom0 {
  readonly world: World;
  readonly driver: {
    look<R>(ask: (cells: Cells) => R): R;
    give<D extends Plain>(what: Input<D>, data: D): void;
  };
}

const injected = input("fault", (host, { name, words }: { name: string; words: string[] }) => {
  injectFault(host, name, words);
});

const cleared = input("fault.clear", (host, { name, words }: { name: string | null; words: string[] }) => {
  clearFaults(host, name ?? undefined, words);
});

const nicSet = input("ifconfig", (host, { nic, up }: { nic: string; up: boolean }) => {
  setNic(host, nic, up);
});

/** What could not be done, for whoever asked. */
export interface Refused {
  readonly refused: string;
}

/** Injected faults as they are listed. */
export interface FaultRow {
  name: string;
  words: readonly string[];
  /** Seconds since it was injected. */
  seconds: number;
}

/** Kinds of faults as they are listed. */
export interface FaultKindRow {
  name: string;
  usage: string;
  about: string;
  words: readonly { name: string; about: string; fallback: string | null }[];
  example: string;
}

/** Faults that are injected, and kinds that there are. */
export function faultRows({ driver, world }: Dom0): { injected: FaultRow[]; kinds: FaultKindRow[] } {
  const rows = driver.look((cells) => faultsOn(cells));
  return {
    injected: rows.map(({ name, words, since }) => ({
      name,
      words: [...words],
      seconds: (world.now - since) / 1e6,
    })),
    kinds: faultKinds().map((kind) => ({
      name: kind.name,
      usage: faultUsage(kind),
      about: kind.about,
      words: kind.words.map(({ name, about, fallback }) => ({ name, about, fallback: fallback ?? null })),
      example: [kind.name, ...kind.example].join(" "),
    })),
  };
}

/** Injects a fault, or says why not. */
export function inject({ driver }: Dom0, [name = "", ...words]: readonly string[]): FaultRow | Refused {
  const checked = driver.look((cells) => checkFault(cells, name, words));
  if ("errno" in checked) return { refused: checked.why };
  driver.give(injected, { name, words });
  return { name, words: checked.words, seconds: 0 };
}

/** Clears faults, or says why not; those that were cleared. */
export function clear({ driver, world }: Dom0, [name, ...words]: readonly string[]): FaultRow[] | Refused {
  const meant = driver.look((cells) => faultsMeant(cells, name, words));
  if ("errno" in meant) return { refused: meant.why };
  const rows = driver.look((cells) => meant.map((id) => must(cells, faultCell, id)));
  const gone = rows.map((fault) => ({
    name: fault.name,
    words: [...fault.words],
    seconds: (world.now - fault.since) / 1e6,
  }));
  driver.give(cleared, { name: name ?? null, words });
  return gone;
}

/** The counters of an interface, of all its queues together (xenvif_get_ethtool_stats). */
export function ethtool({ driver }: Dom0, vif: string): NetbackStats | Refused {
  return driver.look((cells) => {
    const device = cells.ids(netbackCell).find((id) => cells.get(netbackCell, id)?.name === vif);
    if (device === undefined) return { refused: `Cannot get stats strings information: no interface ${vif}` };
    const sum: NetbackStats = {
      rx_gso_checksum_fixup: 0,
      tx_zerocopy_sent: 0,
      tx_zerocopy_success: 0,
      tx_zerocopy_fail: 0,
      tx_frag_overflow: 0,
    };
    const { queues } = must(cells, netbackCell, device);
    for (let at = 0; at < queues; at++) {
      const stats = cells.get(netbackStatsCell, `${device}/${at}`);
      for (const name of Object.keys(sum) as (keyof NetbackStats)[]) sum[name] += stats?.[name] ?? 0;
    }
    return sum;
  });
}

/** A network interface of dom0. */
export interface InterfaceRow {
  name: string;
  kind: "card" | "bridge" | "vif";
  up: boolean;
  /** The bridge it is on. */
  bridge: string | null;
  /** How often a card was taken down. */
  resets: number | null;
}

/** dom0's interfaces: bridges with their cards, then guests' interfaces. */
export function interfaces({ driver }: Dom0): InterfaceRow[] {
  return driver.look((cells) => [
    ...(cells.get(bridgesCell, 0)?.names ?? []).flatMap((bridge) => bridgeRows(cells, bridge)),
    ...cells.ids(netDeviceCell).map((id): InterfaceRow => {
      const { up, bridge } = must(cells, netDeviceCell, id);
      return { name: String(id), kind: "vif", up, bridge, resets: null };
    }),
  ]);
}

function bridgeRows(cells: Cells, bridge: string): InterfaceRow[] {
  const { uplink } = must(cells, bridgeCell, bridge);
  const { up, resets } = must(cells, nicCell, uplink);
  return [
    { name: bridge, kind: "bridge", up: true, bridge: null, resets: null },
    { name: uplink, kind: "card", up, bridge, resets },
  ];
}

/** Takes a network card down or up. Taking it down frees what its driver holds. */
export function ifconfig(host: Dom0, nic: string, up: boolean): InterfaceRow[] | Refused {
  const row = interfaces(host).find(({ name }) => name === nic);
  if (row === undefined) return { refused: `${nic}: error fetching interface information: Device not found` };
  if (row.kind !== "card")
    return { refused: `${nic} is no network card: bridges and guests' interfaces are the scripts' affair` };
  host.driver.give(nicSet, { nic, up });
  return interfaces(host).filter(({ name }) => name === nic);
}

/** Counters as `ethtool -S` prints them. */
export function ethtoolText(stats: NetbackStats): string[] {
  return ["NIC statistics:", ...Object.entries(stats).map(([name, value]) => `     ${name}: ${value}`)];
}

/** Interfaces, one a line. */
export function interfacesText(rows: readonly InterfaceRow[]): string[] {
  return rows.map(({ name, kind, up, bridge, resets }) => {
    const on = bridge === null ? "" : ` on ${bridge}`;
    const reset = resets === null || resets === 0 ? "" : `, reset ${resets} time${resets === 1 ? "" : "s"}`;
    return `${name.padEnd(10)}  ${up ? "up  " : "down"}  ${kind}${on}${reset}`;
  });
}

/** What was injected or cleared, one a line. */
export function faultsText(verb: "injected" | "cleared", rows: readonly FaultRow[]): string[] {
  if (rows.length === 0) return ["none was injected"];
  return rows.map(({ name, words }) => `${verb} ${[name, ...words].join(" ")}`);
}
