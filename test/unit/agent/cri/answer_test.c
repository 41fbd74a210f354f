#include "agent/cri/answer.h"

#include "agent/cri/config.h"
#include "agent/cri/request.h"
#include "base/data/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void answers_are_read_or_refused(void **state)
{
    static const struct {
        enum answer_kind kind;
        struct str bytes;
        enum err_code code;
        const char *text; /* of the error, or of the answer */
    } rows[] = {
        { ANSWER_NONE, { "\xff\xff", 2 }, 0, NULL },
        { ANSWER_SANDBOX_ID,
          { "\x0a\x03"
            "abc",
            5 },
          0,
          "abc" },
        { ANSWER_SANDBOX_ID, { NULL, 0 }, ERR_PROTOCOL, "no pod_sandbox_id" },
        { ANSWER_URL, { "\x0a\x01u", 3 }, 0, "u" },
        { ANSWER_URL, { "\x0a\x7fu", 3 }, ERR_PROTOCOL, "UrlResponse" }, /* longer than it is */
        { ANSWER_SANDBOX_STATUS, { NULL, 0 }, ERR_PROTOCOL, "no status" },
        { ANSWER_CONTAINER_STATUS, { NULL, 0 }, ERR_PROTOCOL, "no status" },
        { ANSWER_CONTAINERS, { NULL, 0 }, 0, NULL },
        { ANSWER_IMAGE_STATUS, { NULL, 0 }, 0, NULL }, /* the image is not there */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a;
        struct err e;

        assert_int_equal(answer_read(&a, rows[i].kind, rows[i].bytes, &e), rows[i].code);
        if (rows[i].code) {
            assert_non_null(strstr(e.text, rows[i].text));
            continue;
        }
        if (rows[i].text)
            assert_string_equal(a.text, rows[i].text);
        assert_int_equal(a.n, 0);
        answer_deinit(&a);
    }
}

static void list_that_would_need_too_much_memory_is_refused(void **state)
{
    static char bytes[4 * 1024 * 1024]; /* two million empty containers */
    struct answer a;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i += 2)
        bytes[i] = 0x0a;
    assert_int_not_equal(answer_read(&a, ANSWER_CONTAINERS, str_n(bytes, sizeof bytes), &e), 0);
}

/* What we send reads back as what we meant: ids, maps and nesting have the right numbers. */
static void create_request_holds_its_parts(void **state)
{
    static const struct cri_pair env[] = { { "A", "b" } };
    static const char *const argv[] = { "sh" };
    struct cri_sandbox_config s = { .name = "p", .uid = "u", .namespace = "n" };
    struct cri_container_config k = { .name = "c",
                                      .image = "i",
                                      .command = argv,
                                      .n_command = 1,
                                      .env = env,
                                      .n_env = 1,
                                      .log_path = "c/0.log" };
    auto_buf b = BUF(65536);

    (void)state;
    assert_int_equal(request_create_container(&b, "box", &k, &s), 0);
    assert_memory_equal(b.p,
                        "\x0a\x03"
                        "box\x12",
                        6);
    assert_non_null(memmem(b.p, b.n, "\x1a\x02sh", 4)); /* command = 3 */
    assert_non_null(memmem(b.p, b.n,
                           "\x32\x06\x0a\x01"
                           "A\x12\x01"
                           "b",
                           8)); /* envs = 6 */
    assert_non_null(memmem(b.p, b.n,
                           "\x5a\x07"
                           "c/0.log",
                           9)); /* log_path = 11 */
}

static void pod_network_must_be_a_prefix(void **state)
{
    static const struct {
        const char *cidr;
        enum err_code code;
    } rows[] = {
        { "10.42.0.0/24", 0 },         { "fd00:42::/64", 0 },
        { "10.42.0.0", ERR_INVALID },  { "10.42.0.0/33", ERR_INVALID },
        { "fd00::/129", ERR_INVALID }, { "/24", ERR_INVALID },
        { "", ERR_INVALID },           { "10.42.0/24", ERR_INVALID },
        { "a\"b/24", ERR_INVALID },    { "10.42.0.0/24,x", ERR_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf b = BUF(4096);
        struct err e;

        assert_int_equal(config_cni(&b, rows[i].cidr, "cni0", "/run/x", &e), rows[i].code);
        assert_true(rows[i].code ? !b.n : strstr(b.p, rows[i].cidr) != NULL);
    }
}

static void pods_have_an_address_of_each_network(void **state)
{
    auto_buf b = BUF(4096);
    json_auto_t *conf = NULL;
    struct err e;

    (void)state;
    assert_int_equal(config_cni(&b, "10.42.0.0/24,fd00:42::/64", "cni0", "/run/x", &e), 0);
    assert_int_equal(json_parse(&conf, buf_str(&b), &e), 0);
#define IPAM "plugins[0].ipam."
    assert_string_equal(json_str_at(conf, IPAM "ranges[0][0].subnet", ""), "10.42.0.0/24");
    assert_string_equal(json_str_at(conf, IPAM "ranges[1][0].subnet", ""), "fd00:42::/64");
    assert_string_equal(json_str_at(conf, IPAM "routes[0].dst", ""), "0.0.0.0/0");
    assert_string_equal(json_str_at(conf, IPAM "routes[1].dst", ""), "::/0");
#undef IPAM
}

static void paths_cannot_leave_their_string_in_the_configuration(void **state)
{
    struct config_containerd c = { .root = "/a\"\nroot = \"/b",
                                   .state = "/s",
                                   .socket = "/k",
                                   .pause_image = "p",
                                   .snapshotter = "native",
                                   .cni_bin_dir = "/c",
                                   .cni_conf_dir = "/d",
                                   .restrict_oom_score_adj = true };
    auto_buf b = BUF(65536);

    (void)state;
    assert_int_equal(config_containerd(&b, &c), 0);
    assert_non_null(strstr(b.p, "\nroot = \"/a\\\"\\nroot = \\\"/b\"\n"));
    assert_non_null(strstr(b.p, "restrict_oom_score_adj = true"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_or_refused),
        cmocka_unit_test(list_that_would_need_too_much_memory_is_refused),
        cmocka_unit_test(create_request_holds_its_parts),
        cmocka_unit_test(pods_have_an_address_of_each_network),
        cmocka_unit_test(pod_network_must_be_a_prefix),
        cmocka_unit_test(paths_cannot_leave_their_string_in_the_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
