// SPDX-License-Identifier: Apache-2.0
//
// The command lines of the scheduler verbs (tools/xl/xl_sched.c).

import { int32, strtol } from "../xlcfg/strtol.ts";
import type { Arguments, Built } from "./arguments.ts";
import { refuse } from "./arguments.ts";

/** strtol into an int; null where the option was not given. */
function intOption(given: Arguments, key: string): number | null {
  const text = given.last(key);
  return text === null ? null : int32(strtol(text, 10).value);
}

/** xl sched-credit: a domain's parameters, or with -s the scheduler's own. */
export function schedCredit(given: Arguments): Built<"sched-credit"> {
  const command = {
    domain: given.last("d"),
    cpupool: given.last("p"),
    schedparam: given.has("s"),
    weight: intOption(given, "w"),
    cap: intOption(given, "c"),
    tsliceMs: intOption(given, "t"),
    ratelimitUs: intOption(given, "r"),
    migrationDelayUs: intOption(given, "m"),
  };
  const { domain, cpupool, schedparam, weight, cap, tsliceMs, ratelimitUs, migrationDelayUs } = command;
  const changesDomain = weight !== null || cap !== null;
  if ((cpupool !== null || schedparam) && (domain !== null || changesDomain)) {
    return refuse(1, "Specifying a cpupool or schedparam is not allowed with domain options.\n");
  }
  if (domain === null && changesDomain) return refuse(1, "Must specify a domain.\n");
  if (!schedparam && (tsliceMs !== null || ratelimitUs !== null || migrationDelayUs !== null)) {
    return refuse(1, "Must specify schedparam to set schedule parameter values.\n");
  }
  return command;
}

/** xl sched-credit2: a domain's parameters, or with -s the scheduler's own. */
export function schedCredit2(given: Arguments): Built<"sched-credit2"> {
  const command = {
    domain: given.last("d"),
    cpupool: given.last("p"),
    schedparam: given.has("s"),
    weight: intOption(given, "w"),
    cap: intOption(given, "c"),
    ratelimitUs: intOption(given, "r"),
  };
  const { domain, cpupool, weight, cap } = command;
  const changesDomain = weight !== null || cap !== null;
  if (cpupool !== null && (domain !== null || changesDomain)) {
    return refuse(1, "Specifying a cpupool is not allowed with other options.\n");
  }
  return domain === null && changesDomain ? refuse(1, "Must specify a domain.\n") : command;
}

/** xl sched-rtds: parameters by domain and vCPU, as many of each as there are vCPUs. */
export function schedRtds(given: Arguments): Built<"sched-rtds"> {
  const numbers = (key: string): number[] => given.all(key).map((text) => int32(strtol(text, 10).value));
  const domain = given.last("d");
  const cpupool = given.last("cpupool");
  const all = given.all("v").includes("all");
  const vcpus = given
    .all("v")
    .filter((text) => text !== "all")
    .map((text) => int32(strtol(text, 10).value));
  const periods = numbers("p");
  const budgets = numbers("b");
  const extratimes = given.all("e").map((text) => text === "1");
  const lengths = [periods, budgets, extratimes].map(({ length }) => length);
  const changes = lengths.some((length) => length > 0);
  const named = vcpus.length > 0;
  if (cpupool !== null && (domain !== null || changes || named || all)) {
    return refuse(1, "Specifying a cpupool is not allowed with other options.\n");
  }
  if (domain === null && (changes || named)) return refuse(1, "Missing parameters.\n");
  if (domain !== null && !named && !all && changes) return refuse(1, "Must specify VCPU.\n");
  if (named && all) return refuse(1, "Incorrect VCPU IDs.\n");
  const tooFew = lengths.some((length) => length > 0 && vcpus.length > length);
  if (tooFew || new Set(lengths).size > 1) {
    return refuse(1, "Incorrect number of period, budget and extratime\n");
  }
  return { domain, cpupool, vcpus: all ? "all" : vcpus, periods, budgets, extratimes };
}
