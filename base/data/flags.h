#pragma once
/*
 * Flags: a command line read into a struct of options by a table, the way K3s reads its own:
 * --name value, --name=value, one dash accepted too; booleans --x and --x=false; one-letter
 * aliases; an environment variable counts when the flag is given nowhere; lists repeat. A config
 * file becomes arguments in front of the user's own (flags_inject_config), so scalars on the
 * command line win and lists are joined, file first. Main thread, at start.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

enum flag_type {
    FLAG_BOOL,       /* bool */
    FLAG_INT,        /* int64_t */
    FLAG_STR,        /* char *, heap */
    FLAG_LIST,       /* struct flag_list; values keep their commas */
    FLAG_LIST_COMMA, /* struct flag_list; values are split at commas too */
};

struct flag_list {
    char **v;
    size_t n;
};

struct flag {
    const char *name; /* without dashes */
    char alias;       /* 0: none */
    enum flag_type type;
    size_t offset;      /* of the field in the options struct; unused when unsupported */
    const char *dflt;   /* text of the default, NULL: false / 0 / none */
    const char *env;    /* NULL: none */
    const char *help;   /* one line; NULL: hidden */
    bool secret;        /* never shown: node-args, errors */
    bool unsupported;   /* K3s has it, we do not yet: only its default value is accepted */
    const char *one_of; /* NULL, or "a|b|c": the values that are accepted */
};

/*
 * Reads argv[0..argc) into options, which must be zeroed, then fills in environment and defaults.
 * Words that are no flags go to *rest (may be NULL: then they are an error); "--" ends the flags.
 * ERR_INVALID names the flag and what is wrong with it. Free with flags_deinit either way.
 */
MUST_USE int flags_parse(const struct flag *table, size_t n, void *options, int argc, char **argv,
                         struct flag_list *rest, struct err *e);
void flags_deinit(const struct flag *table, size_t n, void *options);

/* Was it given on the command line, in the file or by the environment? Asks the same texts again.
 */
bool flags_given(const struct flag *table, size_t n, const char *name, int argc, char **argv);

/* The help page: "   --name value, -a value   text (default: x) [$ENV]" a line each. */
MUST_USE int flags_help(const struct flag *table, size_t n, struct buf *out);

void flag_list_add(struct flag_list *l, struct str value); /* copies */
void flag_list_free(struct flag_list *l);

/*
 * The effective arguments with the values of secret flags as ********, --k=v in two elements: the
 * JSON array of K3s's annotation k3s.io/node-args; and the K3S_* environment as its node-env. Both
 * compact JSON, appended.
 */
MUST_USE int flags_node_args(const struct flag *table, size_t n, int argc, char **argv,
                             struct buf *out);
MUST_USE int flags_node_env(char **environment, struct buf *out);

/*
 * Reads the config file and its drop-in folder "<path>.d" (spec: later files replace a key, "key+"
 * appends) and puts the result as --key=value into out, before argv's own words. A missing file is
 * fine. Keys that the table does not know: dropped with a warning when drop_unknown, else kept, so
 * that flags_parse refuses them.
 */
MUST_USE int flags_inject_config(const struct flag *table, size_t n, const char *path,
                                 bool drop_unknown, int argc, char **argv, struct flag_list *out,
                                 struct err *e);
