/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits for events as Xen's programs do, with nothing bound: the descriptor becomes
 * readable when its host is gone. Says how often it looked in the second after that.
 */
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <xenevtchn.h>

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(void)
{
    xenevtchn_handle *events = xenevtchn_open(NULL, 0);
    struct pollfd event = { .events = POLLIN };
    double began;
    int looks = 0;

    if (!events)
        return 1;
    event.fd = xenevtchn_fd(events);
    puts("waiting");
    fflush(stdout);
    poll(&event, 1, -1);
    for (began = seconds(); seconds() < began + 1; looks++) {
        poll(&event, 1, -1);
        xenevtchn_pending(events);
    }
    printf("%d looks in a second\n", looks);
    fflush(stdout);
    return getchar() != EOF;
}
