#include "base/data/flags.h"

#include "base/core/mem.h"
#include "base/data/json.h"

#include <stdio.h>

void flag_list_add(struct flag_list *l, struct str value)
{
    l->v = mem_realloc(l->v, (l->n + 2) * sizeof *l->v);
    l->v[l->n++] = mem_strndup(value.p, value.n);
    l->v[l->n] = NULL;
}

void flag_list_free(struct flag_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        explicit_bzero(l->v[i], strlen(l->v[i])); /* it may have held a token */
        free(l->v[i]);
    }
    free(l->v);
    *l = (struct flag_list){ 0 };
}

static const struct flag *find(const struct flag *table, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(name, table[i].name) ||
            (name.n == 1 && table[i].alias && name.p[0] == table[i].alias))
            return &table[i];
    return NULL;
}

static bool is_bool_text(struct str s, bool *out)
{
    if (str_is(s, "true") || str_is(s, "1") || str_is(s, "t") || str_is(s, "T") ||
        str_is(s, "TRUE") || str_is(s, "True")) {
        *out = true;
        return true;
    }
    if (str_is(s, "false") || str_is(s, "0") || str_is(s, "f") || str_is(s, "F") ||
        str_is(s, "FALSE") || str_is(s, "False")) {
        *out = false;
        return true;
    }
    return false;
}

static bool in_set(const char *set, struct str value)
{
    struct str rest = str_of(set), one;

    while (rest.n) {
        str_cut(rest, '|', &one, &rest);
        if (str_eq(one, value))
            return true;
    }
    return false;
}

/* Does value say the same as the default? */
static bool is_default(const struct flag *f, struct str value)
{
    bool b;

    if (f->type == FLAG_BOOL)
        return is_bool_text(value, &b) && b == (f->dflt && strcmp(f->dflt, "true") == 0);
    return str_eq(value, str_of(f->dflt));
}

static int set(const struct flag *f, void *options, struct str value, const char *from,
               struct err *e)
{
    void *field = (char *)options + f->offset;

    if (f->unsupported) {
        if (is_default(f, value))
            return 0;
        return err_set(e, ERR_INVALID, "%s: K3s knows it, this version of Coracle does not", from);
    }
    if (f->one_of && !in_set(f->one_of, value))
        return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is not one of %s", from, STR_ARG(value),
                       f->one_of);
    switch (f->type) {
    case FLAG_BOOL:
        if (!is_bool_text(value, field))
            return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is not true or false", from,
                           STR_ARG(value));
        break;
    case FLAG_INT:
        if (!str_to_i64(value, field))
            return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is not a number", from,
                           STR_ARG(value));
        break;
    case FLAG_STR: {
        char **s = field;
        free(*s);
        *s = str_dup(value);
        break;
    }
    case FLAG_LIST:
        flag_list_add(field, value);
        break;
    case FLAG_LIST_COMMA:
        while (value.n) {
            struct str one;
            str_cut(value, ',', &one, &value);
            one = str_trim(one);
            if (one.n)
                flag_list_add(field, one);
        }
        break;
    }
    return 0;
}

/* One flag word and perhaps its value: what kind of word is argv[*i]? Moves *i over the value. */
struct word {
    const struct flag *flag; /* NULL: not a flag of the table */
    struct str name, value;
    bool is_flag, has_value;
};

static struct word read_word(const struct flag *table, size_t n, int argc, char **argv, int *i)
{
    struct word w = { 0 };
    struct str s = str_of(argv[*i]);

    if (s.n < 2 || s.p[0] != '-')
        return w;
    w.is_flag = true;
    s = str_n(s.p + 1, s.n - 1);
    if (s.p[0] == '-')
        s = str_n(s.p + 1, s.n - 1);
    w.has_value = str_cut(s, '=', &w.name, &w.value);
    w.flag = find(table, n, w.name);
    if (w.flag && !w.has_value) {
        if (w.flag->type == FLAG_BOOL) {
            w.value = STR("true");
            w.has_value = true;
        } else if (*i + 1 < argc) {
            w.value = str_of(argv[++*i]);
            w.has_value = true;
        }
    }
    return w;
}

static int set_from_command_line(const struct flag *table, size_t n, void *options, bool *given,
                                 int argc, char **argv, struct flag_list *rest, struct err *e)
{
    bool only_rest = false;
    char from[96];

    for (int i = 0; i < argc; i++) {
        struct word w = { 0 };

        if (!only_rest && strcmp(argv[i], "--") == 0) {
            only_rest = true;
            continue;
        }
        if (!only_rest)
            w = read_word(table, n, argc, argv, &i);
        if (!w.is_flag) {
            if (!rest)
                return err_set(e, ERR_INVALID, "unexpected argument \"%s\"", argv[i]);
            flag_list_add(rest, str_of(argv[i]));
            continue;
        }
        snprintf(from, sizeof from, "flag --" STR_FMT, STR_ARG(w.name));
        if (!w.flag)
            return err_set(e, ERR_INVALID, "%s is not known", from);
        if (!w.has_value)
            return err_set(e, ERR_INVALID, "%s wants a value", from);
        if (set(w.flag, options, w.value, from, e))
            return (int)e->code;
        given[w.flag - table] = true;
    }
    return 0;
}

