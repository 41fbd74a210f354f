#include "test/unit/server/boot/harness.h"

#include "base/core/clock.h"
#include "base/data/base64.h"
#include "base/data/time.h"

#include <stdio.h>

static struct harness h;

static int setup(void **state)
{
    (void)state;
    harness_open(&h, TUNNEL_EGRESS_AGENT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    return 0;
}

static void set_b64(json_t *data, const char *key, const char *value)
{
    auto_buf b = BUF(4096);

    assert_int_equal(base64_add(&b, str_of(value)), 0);
    json_object_set_new(data, key, json_string(buf_cstr(&b)));
}

struct token {
    const char *id, *secret, *usage, *type;
    int expires_in_s; /* 0: never */
    const char *groups;
};

static void make(const struct token *t)
{
    char name[64], when[TIME_TEXT_BYTES];
    json_t *data = json_object();
    json_auto_t *s = json_object();

    snprintf(name, sizeof name, "bootstrap-token-%s", t->id);
    set_b64(data, "token-id", t->id);
    set_b64(data, "token-secret", t->secret);
    if (t->usage)
        set_b64(data, "usage-bootstrap-authentication", t->usage);
    if (t->expires_in_s) {
        time_text_s(when, clock_wall_s() + t->expires_in_s);
        set_b64(data, "expiration", when);
    }
    if (t->groups)
        set_b64(data, "auth-extra-groups", t->groups);
    json_object_set_new(s, "metadata", json_pack("{s:s}", "name", name));
    json_object_set_new(s, "type",
                        json_string(t->type ? t->type : "bootstrap.kubernetes.io/token"));
    json_object_set_new(s, "data", data);
    auto_free char *text = json_text(s);
    assert_int_equal(create(&h, "secrets", "kube-system", text), 201);
    harness_turns(&h, 30); /* the informer hears of it */
}

static enum authn_result try(const char *authorization, struct identity **id, struct err *e)
{
    struct authn_credentials c = { .authorization = str_of(authorization) };

    *id = NULL;
    *e = (struct err){ 0 };
    return bootstrap_tokens_check(h.bootstrap, &c, id, e);
}

static void tokens_are_judged_one_by_one(void **state)
{
    static const struct {
        struct token t;
        const char *shown;
        enum authn_result want;
        const char *why;
        enum err_code code;
    } rows[] = {
        { { "aaaaaa", "0123456789abcdef", "true", NULL, 0, NULL },
          "Bearer aaaaaa.0123456789abcdef",
          AUTHN_OK,
          NULL,
          0 },
        { { "aaaaab", "0123456789abcdef", "true", NULL, 3600, NULL },
          "bearer aaaaab.0123456789abcdef",
          AUTHN_OK,
          NULL,
          0 },
        { { "aaaaac", "0123456789abcdef", "true", NULL, -1, NULL },
          "Bearer aaaaac.0123456789abcdef",
          AUTHN_FAILED,
          "aaaaac has expired",
          ERR_EXPIRED },
        { { "aaaaad", "0123456789abcdef", "true", NULL, 0, NULL },
          "Bearer aaaaad.0123456789abcdeX",
          AUTHN_NONE,
          NULL,
          0 }, /* no bootstrap token's text */
        { { "aaaaae", "0123456789abcdef", "true", NULL, 0, NULL },
          "Bearer aaaaae.0123456789abcdee",
          AUTHN_FAILED,
          "wrong secret",
          ERR_DENIED },
        /* who does not know the secret does not learn that it has expired */
        { { "aaaaaf", "0123456789abcdef", "true", NULL, -1, NULL },
          "Bearer aaaaaf.0000000000000000",
          AUTHN_FAILED,
          "wrong secret",
          ERR_DENIED },
        { { "aaaaag", "0123456789abcdef", "false", NULL, 0, NULL },
          "Bearer aaaaag.0123456789abcdef",
          AUTHN_FAILED,
          "not for authentication",
          ERR_DENIED },
        { { "aaaaah", "0123456789abcdef", NULL, NULL, 0, NULL },
          "Bearer aaaaah.0123456789abcdef",
          AUTHN_FAILED,
          "not for authentication",
          ERR_DENIED },
        { { "aaaaai", "0123456789abcdef", "true", "Opaque", 0, NULL },
          "Bearer aaaaai.0123456789abcdef",
          AUTHN_FAILED,
          "is not known",
          ERR_DENIED },
        { { "aaaaaj", "", "true", NULL, 0, NULL },
          "Bearer aaaaaj.0123456789abcdef",
          AUTHN_FAILED,
          "wrong secret",
          ERR_DENIED },
        { { "aaaaak", "0123456789abcdef", "true", NULL, 0, NULL },
          "Bearer bbbbbb.0123456789abcdef",
          AUTHN_FAILED,
          "bbbbbb is not known",
          ERR_DENIED },
        { { "aaaaal", "0123456789abcdef", "true", NULL, 0, NULL },
          "Basic aaaaal.0123456789abcdef",
          AUTHN_NONE,
          NULL,
          0 },
        { { "aaaaam", "0123456789abcdef", "true", NULL, 0, NULL }, "", AUTHN_NONE, NULL, 0 },
        { { "aaaaan", "0123456789abcdef", "true", NULL, 0, NULL },
          "Bearer eyJhbGciOi.J9.x",
          AUTHN_NONE,
          NULL,
          0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct identity *id;
        struct err e;

        make(&rows[i].t);
        enum authn_result r = try(rows[i].shown, &id, &e);
        if (r != rows[i].want || (rows[i].why && !strstr(e.text, rows[i].why)) ||
            (r == AUTHN_FAILED && e.code != rows[i].code))
            fail_msg("row %zu: %d %s", i, r, e.text);
        assert_null(strstr(e.text, "0123456789abcdef"));
        identity_unref(id);
    }
}

static void the_identity_has_the_groups_that_may_be_given(void **state)
{
    static const struct token t = {
        "cccccc",
        "0123456789abcdef",
        "true",
        NULL,
        0,
        "system:bootstrappers:k3s:default-node-token,system:masters,system:bootstrappers:x"
    };
    struct identity *id;
    struct err e;
    (void)state;

    make(&t);
    assert_int_equal(try("Bearer cccccc.0123456789abcdef", &id, &e), AUTHN_OK);
    assert_string_equal(id->user, "system:bootstrap:cccccc");
    assert_true(identity_in(id, "system:bootstrappers"));
    assert_true(identity_in(id, "system:bootstrappers:k3s:default-node-token"));
    assert_true(identity_in(id, "system:bootstrappers:x"));
    assert_true(identity_in(id, "system:authenticated"));
    assert_false(identity_in(id, "system:masters"));
    assert_null(id->node);
    identity_unref(id);
}

static void a_deleted_token_is_not_known(void **state)
{
    static const struct token t = { "dddddd", "0123456789abcdef", "true", NULL, 0, NULL };
    struct identity *id;
    struct err e;
    (void)state;

    make(&t);
    assert_int_equal(try("Bearer dddddd.0123456789abcdef", &id, &e), AUTHN_OK);
    identity_unref(id);
    delete (&h, "secrets", "kube-system", "bootstrap-token-dddddd");
    harness_turns(&h, 30);
    assert_int_equal(try("Bearer dddddd.0123456789abcdef", &id, &e), AUTHN_FAILED);
    assert_non_null(strstr(e.text, "not known"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_judged_one_by_one),
        cmocka_unit_test(the_identity_has_the_groups_that_may_be_given),
        cmocka_unit_test(a_deleted_token_is_not_known),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
