/* Reviews over HTTP, and requests that act as another. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "test/unit/json_text.h"

#define ADMIN  "admin+system:masters"
#define AUTHZ  "/apis/authorization.k8s.io/v1"
#define WHOAMI "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define CSRS   "/apis/certificates.k8s.io/v1/certificatesigningrequests"
/* a request for CN=x, of a P-256 key */
#define TEST_CSR                                                                                   \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIR01HNENBUUF3RERFS01BZ0dBMVVFQXd3"         \
    "QmVEQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCTDBTV0ZybnFtTlB6Y1BZTTd2ZEdZUmlI"         \
    "NjV5MWh5SnU5MVZ1WkczTWtXdFBPRTZVVlJjYVgrSlFkUm5XeFNICmM0L2NBaFBGWU1pNkpvVENhZXFPMHY2"         \
    "Z0FEQUtCZ2dxaGtqT1BRUURBZ05JQURCRkFpRUE5SFBwMVZJcHhZb3AKSzZoR1BCZHRjUGIzK2krTHVQdGNV"         \
    "Vk5OR2srTllaVUNJQUZucTVRV29RUmdrbFlibmZqTWlBRHp5UUlGN3kxVQpxYnNkSmIzaWNNSTEKLS0tLS1F"         \
    "TkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="

/* as: "Name: value" each, NULL at the end. */
static struct answer ask_acting(const char *who, const char *const as[4], const char *method,
                                const char *target, const char *body)
{
    struct http_header headers[6] = { { STR("Content-Type"), STR("application/json") } };
    size_t n = 1;

    for (size_t i = 0; i < 4 && as[i]; i++, n++) {
        str_cut(str_of(as[i]), ':', &headers[n].name, &headers[n].value);
        headers[n].value = str_trim(headers[n].value);
    }
    return ask_with(&h, who, method, target, headers, n, str_of(body));
}

