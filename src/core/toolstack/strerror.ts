// SPDX-License-Identifier: Apache-2.0
//
// glibc's words for Linux's errors, as libxl and libxc print them.

import type { Errno } from "../engine/errno.ts";

const words: { readonly [E in Errno]: string } = {
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  ESRCH: "No such process",
  EINTR: "Interrupted system call",
  EIO: "Input/output error",
  ENXIO: "No such device or address",
  E2BIG: "Argument list too long",
  EBADF: "Bad file descriptor",
  ECHILD: "No child processes",
  EAGAIN: "Resource temporarily unavailable",
  ENOMEM: "Cannot allocate memory",
  EACCES: "Permission denied",
  EFAULT: "Bad address",
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  EXDEV: "Invalid cross-device link",
  ENODEV: "No such device",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EINVAL: "Invalid argument",
  ENFILE: "Too many open files in system",
  EMFILE: "Too many open files",
  ENOTTY: "Inappropriate ioctl for device",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  EDOM: "Numerical argument out of domain",
  ERANGE: "Numerical result out of range",
  EDEADLK: "Resource deadlock avoided",
  ENOSYS: "Function not implemented",
  ENOTEMPTY: "Directory not empty",
  ENODATA: "No data available",
  ETIME: "Timer expired",
  EBADMSG: "Bad message",
  EOVERFLOW: "Value too large for defined data type",
  EILSEQ: "Invalid or incomplete multibyte or wide character",
  ERESTART: "Interrupted system call should be restarted",
  ENOTSOCK: "Socket operation on non-socket",
  EMSGSIZE: "Message too long",
  EOPNOTSUPP: "Operation not supported",
  EADDRINUSE: "Address already in use",
  EADDRNOTAVAIL: "Cannot assign requested address",
  ENOBUFS: "No buffer space available",
  EISCONN: "Transport endpoint is already connected",
  ENOTCONN: "Transport endpoint is not connected",
  ETIMEDOUT: "Connection timed out",
  ECONNREFUSED: "Connection refused",
};

/** What strerror(3) says: `EINVAL` → `Invalid argument`. */
export function strerror(errno: Errno): string {
  return words[errno];
}
