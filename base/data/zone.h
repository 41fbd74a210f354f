#pragma once
/*
 * Zone: names of time zones, as Go's time.LoadLocation takes them: "UTC", or a file of the IANA
 * database that is installed (the folder in $ZONEINFO first). Reads the first bytes of a file. Any
 * thread.
 */
#include <stdbool.h>

bool zone_exists(const char *name);