int flags_parse(const struct flag *table, size_t n, void *options, int argc, char **argv,
                struct flag_list *rest, struct err *e)
{
    auto_free bool *given = mem_calloc(n, sizeof *given);
    char from[96];

    if (set_from_command_line(table, n, options, given, argc, argv, rest, e))
        return (int)e->code;
    for (size_t i = 0; i < n; i++) {
        const struct flag *f = &table[i];
        const char *env = f->env ? getenv(f->env) : NULL;

        if (given[i])
            continue;
        if (env && *env) {
            snprintf(from, sizeof from, "environment variable %s", f->env);
            if (set(f, options, str_of(env), from, e))
                return (int)e->code;
        } else if (f->dflt && !f->unsupported) {
            snprintf(from, sizeof from, "default of --%s", f->name);
            if (set(f, options, str_of(f->dflt), from, e))
                return (int)e->code;
        }
    }
    return 0;
}

void flags_deinit(const struct flag *table, size_t n, void *options)
{
    for (size_t i = 0; i < n; i++) {
        void *field = (char *)options + table[i].offset;

        if (table[i].unsupported)
            continue;
        if (table[i].type == FLAG_STR) {
            char **s = field;
            if (*s && table[i].secret)
                explicit_bzero(*s, strlen(*s));
            free(*s);
            *s = NULL;
        } else if (table[i].type == FLAG_LIST || table[i].type == FLAG_LIST_COMMA) {
            flag_list_free(field);
        }
    }
}

bool flags_given(const struct flag *table, size_t n, const char *name, int argc, char **argv)
{
    const struct flag *f = find(table, n, str_of(name));
    const char *from_env;

    if (!f)
        return false;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (read_word(table, n, argc, argv, &i).flag == f)
            return true;
    from_env = f->env ? getenv(f->env) : NULL;
    return from_env && *from_env;
}

int flags_help(const struct flag *table, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct flag *f = &table[i];
        const char *value = f->type == FLAG_BOOL ? "" : " value";
        int r;

        if (!f->help || f->unsupported)
            continue;
        r = buf_addf(out, "   --%s%s", f->name, value);
        if (!r && f->alias)
            r = buf_addf(out, ", -%c%s", f->alias, value);
        r = r ? r : buf_addf(out, "\n        %s", f->help);
        if (!r && f->dflt && f->type != FLAG_BOOL)
            r = buf_addf(out, " (default: %s)", f->dflt);
        if (!r && f->env)
            r = buf_addf(out, " [$%s]", f->env);
        r = r ? r : buf_addc(out, '\n');
        if (r)
            return r;
    }
    return 0;
}

int flags_node_args(const struct flag *table, size_t n, int argc, char **argv, struct buf *out)
{
    json_auto_t *a = json_array();

    for (int i = 0; i < argc; i++) {
        int at = i;
        struct word w = read_word(table, n, argc, argv, &i);

        if (!w.is_flag) {
            json_array_append_new(a, json_str_of(str_of(argv[at])));
            continue;
        }
        struct str word = str_of(argv[at]), head, rest;
        bool joined = str_cut(word, '=', &head, &rest);
        json_array_append_new(a, json_str_of(head));
        if (joined || i != at)
            json_array_append_new(a, w.flag && w.flag->secret ? json_string("********")
                                                              : json_str_of(w.value));
    }
    return json_write(out, a);
}

/* Variables whose values are secrets (K3s pkg/nodeconfig). */
static bool is_secret_env(struct str name)
{
    static const char *const names[] = { "K3S_TOKEN", "K3S_AGENT_TOKEN", "K3S_CLUSTER_SECRET",
                                         "K3S_DATASTORE_ENDPOINT", "K3S_VPN_AUTH" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(name, names[i]))
            return true;
    return false;
}

int flags_node_env(char **environment, struct buf *out)
{
    json_auto_t *o = json_object();

    for (char **v = environment; *v; v++) {
        struct str name, value;
        auto_free char *key = NULL;

        if (!str_cut(str_of(*v), '=', &name, &value) || !str_starts(name, STR("K3S_")))
            continue;
        key = str_dup(name);
        json_object_set_new(o, key,
                            is_secret_env(name) ? json_string("********") : json_str_of(value));
    }
    return json_write_sorted(out, o);
}
