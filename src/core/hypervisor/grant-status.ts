// SPDX-License-Identifier: Apache-2.0
//
// What single grant operations answer.

/** GNTST_* of public/grant_table.h. */
export const GrantStatus = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  bad_dev_addr: -6,
  no_device_space: -7,
  permission_denied: -8,
  bad_page: -9,
  bad_copy_arg: -10,
  address_too_big: -11,
  eagain: -12,
} as const;
export type GrantStatusCode = (typeof GrantStatus)[keyof typeof GrantStatus];
