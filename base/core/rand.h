#pragma once
/* Rand: the kernel's random bytes, and jitter for timers. Any thread. */
#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *p, size_t n); /* fit for keys; ends the process if the kernel has none */
uint64_t rand_u64(void);            /* from rand_bytes */
uint64_t rand_below(uint64_t n);    /* 0 .. n-1; n > 0; for jitter and shuffles */
/* base_ms with up to percent % added or taken away. */
uint64_t rand_jitter_ms(uint64_t base_ms, unsigned percent);
void rand_hex(char *out, size_t n_bytes); /* 2n digits and '\0' */
/* A random (version 4) UUID, RFC 9562 5.4. */
void rand_uuid(char out[37]);
