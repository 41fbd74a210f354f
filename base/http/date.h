#pragma once
/*
 * Date: the text of a moment in HTTP's headers, "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC
 * 9110 5.6.7). Sans-I/O, any thread.
 */
#include "base/core/str.h"

#include <stdint.h>

#define HTTP_DATE_BYTES 30 /* with its '\0' */

/* Years 1 to 9999; anything else is written as the nearest of them. */
void http_date_text(char out[HTTP_DATE_BYTES], int64_t unix_s);
/* False for what is none, also for the two obsolete forms, which nobody sends. */
bool http_date_parse(int64_t *unix_s, struct str text);