static void who_acts_as_another_is_the_other(void **state)
{
    static const struct {
        const char *rule, *who, *as[4], *method, *target, *body;
        int code;
        const char *path, *want;
    } cases[] = {
        { "whoami is the other",
          ADMIN,
          { "Impersonate-User: ann" },
          "POST",
          WHOAMI,
          "{}",
          201,
          "status.userInfo.username",
          "ann" },
        { "with its uid",
          ADMIN,
          { "Impersonate-User: ann", "Impersonate-Uid: 7" },
          "POST",
          WHOAMI,
          "{}",
          201,
          "status.userInfo.uid",
          "7" },
        { "the other's rights count, not one's own",
          ADMIN,
          { "Impersonate-User: ann" },
          "GET",
          "/api/v1/namespaces/default/secrets",
          NULL,
          403,
          "message",
          "secrets is forbidden: User \"ann\" cannot list resource \"secrets\" in API group \"\" "
          "in the namespace \"default\"" },
        { "a group gives its rights",
          ADMIN,
          { "Impersonate-User: ann", "Impersonate-Group: system:masters" },
          "GET",
          "/api/v1/namespaces/default/secrets",
          NULL,
          200,
          NULL,
          NULL },
        { "who may not, may not",
          "bob",
          { "Impersonate-User: ann" },
          "POST",
          WHOAMI,
          "{}",
          403,
          "message",
          "users \"ann\" is forbidden: User \"bob\" cannot impersonate resource \"users\" in API "
          "group \"\" at the cluster scope" },
        { "nor take a group",
          "bob",
          { "Impersonate-User: bob", "Impersonate-Group: g" },
          "POST",
          WHOAMI,
          "{}",
          403,
          "details.kind",
          "users" },
        { "a ServiceAccount is asked for by its namespace",
          "bob",
          { "Impersonate-User: system:serviceaccount:a:b" },
          "POST",
          WHOAMI,
          "{}",
          403,
          "message",
          "serviceaccounts \"b\" is forbidden: User \"bob\" cannot impersonate resource "
          "\"serviceaccounts\" in API group \"\" in the namespace \"a\"" },
        { "who is not authenticated has no reviews",
          ADMIN,
          { "Impersonate-User: ann", "Impersonate-Group: system:unauthenticated" },
          "POST",
          WHOAMI,
          "{}",
          403,
          NULL,
          NULL },
        { "a group needs a user",
          ADMIN,
          { "Impersonate-Group: g" },
          "POST",
          WHOAMI,
          "{}",
          400,
          "reason",
          "BadRequest" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_answer a =
            ask_acting(cases[i].who, cases[i].as, cases[i].method, cases[i].target, cases[i].body);

        print_message("%s\n", cases[i].rule);
        assert_int_equal(a.code, cases[i].code);
        if (cases[i].path)
            assert_string_equal(json_str_at(a.doc, cases[i].path, ""), cases[i].want);
    }
}

static void a_signing_request_names_who_was_acted_as(void **state)
{
    static const char *const as[] = { "Impersonate-User: ann", "Impersonate-Uid: 7",
                                      "Impersonate-Extra-Team: blue",
                                      "Impersonate-Group: system:masters" };
    auto_free char *body = real_quotes(
        "{'metadata':{'name':'one'},'spec':{'signerName':'example.com/s','usages':['client auth'],"
        "'username':'forged','uid':'forged','request':'" TEST_CSR "'}}");

    (void)state;
    auto_answer a = ask_acting(ADMIN, as, "POST", CSRS, body);
    assert_int_equal(a.code, 201);
    assert_string_equal(json_str_at(a.doc, "spec.username", ""), "ann");
    assert_string_equal(json_str_at(a.doc, "spec.uid", ""), "7");
    auto_free char *extra = json_dumps(json_at(a.doc, "spec.extra"), JSON_COMPACT);
    assert_string_equal(extra, "{\"team\":[\"blue\"]}");
}

static void access_reviews_are_validated(void **state)
{
#define RES "'resourceAttributes':{'verb':'get','resource':'pods','namespace':'default'}"
    static const struct {
        const char *rule, *target, *body;
        int code;
        const char *message;
    } cases[] = {
        { "neither", AUTHZ "/selfsubjectaccessreviews", "{'spec':{}}", 422,
          "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: "
          "Invalid value: \"null\": exactly one of nonResourceAttributes or resourceAttributes "
          "must "
          "be specified" },
        { "both", AUTHZ "/selfsubjectaccessreviews",
          "{'spec':{" RES ",'nonResourceAttributes':{'path':'/'}}}", 422,
          "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: "
          "spec.nonResourceAttributes: Invalid value: {\"path\":\"/\"}: cannot be specified in "
          "combination with resourceAttributes" },
        { "of nobody", AUTHZ "/subjectaccessreviews", "{'spec':{" RES "}}", 422,
          "SubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.user: Invalid value: "
          "\"\": at least one of user or group must be specified" },
        { "with a name", AUTHZ "/subjectaccessreviews",
          "{'metadata':{'name':'n'},'spec':{'user':'u'," RES "}}", 422,
          "SubjectAccessReview.authorization.k8s.io \"\" is invalid: metadata: Invalid value: "
          "{\"name\":\"n\"}: must be empty" },
        { "of a group", AUTHZ "/subjectaccessreviews",
          "{'metadata':{'creationTimestamp':null},'spec':{'groups':['g']," RES "}}", 201, NULL },
        { "of another namespace", AUTHZ "/namespaces/other/localsubjectaccessreviews",
          "{'spec':{'user':'u'," RES "}}", 422,
          "LocalSubjectAccessReview.authorization.k8s.io \"\" is invalid: "
          "spec.resourceAttributes.namespace: Invalid value: \"default\": must match "
          "metadata.namespace" },
        { "of its namespace", AUTHZ "/namespaces/default/localsubjectaccessreviews",
          "{'spec':{'user':'u'," RES "}}", 201, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *body = real_quotes(cases[i].body);
        auto_answer a = ask(&h, "POST", cases[i].target, body);

        print_message("%s\n", cases[i].rule);
        assert_int_equal(a.code, cases[i].code);
        if (cases[i].message)
            assert_string_equal(json_str_at(a.doc, "message", ""), cases[i].message);
    }
}

static void a_review_has_no_table(void **state)
{
    static const struct {
        const char *accept;
        int code;
    } rows[] = {
        { "application/json;as=Table;g=meta.k8s.io;v=v1", 406 },
        { "application/json;as=Table;g=meta.k8s.io;v=v1,application/json", 201 },
        { "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", 201 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask_as(&h, ADMIN, "POST", WHOAMI, "application/json", rows[i].accept, "{}");

        assert_int_equal(a.code, rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_acts_as_another_is_the_other),
        cmocka_unit_test(a_signing_request_names_who_was_acted_as),
        cmocka_unit_test(access_reviews_are_validated),
        cmocka_unit_test(a_review_has_no_table),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
