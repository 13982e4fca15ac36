/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host said it will always refuse. A program that asks for each of a
 * thousand domains what this hypervisor was built without would wait a thousand
 * times for the same errno, which the real one gives in a fraction of a
 * microsecond. No locks: a signal handler may ask in the middle of a note.
 */
#include "xendev.h"

#include <stdatomic.h>

#define REFUSALS 8

static atomic_int any;

/* `descriptor` is written last and asked first: 0 while the others are being written. */
static struct {
    _Atomic uint64_t descriptor, number, word;
    atomic_int error;
} refusals[REFUSALS];

int refusals_known(uint64_t descriptor)
{
    for (int i = 0; atomic_load(&any) && i < REFUSALS; i++)
        if (descriptor && atomic_load(&refusals[i].descriptor) == descriptor)
            return 1;
    return 0;
}

int refusal_of(const struct refusal *asked)
{
    for (int i = 0; asked->descriptor && i < REFUSALS; i++) {
        int error;

        if (atomic_load(&refusals[i].descriptor) != asked->descriptor ||
            atomic_load(&refusals[i].number) != asked->number || atomic_load(&refusals[i].word) != asked->word)
            continue;
        error = atomic_load(&refusals[i].error);
        if (atomic_load(&refusals[i].descriptor) == asked->descriptor)
            return error;
    }
    return 0;
}

void refusal_note(const struct refusal *asked, int error)
{
    static atomic_uint next;
    unsigned int i = atomic_fetch_add(&next, 1) % REFUSALS;

    atomic_store(&refusals[i].descriptor, 0);
    atomic_store(&refusals[i].number, asked->number);
    atomic_store(&refusals[i].word, asked->word);
    atomic_store(&refusals[i].error, error);
    atomic_store(&refusals[i].descriptor, asked->descriptor);
    atomic_store(&any, 1);
}

void refusals_forget(uint64_t descriptor)
{
    for (int i = 0; atomic_load(&any) && i < REFUSALS; i++) {
        uint64_t held = descriptor;
        atomic_compare_exchange_strong(&refusals[i].descriptor, &held, 0);
    }
}
