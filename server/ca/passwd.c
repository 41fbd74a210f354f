#include "server/ca/passwd.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/pki/pemfile.h"

struct user {
    struct passwd_user pub;
    char *name, *password, *uid;
    char **groups;
};

struct passwd {
    struct user **v; /* in the order of the file */
    size_t n;
};

static void secret_free(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

static void user_free(struct user *u)
{
    for (size_t i = 0; i < u->pub.n_groups; i++)
        free(u->groups[i]);
    free(u->groups);
    free(u->uid);
    secret_free(u->password);
    free(u->name);
    free(u);
}

struct passwd *passwd_new(void)
{
    struct passwd *p = mem_alloc(sizeof *p);

    p->v = mem_calloc(PASSWD_USERS_MAX, sizeof(struct user *));
    return p;
}

void passwd_free(struct passwd *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        user_free(p->v[i]);
    free(p->v);
    free(p);
}

/* groups: a comma list, as in one quoted CSV cell */
static struct user *user_new(struct str name, struct str password, struct str uid,
                             struct str groups)
{
    struct user *u = mem_alloc(sizeof *u);
    struct str one, rest = groups;
    size_t n = 1;

    for (size_t i = 0; i < groups.n; i++)
        n += groups.p[i] == ',';
    u->name = mem_strndup(name.p, name.n);
    u->password = mem_strndup(password.p, password.n);
    u->uid = mem_strndup(uid.p, uid.n);
    u->groups = mem_calloc(n, sizeof *u->groups);
    while (rest.n) {
        str_cut(rest, ',', &one, &rest);
        one = str_trim(one);
        if (one.n)
            u->groups[u->pub.n_groups++] = mem_strndup(one.p, one.n);
    }
    u->pub.name = u->name;
    u->pub.password = u->password;
    u->pub.uid = u->uid;
    u->pub.groups = (const char *const *)u->groups;
    return u;
}

static struct user *find(const struct passwd *p, struct str name)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_is(name, p->v[i]->name))
            return p->v[i];
    return NULL;
}

const struct passwd_user *passwd_find(const struct passwd *p, struct str name)
{
    const struct user *u = find(p, name);

    return u ? &u->pub : NULL;
}

static void put(struct passwd *p, struct user *take)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->v[i]->name, take->name)) { /* the last line counts */
            user_free(p->v[i]);
            p->v[i] = take;
            return;
        }
    p->v[p->n++] = take;
}

bool passwd_set(struct passwd *p, const char *name, const char *password, const char *group)
{
    const struct user *u = find(p, str_of(name));

    if (u && !strcmp(u->password, password) &&
        (group ? u->pub.n_groups == 1 && !strcmp(u->groups[0], group) : u->pub.n_groups == 0))
        return false;
    if (!u && p->n == PASSWD_USERS_MAX)
        return false; /* we set two names; files are bounded by their reader */
    put(p, user_new(str_of(name), str_of(password), str_of(name), str_of(group)));
    return true;
}

/* One cell of RFC 4180 CSV into out; *rest then starts at the separator. False: a quote that does
 * not end, or text behind one. */
static bool take_cell(struct str *rest, struct buf *out)
{
    size_t i = 0;
    bool ok = true;

    buf_clear(out);
    if (rest->n && rest->p[0] == '"') {
        for (i = 1; i < rest->n; i++) {
            if (rest->p[i] == '"' && i + 1 < rest->n && rest->p[i + 1] == '"')
                i++;
            else if (rest->p[i] == '"')
                break;
            ok = ok && !buf_addc(out, rest->p[i]);
        }
        if (i++ >= rest->n)
            return false;
    } else {
        while (i < rest->n && rest->p[i] != ',' && rest->p[i] != '\n')
            i++;
        ok = !buf_add(out, rest->p, i);
    }
    rest->p += i;
    rest->n -= i;
    return ok && (!rest->n || rest->p[0] == ',' || rest->p[0] == '\n' || rest->p[0] == '\r');
}

/* One record into cells (more than n are read and dropped). Returns how many, or 0 on error. */
static size_t take_record(struct str *rest, struct buf *cells, size_t n)
{
    auto_buf dropped = BUF_SECRET(PASSWD_MAX_BYTES);
    size_t i = 0;

    for (;; i++) {
        struct buf *cell = i < n ? &cells[i] : &dropped;

        if (!take_cell(rest, cell))
            return 0;
        if (cell->n && cell->p[cell->n - 1] == '\r' && (!rest->n || rest->p[0] == '\n'))
            cell->p[--cell->n] = '\0';
        if (rest->n && rest->p[0] == ',') {
            *rest = str_n(rest->p + 1, rest->n - 1);
            continue;
        }
        if (rest->n && rest->p[0] == '\r')
            *rest = str_n(rest->p + 1, rest->n - 1);
        if (rest->n && rest->p[0] != '\n')
            return 0;
        if (rest->n)
            *rest = str_n(rest->p + 1, rest->n - 1);
        return i + 1;
    }
}

