// SPDX-License-Identifier: Apache-2.0
//
// Expected errors are values and carry the wire's names.

/** Xen's public errors and xenstore's, as far as the model uses them, with their numbers, which are Linux's. */
const numbers = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  EROFS: 30,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  ETIME: 62,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EILSEQ: 84,
  ERESTART: 85,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
} as const;

/** The name of an error. */
export type Errno = keyof typeof numbers;

/** Its number: positive. */
export function errnoNumber(errno: Errno): number {
  return numbers[errno];
}

/** The error of a number, `22` → `EINVAL`; EIO for a number nobody fails with. */
export function errnoOf(number: number): Errno {
  for (const [errno, other] of Object.entries(numbers)) if (other === number) return errno as Errno;
  return "EIO";
}

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
