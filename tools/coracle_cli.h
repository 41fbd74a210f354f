#pragma once
/* Coracle_cli: what the commands of the binary share. */
#include "base/data/flags.h"

/* "coracle: WHAT: WHY" to stderr; returns 1. */
int die(const char *what, const struct err *e);
bool wants_help(int argc, char **argv);
int show_help(const char *command, const struct flag *table, size_t n); /* returns 0 */
/* The path of the config file: environment, then command line, then the default (docs/cli.md).
 * Takes the flag out of argv, since it is read before all others. */
const char *take_config_flag(int *argc, char **argv);

/* coracle_snapshot.c */
int cmd_etcd_snapshot(int argc, char **argv);
