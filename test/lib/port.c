#include "test/lib/port.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOW       10000 /* well-known ones lie below */
#define N_TRIES   1000
#define EPHEMERAL "/proc/sys/net/ipv4/ip_local_port_range"

/* Where the kernel's own begin. */
static unsigned ephemeral_low(void)
{
    FILE *f = fopen(EPHEMERAL, "re");
    unsigned low = 32768;

    if (f && fscanf(f, "%u", &low) != 1)
        low = 32768;
    if (f)
        fclose(f);
    return low > LOW + N_TRIES ? low : 65536;
}

/* A name that this process holds until it ends, in the namespace of its network. */
static bool claim(uint16_t port)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "coracle-test-port-%u", port);

    if (fd >= 0 &&
        bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
                                            (socklen_t)n) == 0)
        return true;
    close(fd);
    return false;
}

static bool is_free(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, (struct sockaddr *)&a, sizeof a) == 0;

    close(fd);
    return ok;
}

uint16_t port_reserve(void)
{
    unsigned span = ephemeral_low() - LOW;

    for (int i = 0; i < N_TRIES; i++) {
        uint16_t r, port;

        if (getrandom(&r, sizeof r, 0) != sizeof r)
            break;
        port = (uint16_t)(LOW + r % span);
        if (claim(port) && is_free(port))
            return port;
    }
    fprintf(stderr, "no loopback port is free below %u\n", LOW + span);
    exit(1);
}
