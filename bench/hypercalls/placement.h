/* SPDX-License-Identifier: Apache-2.0 */
/* On which processors a program and who answers it run: as the kernel likes, on one, or on two. */
#ifndef PLACEMENT_H
#define PLACEMENT_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum placement { ANY, SAME, TWO, PLACEMENTS };

static const char *const placement_names[PLACEMENTS] = { "any", "same", "two" };

/* The processors this program was given, before it was placed. */
static cpu_set_t placement_all;

static void placement_start(void)
{
    if (sched_getaffinity(0, sizeof(placement_all), &placement_all)) {
        perror("sched_getaffinity");
        exit(1);
    }
}

static inline int placement_has(enum placement placement)
{
    return placement != TWO || CPU_COUNT(&placement_all) > 1;
}

static inline enum placement placement_of(const char *name)
{
    for (int i = 0; i < PLACEMENTS; i++)
        if (!strcmp(name, placement_names[i]))
            return (enum placement)i;
    fprintf(stderr, "no placement %s\n", name);
    exit(2);
}

/* The thread that does a process's work is the one with its number. */
static void placement_pin(pid_t process, enum placement placement, int nth)
{
    cpu_set_t set = placement_all;

    for (int i = 0, seen = 0; placement != ANY && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &placement_all) && seen++ != nth)
            CPU_CLR(i, &set);
    if (sched_setaffinity(process, sizeof(set), &set)) {
        perror("sched_setaffinity");
        exit(1);
    }
}

/* Places this program, and another that answers it. */
static void placement_apply(enum placement placement, pid_t other)
{
    placement_pin(0, placement, 0);
    placement_pin(other, placement, placement == TWO);
}

#endif
