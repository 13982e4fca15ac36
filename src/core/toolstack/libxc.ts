// SPDX-License-Identifier: Apache-2.0
//
// libxc's words when a domain cannot be built, and the files it builds from
// (tools/libs/guest/xg_dom_core.c).

import { fail, isFailure } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { BUILTIN_KERNEL } from "./config-defaults.ts";
import { readFile } from "../daemons/files.ts";
import { BUILTIN_IMAGE, findLoader } from "./kernel-image.ts";
import type { KernelImage } from "./kernel-image.ts";
import { libxlError, reported, xcError } from "./log.ts";
import type { Complaint } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { strerror } from "./strerror.ts";

/** Kinds of libxc's failures (xc_error_code_to_desc). */
type XcWhy = "Internal error" | "Invalid kernel" | "Out of memory";

/** Where libxc gave up and why (xc_dom_panic). */
export function xcDomPanic(host: Host, process: string, where: string, text: string, why: XcWhy): void {
  xcError(host, process, `panic: ${where}: ${text}: ${why}`);
}

/**
 * Opens one of the files a domain is built from; its contents. Fails with
 * ERROR_FAIL, and says so, where it is not there.
 *
 * @param part what libxl calls it: `xc_dom_kernel_file`
 */
export function openDomFile(
  host: Host,
  process: string,
  path: string,
  where: string,
  part: string,
): Uint8Array | Failure {
  const bytes = readFile(host, path);
  if (!isFailure(bytes)) return bytes;
  xcDomPanic(
    host,
    process,
    "xg_dom_core.c:205",
    `failed to open file '${path}': ${strerror(bytes.errno)}`,
    "Internal error",
  );
  return reported(host, process, where, `${part} failed`, bytes);
}

/** Whether a kernel is a file at all. */
export function isFile(kernel: string | null): kernel is string {
  return kernel !== null && kernel !== BUILTIN_KERNEL;
}

/** Finds out what kind of kernel it is (xc_dom_parse_image). Fails with ERROR_FAIL, and says so, where it is none. */
export function parseImage(host: Host, process: string, kernel: string | null): KernelImage | Failure {
  if (!isFile(kernel)) return BUILTIN_IMAGE;
  const bytes = readFile(host, kernel);
  const image = isFailure(bytes) ? null : findLoader(bytes);
  if (image !== null) return image;
  xcDomPanic(host, process, "xg_dom_core.c:689", "xc_dom_find_loader: no loader found", "Invalid kernel");
  libxlError(host, process, "libxl_dom.c:571:libxl__build_dom", "xc_dom_parse_image failed");
  return fail(ERROR_FAIL);
}

/** There is no memory for a domain: libxc says so, and libxl which part of building it was. Fails with ERROR_FAIL. */
export function noMemory(host: Host, process: string, errno: Errno): Failure {
  const text = "xc_dom_boot_mem_init: can't allocate low memory for domain";
  xcDomPanic(host, process, "xg_dom_boot.c:119", text, "Out of memory");
  return buildDomFailed(host, process, 586, "xc_dom_boot_mem_init", errno);
}

/** What libxl says where libxc could not put the kernel to its start. */
export const bootImageFailed: Complaint<{ errno: Errno }> = {
  where: "libxl_dom.c:598:libxl__build_dom",
  text: (l) => `xc_dom_boot_image failed: ${strerror(l.errno)}`,
  as: ERROR_FAIL,
  plain: true,
};

/** Which part of libxl__build_dom failed, on which of its lines. Fails with ERROR_FAIL. */
export function buildDomFailed(
  host: Host,
  process: string,
  line: number,
  part: string,
  errno: Errno,
): Failure {
  return reported(host, process, `libxl_dom.c:${line}:libxl__build_dom`, `${part} failed`, fail(errno));
}
