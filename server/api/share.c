#include "server/api/share.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/kube/status.h"

#define RETRY_S 1

static const unsigned MAX_AT_ONCE[CLASSES_N] = { [CLASS_READ] = SHARE_READS_MAX,
                                                 [CLASS_WRITE] = SHARE_WRITES_MAX,
                                                 [CLASS_WATCH] = SHARE_WATCHES_MAX,
                                                 [CLASS_STREAM] = SHARE_STREAMS_MAX };

/* What one user has under way; gone when that is nothing. */
struct share_user {
    unsigned n[CLASSES_N];
    unsigned n_all;
    char name[];
};

enum level { LEVEL_EXEMPT, LEVEL_SYSTEM, LEVEL_OTHER };

static enum level level_of(const struct api_req *r)
{
    static const char *const others[] = { "serviceaccount:", "bootstrap:", "anonymous" };
    struct str user = str_of(r->id ? r->id->user : "");

    if (!r->http || (r->id && identity_in(r->id, "system:masters")))
        return LEVEL_EXEMPT;
    if (!str_starts(user, STR("system:")))
        return LEVEL_OTHER;
    user = str_n(user.p + 7, user.n - 7);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (str_starts(user, str_of(others[i])))
            return LEVEL_OTHER;
    return LEVEL_SYSTEM; /* nodes, kube-proxy, the agents of K3s */
}

static bool fits(const struct api_req *r, enum req_class c, enum level level)
{
    unsigned max = MAX_AT_ONCE[c], of_user = r->user ? r->user->n[c] : 0;

    if (level == LEVEL_EXEMPT || !max)
        return true;
    if (level == LEVEL_SYSTEM)
        return r->api->n_shared[c] < max && of_user < max / 4;
    return r->api->n_shared[c] < max - max / 4 && of_user < max / 2;
}

static struct share_user *user_of(struct api_req *r)
{
    const char *name = r->id ? r->id->user : "";
    struct share_user *u = map_get(r->api->users, str_of(name));

    if (u)
        return u;
    u = mem_alloc(sizeof *u + strlen(name) + 1);
    memcpy(u->name, name, strlen(name) + 1);
    map_set(r->api->users, str_of(name), u);
    return u;
}

void share_give(struct api_req *r)
{
    struct share_user *u = r->user;

    r->api->n_running[r->class_]--;
    if (!u)
        return;
    r->api->n_shared[r->class_]--;
    u->n[r->class_]--;
    r->user = NULL;
    if (--u->n_all)
        return;
    map_remove(r->api->users, str_of(u->name));
    free(u);
}

bool share_take(struct api_req *r, enum req_class c)
{
    enum level level = level_of(r);

    if (level != LEVEL_EXEMPT && !r->user) {
        r->user = user_of(r);
        r->user->n[r->class_]++;
        r->user->n_all++;
        r->api->n_shared[r->class_]++;
    }
    if (!fits(r, c, level)) {
        req_status(r,
                   status_too_many_requests("Too many requests, please try again later.", RETRY_S));
        return false;
    }
    r->api->n_running[r->class_]--;
    r->api->n_running[c]++;
    if (r->user) {
        r->user->n[r->class_]--;
        r->user->n[c]++;
        r->api->n_shared[r->class_]--;
        r->api->n_shared[c]++;
    }
    r->class_ = c;
    return true;
}

void share_deinit(struct api *a)
{
    map_free(a->users);
}
