#pragma once
/*
 * The flag tables of `coracle server` and `coracle agent`: K3s's flags, aliases, environment and
 * defaults (docs/cli.md). What K3s has and we do not yet stands in the tables too, so that it is
 * refused by name instead of as an unknown word.
 */
#include "base/data/options.h"

extern const struct flag server_flags[];
extern const size_t server_flags_n;
extern const struct flag agent_flags[];
extern const size_t agent_flags_n;
