// SPDX-License-Identifier: Apache-2.0
//
// Expected errors are values and carry the wire's names.

/** Names of Xen's public errno.h and of xenstore's wire errors that the model uses. */
export type Errno =
  | "EPERM"
  | "ENOENT"
  | "ESRCH"
  | "EINTR"
  | "EIO"
  | "ENXIO"
  | "E2BIG"
  | "EBADF"
  | "ECHILD"
  | "EAGAIN"
  | "ENOMEM"
  | "EACCES"
  | "EFAULT"
  | "EBUSY"
  | "EEXIST"
  | "EXDEV"
  | "ENODEV"
  | "ENOTDIR"
  | "EISDIR"
  | "EINVAL"
  | "ENFILE"
  | "EMFILE"
  | "ENOTTY"
  | "ENOSPC"
  | "EROFS"
  | "EDOM"
  | "ERANGE"
  | "EDEADLK"
  | "ENOSYS"
  | "ENOTEMPTY"
  | "ENODATA"
  | "ETIME"
  | "EBADMSG"
  | "EOVERFLOW"
  | "EILSEQ"
  | "ERESTART"
  | "ENOTSOCK"
  | "EMSGSIZE"
  | "EOPNOTSUPP"
  | "EADDRINUSE"
  | "EADDRNOTAVAIL"
  | "ENOBUFS"
  | "EISCONN"
  | "ENOTCONN"
  | "ETIMEDOUT"
  | "ECONNREFUSED";

/** A failed operation, as a value. One frozen object per name: compare with `errno`. */
export interface Failure {
  readonly errno: Errno;
}

const failures = new Map<Errno, Failure>();

/** The failure of that name: `return fail("ENOENT")`. */
export function fail(errno: Errno): Failure {
  let failure = failures.get(errno);
  if (failure === undefined) failures.set(errno, (failure = Object.freeze({ errno })));
  return failure;
}

/** Whether a result is a failure. Results themselves never have an `errno` field. */
export function isFailure(result: unknown): result is Failure {
  return typeof result === "object" && result !== null && "errno" in result;
}

/** A broken invariant: the run stops, with its trace. Never for expected errors. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** What an earlier step has set: a broken invariant where it has not. */
export function present<T>(value: T | null): T {
  assert(value !== null, "an earlier step has set it");
  return value;
}
