/*
 * The config file and its drop-ins, merged as K3s merges them (docs/cli.md): keys keep the order in
 * which they were first seen; a later file replaces a key's values; "key+" appends to what was
 * collected so far.
 */
#include "base/data/flags.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX_BYTES (1024 * 1024)

struct entry {
    char *key;
    struct flag_list values;
};

struct merged {
    struct entry *v;
    size_t n;
};

static void merged_free(struct merged *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->v[i].key);
        flag_list_free(&m->v[i].values);
    }
    free(m->v);
}

static struct entry *entry_of(struct merged *m, struct str key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_is(key, m->v[i].key))
            return &m->v[i];
    m->v = mem_realloc(m->v, (m->n + 1) * sizeof *m->v);
    m->v[m->n] = (struct entry){ .key = str_dup(key) };
    return &m->v[m->n++];
}

static int add_value(struct entry *en, const json_t *v, const char *path, struct err *e)
{
    char number[64];

    if (json_is_string(v)) {
        flag_list_add(&en->values, str_n(json_string_value(v), json_string_length(v)));
    } else if (json_is_boolean(v)) {
        flag_list_add(&en->values, json_is_true(v) ? STR("true") : STR("false"));
    } else if (json_is_null(v)) {
        flag_list_add(&en->values, STR(""));
    } else if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        flag_list_add(&en->values, str_of(number));
    } else if (json_is_real(v)) {
        snprintf(number, sizeof number, "%.17g", json_real_value(v));
        flag_list_add(&en->values, str_of(number));
    } else {
        return err_set(e, ERR_INVALID, "%s: the value of \"%s\" is neither a scalar nor a list",
                       path, en->key);
    }
    return 0;
}

static int merge_document(struct merged *m, const json_t *doc, const char *path, struct err *e)
{
    const char *name;
    json_t *value, *one;
    size_t i;

    if (json_is_null(doc))
        return 0;
    if (!json_is_object(doc))
        return err_set(e, ERR_INVALID, "%s: it must hold keys and values", path);
    json_object_foreach((json_t *)doc, name, value)
    {
        struct str key = str_of(name);
        bool append = str_ends(key, STR("+"));
        struct entry *en;

        if (append)
            key.n--;
        en = entry_of(m, key);
        if (!append)
            flag_list_free(&en->values);
        if (json_is_array(value)) {
            json_array_foreach(value, i, one) if (add_value(en, one, path, e)) return (int)e->code;
        } else if (add_value(en, value, path, e)) {
            return (int)e->code;
        }
    }
    return 0;
}

static int read_all(struct buf *out, const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return err_sys(e, errno, "open %s", path);
    for (;;) {
        if (buf_reserve(out, 4096))
            return err_set(e, ERR_LIMIT, "%s is larger than %d bytes", path, CONFIG_MAX_BYTES);
        n = read(fd, out->p + out->n, 4096);
        if (n < 0)
            return err_sys(e, errno, "read %s", path);
        if (n == 0)
            return 0;
        out->n += (size_t)n;
    }
}

static int merge_file(struct merged *m, const char *path, struct err *e)
{
    auto_buf text = BUF_SECRET(CONFIG_MAX_BYTES); /* tokens live in it */
    json_auto_t *doc = NULL;

    if (read_all(&text, path, e))
        return e->code == ERR_NOT_FOUND ? 0 : (int)e->code;
    if (yaml_parse(&doc, buf_str(&text), e))
        return err_wrap(e, "%s", path);
    return merge_document(m, doc, path, e);
}

static int is_drop_in(const struct dirent *d)
{
    struct str name = str_of(d->d_name);

    return (name.n > 5 && strcasecmp(name.p + name.n - 5, ".yaml") == 0) ||
           (name.n > 4 && strcasecmp(name.p + name.n - 4, ".yml") == 0);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int merge_drop_ins(struct merged *m, const char *path, struct err *e)
{
    auto_free char *dir = mem_printf("%s.d", path);
    struct dirent **names = NULL;
    int n = scandir(dir, &names, is_drop_in, by_bytes);
    int r = 0;

    for (int i = 0; i < n; i++) {
        auto_free char *file = mem_printf("%s/%s", dir, names[i]->d_name);
        struct stat st;
        if (!r && stat(file, &st) == 0 && S_ISREG(st.st_mode))
            r = merge_file(m, file, e);
        free(names[i]);
    }
    free(names);
    return r;
}

static bool known(const struct flag *table, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, key) == 0 || (key[0] && !key[1] && table[i].alias == key[0]))
            return true;
    return false;
}

int flags_inject_config(const struct flag *table, size_t n, const char *path, bool drop_unknown,
                        int argc, char **argv, struct flag_list *out, struct err *e)
{
    struct merged m = { 0 };
    int r = merge_file(&m, path, e);

    r = r ? r : merge_drop_ins(&m, path, e);
    for (size_t i = 0; i < m.n && !r; i++) {
        const struct entry *en = &m.v[i];
        if (drop_unknown && !known(table, n, en->key)) {
            log_warn("unknown key in the config file is left out", kv("file", path),
                     kv("key", en->key));
            continue;
        }
        for (size_t k = 0; k < en->values.n; k++) {
            auto_free char *word = mem_printf("%s%s=%s", en->key[0] && !en->key[1] ? "-" : "--",
                                              en->key, en->values.v[k]);
            flag_list_add(out, str_of(word));
            explicit_bzero(word, strlen(word));
        }
    }
    merged_free(&m);
    for (int i = 0; i < argc && !r; i++)
        flag_list_add(out, str_of(argv[i]));
    return r;
}