int passwd_parse(struct passwd **out, struct str csv, struct err *e)
{
    AUTO(passwd) struct passwd *p = passwd_new();
    struct buf cells[4];
    size_t line = 0;
    int r = 0;

    if (csv.n > PASSWD_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a password file of %zu bytes is too large", csv.n);
    if (csv.n && memchr(csv.p, '\0', csv.n))
        return err_set(e, ERR_INVALID, "the password file holds a zero byte");
    for (size_t i = 0; i < ARRAY_LEN(cells); i++)
        cells[i] = BUF_SECRET(PASSWD_MAX_BYTES);
    while (csv.n && !r) {
        size_t n;

        for (size_t i = 0; i < ARRAY_LEN(cells); i++)
            buf_clear(&cells[i]);
        n = take_record(&csv, cells, ARRAY_LEN(cells));
        line++;
        if (n == 1 && !cells[0].n)
            continue; /* an empty line */
        if (n < 2 || !cells[1].n)
            r = err_set(e, ERR_INVALID, "line %zu is not \"password,user,uid,group\"", line);
        else if (p->n == PASSWD_USERS_MAX && !find(p, buf_str(&cells[1])))
            r = err_set(e, ERR_LIMIT, "more than %d users", PASSWD_USERS_MAX);
        else
            put(p, user_new(buf_str(&cells[1]), buf_str(&cells[0]), buf_str(&cells[2]),
                            buf_str(&cells[3])));
    }
    for (size_t i = 0; i < ARRAY_LEN(cells); i++)
        buf_deinit(&cells[i]);
    if (!r)
        *out = STEAL(p);
    return r;
}

int passwd_load(struct passwd **out, const char *path, struct err *e)
{
    auto_buf csv = BUF_SECRET(PASSWD_MAX_BYTES);
    struct err read_e = { 0 };
    int r = pemfile_read(&csv, path, &read_e);

    if (r == ERR_NOT_FOUND) {
        *out = passwd_new();
        return 0;
    }
    if (r) {
        *e = read_e;
        return r;
    }
    if (passwd_parse(out, buf_str(&csv), e))
        return err_wrap(e, "%s (repair it, or move it away to have it made anew from --token)",
                        path);
    return 0;
}

/* Quoted where encoding/csv would read it differently otherwise. */
static int add_cell(struct buf *out, const char *s)
{
    if (!strpbrk(s, ",\"\r\n") && s[0] != ' ')
        return buf_adds(out, s);
    if (buf_addc(out, '"'))
        return ERR_LIMIT;
    for (; *s; s++)
        if ((*s == '"' && buf_addc(out, '"')) || buf_addc(out, *s))
            return ERR_LIMIT;
    return buf_addc(out, '"');
}

static int add_user(struct buf *out, const struct user *u)
{
    auto_buf groups = BUF(PASSWD_MAX_BYTES);

    for (size_t i = 0; i < u->pub.n_groups; i++)
        if (buf_addf(&groups, "%s%s", i ? "," : "", u->groups[i]))
            return ERR_LIMIT;
    return add_cell(out, u->password) || buf_addc(out, ',') || add_cell(out, u->name) ||
                   buf_addc(out, ',') || add_cell(out, u->uid) ||
                   (groups.n && (buf_addc(out, ',') || add_cell(out, groups.p))) ||
                   buf_addc(out, '\n')
               ? ERR_LIMIT
               : 0;
}

int passwd_save(const struct passwd *p, const char *path, struct err *e)
{
    auto_buf csv = BUF_SECRET(PASSWD_MAX_BYTES);

    for (size_t i = 0; i < p->n; i++)
        if (add_user(&csv, p->v[i]))
            return err_set(e, ERR_LIMIT, "%s: too many users", path);
    return pemfile_write(path, buf_str(&csv), 0600, e);
}

const struct passwd_user *passwd_verify(const struct passwd *p, struct str name,
                                        struct str password)
{
    const struct user *u = find(p, name);
    /* an unknown user costs one comparison, too */
    bool same = str_eq_secret(u ? str_of(u->password) : password, password);

    return u && u->password[0] && same ? &u->pub : NULL;
}

enum passwd_basic passwd_verify_basic(const struct passwd *p, struct str authorization,
                                      const struct passwd_user **out)
{
    auto_buf text = BUF_SECRET(PASSWD_MAX_BYTES);
    struct str scheme, credentials, name, password;

    str_cut(str_trim(authorization), ' ', &scheme, &credentials);
    if (!str_eq_nocase(scheme, STR("Basic")))
        return PASSWD_NO_BASIC;
    if (base64_decode(&text, str_trim(credentials), false) ||
        !str_cut(buf_str(&text), ':', &name, &password))
        return PASSWD_BAD;
    *out = passwd_verify(p, name, password);
    return *out ? PASSWD_GOOD : PASSWD_BAD;
}
