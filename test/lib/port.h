#pragma once
/*
 * Port: a loopback port for a test that closes it and opens it again, or that tells it to another program.
 *
 * One that the kernel chose may be somebody else's a moment after it was closed: every outgoing connection
 * of every program takes one of the same range, even the one that tries whether the port answers (to
 * itself, then). These lie below that range, and no other test program gets them while this one runs.
 */
#include <stdint.h>

/* Nobody listens on it on any address. Ends the process when there is none. */
uint16_t port_reserve(void);
