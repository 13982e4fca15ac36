// SPDX-License-Identifier: Apache-2.0
//
// What libxl and xl keep about a domain in dom0's files, by domid and UUID
// (tools/libs/light/libxl_dom.c): above all the configuration it was made from.

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainInfo } from "./dominfo.ts";
import { readFileText, unlink, writeFileText } from "../daemons/files.ts";
import { libxlError } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { configFromJson } from "./xlcfg/config-json.ts";
import { domainConfig } from "./xlcfg/domain-config.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";

/** Who keeps something: libxl its JSON, xl what `config-update` brought. */
export type UserdataId = "libxl-json" | "xl";
const IDS: readonly UserdataId[] = ["libxl-json", "xl"];

/** The file of a domain's data. Fails, and says so, where there is no such domain. */
export function userdataPath(host: Host, process: string, domid: number, id: UserdataId): string | Failure {
  const info = domainInfo(host, process, domid);
  if (!isFailure(info)) return `/var/lib/xen/userdata-d.${domid}.${info.uuid}.${id}`;
  // errno was not set on this way: glibc's word for that is "Success".
  const text = `unable to find domain info for domain ${domid}: Success`;
  libxlError(host, process, "libxl_dom.c:1216:libxl__userdata_path", text);
  return fail(ERROR_FAIL);
}

/** What is kept, or null where there is nothing. Fails where there is no such domain. */
export function userdataRetrieve(
  host: Host,
  process: string,
  domid: number,
  id: UserdataId,
): string | null | Failure {
  const path = userdataPath(host, process, domid, id);
  return isFailure(path) ? path : readFileText(host, path);
}

/** Keeps something in place of what was kept before. Fails where there is no such domain. */
export function userdataStore(
  host: Host,
  process: string,
  domid: number,
  id: UserdataId,
  text: string,
): void | Failure {
  const path = userdataPath(host, process, domid, id);
  if (isFailure(path)) return path;
  writeFileText(host, path, text);
}

/** Forgets one thing that is kept. */
export function userdataUnlink(host: Host, process: string, domid: number, id: UserdataId): void {
  const path = userdataPath(host, process, domid, id);
  if (!isFailure(path)) unlink(host, path);
}

/** Forgets everything that is kept about a domain that still exists. */
export function userdataDestroyAll(host: Host, process: string, domid: number): void {
  for (const id of IDS) {
    const path = userdataPath(host, process, domid, id);
    if (isFailure(path)) return;
    unlink(host, path);
  }
}

/** The configuration libxl keeps of a domain, or null where it keeps none. */
export function retrieveConfig(host: Host, process: string, domid: number): DomainConfig | null | Failure {
  const text = userdataRetrieve(host, process, domid, "libxl-json");
  if (text === null || isFailure(text)) return text;
  return configFromJson(text) ?? fail(ERROR_FAIL);
}

/** Keeps a domain's configuration (libxl__set_domain_configuration). */
export function storeConfig(
  host: Host,
  process: string,
  domid: number,
  config: DomainConfig,
): void | Failure {
  return userdataStore(host, process, domid, "libxl-json", JSON.stringify(domainConfig.toJson(config)));
}
