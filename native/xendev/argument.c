/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program's pointers point at may be nowhere, which is the host's to say and
 * no reason to die of. The kernel is asked to copy it, but for what lies on the stack
 * above the caller, as most of libxencall's arguments do: that is there.
 */
#define _GNU_SOURCE
#include "xendev.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* No stack of a thread or a coroutine is as near to the program's own: the kernel keeps 128 MiB free for that. */
#define STACK_MAX ((uintptr_t)64 << 20)

/* Near the end of the program's stack. */
static uintptr_t stack_end;

void argument_start(void)
{
    stack_end = getauxval(AT_RANDOM);
}

static int is_on_stack(const void *argument, size_t size)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), first = (uintptr_t)argument;

    return here < stack_end && stack_end - here < STACK_MAX && first > here && first < stack_end &&
           stack_end - first >= size;
}

int argument_copy(void *to, const void *argument, size_t size)
{
    struct iovec here = { to, size }, there = { (void *)argument, size };
    int saved = errno, failed;

    if (is_on_stack(argument, size)) {
        memcpy(to, argument, size);
        return 0;
    }
    failed = syscall(SYS_process_vm_readv, getpid(), &here, 1, &there, 1, 0) != (long)size;
    errno = saved;
    return failed ? -1 : 0;
}

int argument_write(void *argument, const void *from, size_t size)
{
    struct iovec here = { (void *)from, size }, there = { argument, size };
    int saved = errno, failed = syscall(SYS_process_vm_writev, getpid(), &here, 1, &there, 1, 0) != (long)size;

    errno = saved;
    return failed ? -1 : 0;
}
