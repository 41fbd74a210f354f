#include "base/core/rand.h"

#include "base/core/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void rand_bytes(void *p, size_t n)
{
    char *at = p;

    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            fputs("the kernel gives no random bytes\n", stderr);
            abort();
        }
        at += got;
        n -= (size_t)got;
    }
}

uint64_t rand_u64(void)
{
    uint64_t v;

    rand_bytes(&v, sizeof v);
    return v;
}

uint64_t rand_below(uint64_t n)
{
    return rand_u64() % n;
}

uint64_t rand_jitter_ms(uint64_t base_ms, unsigned percent)
{
    uint64_t span = base_ms * percent / 100;

    return span ? base_ms - span + rand_below(2 * span + 1) : base_ms;
}

void rand_hex(char *out, size_t n_bytes)
{
    unsigned char b[64];

    while (n_bytes) {
        size_t n = n_bytes < sizeof b ? n_bytes : sizeof b;
        rand_bytes(b, n);
        str_hex(out, b, n);
        out += 2 * n;
        n_bytes -= n;
    }
    explicit_bzero(b, sizeof b);
}

void rand_uuid(char out[37])
{
    unsigned char b[16];

    rand_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    str_hex(out, b, 4);
    out[8] = '-';
    str_hex(out + 9, b + 4, 2);
    out[13] = '-';
    str_hex(out + 14, b + 6, 2);
    out[18] = '-';
    str_hex(out + 19, b + 8, 2);
    out[23] = '-';
    str_hex(out + 24, b + 10, 6);
}
