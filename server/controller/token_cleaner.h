#pragma once
/* Token cleaner: when a bootstrap token expires. Pure. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* False: not a bootstrap token, or one without an end. One whose end cannot be read has expired
 * (*expires_unix_s 0), as upstream has it. */
bool token_cleaner_expiry(const json_t *secret, int64_t *expires_unix_s);
