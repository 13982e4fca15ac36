// SPDX-License-Identifier: Apache-2.0
//
// libxl's result codes. Routines fail with error numbers; these are the ones
// libxl's own failures travel as, and what xl prints for them as `rc=`.

import type { Errno } from "../engine/errno.ts";

/** libxl's own failures (libxl_types.idl, "error"), as the error numbers that stand for them. */
export const ERROR_FAIL: Errno = "EIO";
/** What libxc returned, -1, passed on as it was. */
export const ERROR_NONSPECIFIC: Errno = "ENOTTY";
export const ERROR_INVAL: Errno = "EINVAL";
export const ERROR_TIMEDOUT: Errno = "ETIMEDOUT";
export const ERROR_NOPARAVIRT: Errno = "EOPNOTSUPP";
export const ERROR_DEVICE_EXISTS: Errno = "EEXIST";
export const ERROR_DOMAIN_NOTFOUND: Errno = "ESRCH";
export const ERROR_GUEST_TIMEDOUT: Errno = "ETIME";
export const ERROR_NOMEM: Errno = "ENOMEM";

const codes: { readonly [E in Errno]?: number } = {
  ENOTTY: -1,
  ENOMEM: -5,
  EINVAL: -6,
  ETIME: -8,
  ETIMEDOUT: -9,
  EOPNOTSUPP: -10,
  EEXIST: -17,
  ESRCH: -21,
  ENXIO: -23,
};

/** The number xl prints for a failure. What libxl has no code of its own for is ERROR_FAIL, -3. */
export function rcOf(errno: Errno): number {
  return codes[errno] ?? -3;
}
