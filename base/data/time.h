#pragma once
/*
 * Time: texts of moments as Kubernetes writes them (RFC 3339, UTC): metav1.Time in seconds,
 * metav1.MicroTime in microseconds. Any thread.
 */
#include "base/core/str.h"

#define TIME_TEXT_BYTES 32 /* holds either form with its '\0' */

void time_text_s(char out[TIME_TEXT_BYTES], int64_t unix_s);   /* 2026-11-22T09:34:23Z */
void time_text_us(char out[TIME_TEXT_BYTES], int64_t unix_us); /* 2026-11-22T09:34:23.238535Z */

/* An RFC 3339 text (fraction, offset) as Go reads one, with capital T and Z and no 60th second,
 * into Unix microseconds; false if it is none. In UTC it must lie in the years 1 to 9999, so that
 * what was read can be written and read again. */
bool time_parse(int64_t *unix_us, struct str text);
/* "now" in either form */
void time_now_s(char out[TIME_TEXT_BYTES]);
void time_now_us(char out[TIME_TEXT_BYTES]);
