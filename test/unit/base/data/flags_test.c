#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/data/flags.h"

struct options {
    bool debug;
    int64_t port;
    char *token, *mode;
    struct flag_list label, san;
};

#define W(word)   ((char *)(word)) /* argv is not const, literals are */
#define AT(field) offsetof(struct options, field)
static const struct flag table[] = {
    { "debug", 0, FLAG_BOOL, AT(debug), NULL, "T_DEBUG", "debug log level", .secret = false },
    { "port", 'p', FLAG_INT, AT(port), "6443", NULL, "port", .secret = false },
    { "token", 't', FLAG_STR, AT(token), NULL, "T_TOKEN", "token", .secret = true },
    { "mode", 0, FLAG_STR, AT(mode), "agent", NULL, "mode", .one_of = "agent|disabled" },
    { "node-label", 0, FLAG_LIST, AT(label), NULL, NULL, "labels", .secret = false },
    { "tls-san", 0, FLAG_LIST_COMMA, AT(san), NULL, NULL, "names", .secret = false },
    { "rootless", 0, FLAG_BOOL, 0, NULL, NULL, "no root", .unsupported = true },
    { "backend", 0, FLAG_STR, 0, "vxlan", NULL, "overlay", .unsupported = true },
};
#define N ARRAY_LEN(table)

static char *show(const struct options *o)
{
    auto_buf b = BUF(4096);

    assert_int_equal(buf_addf(&b, "%d %lld %s %s", o->debug, (long long)o->port,
                              o->token ? o->token : "-", o->mode ? o->mode : "-"),
                     0);
    for (size_t i = 0; i < o->label.n; i++)
        assert_int_equal(buf_addf(&b, " l:%s", o->label.v[i]), 0);
    for (size_t i = 0; i < o->san.n; i++)
        assert_int_equal(buf_addf(&b, " s:%s", o->san.v[i]), 0);
    return buf_take(&b);
}

static int split(char *line, char **argv)
{
    int n = 0;

    for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
        argv[n++] = w;
    return n;
}

static void command_lines_become_options_or_a_sentence(void **state)
{
    static const struct {
        const char *line, *want;
        bool ok;
    } rows[] = {
        { "", "0 6443 - agent", true },
        { "--debug --port 7 -t=a:b --mode=disabled", "1 7 a:b disabled", true },
        { "-debug=false -p 8 --token=x=y", "0 8 x=y agent", true },
        { "--node-label a=b,c --node-label d=e --tls-san x,y --tls-san=z",
          "0 6443 - agent l:a=b,c l:d=e s:x s:y s:z", true },
        { "--rootless=false --backend vxlan", "0 6443 - agent", true },
        { "--rootless", "flag --rootless: K3s knows it, this version of Coracle does not", false },
        { "--backend=none", "flag --backend: K3s knows it, this version of Coracle does not",
          false },
        { "--port x", "flag --port: \"x\" is not a number", false },
        { "--debug=maybe", "flag --debug: \"maybe\" is not true or false", false },
        { "--mode cluster", "flag --mode: \"cluster\" is not one of agent|disabled", false },
        { "--nope", "flag --nope is not known", false },
        { "--port", "flag --port wants a value", false },
        { "word", "unexpected argument \"word\"", false },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *line = mem_strdup(rows[i].line);
        char *argv[16];
        int argc = split(line, argv);
        struct options o = { 0 };
        struct err e = { 0 };
        int r = flags_parse(table, N, &o, argc, argv, NULL, &e);

        if (rows[i].ok) {
            auto_free char *got = show(&o);
            assert_int_equal(r, 0);
            assert_string_equal(got, rows[i].want);
        } else {
            assert_int_equal(r, ERR_INVALID);
            assert_string_equal(e.text, rows[i].want);
        }
        flags_deinit(table, N, &o);
    }
}

static void the_environment_counts_only_when_the_flag_is_absent(void **state)
{
    char *none[] = { NULL }, *with[] = { W("--token=cli") };
    struct options o = { 0 };
    struct err e;
    (void)state;

    setenv("T_TOKEN", "env", 1);
    assert_int_equal(flags_parse(table, N, &o, 0, none, NULL, &e), 0);
    assert_string_equal(o.token, "env");
    assert_true(flags_given(table, N, "token", 0, none));
    flags_deinit(table, N, &o);
    o = (struct options){ 0 };
    assert_int_equal(flags_parse(table, N, &o, 1, with, NULL, &e), 0);
    assert_string_equal(o.token, "cli");
    flags_deinit(table, N, &o);
    unsetenv("T_TOKEN");
    assert_false(flags_given(table, N, "token", 0, none));
}

static void node_args_hide_secrets_in_either_spelling(void **state)
{
    char *argv[] = { W("agent"),   W("--token"), W("hush"),         W("--port=1"),
                     W("-t=hush"), W("--debug"), W("--node-label"), W("a=b") };
    char *env[] = { W("K3S_TOKEN=hush"), W("K3S_URL=https://h:6443"), W("HOME=/root"), NULL };
    auto_buf args = BUF(1024), vars = BUF(1024);
    (void)state;

    assert_int_equal(flags_node_args(table, N, (int)ARRAY_LEN(argv), argv, &args), 0);
    assert_string_equal(buf_cstr(&args),
                        "[\"agent\",\"--token\",\"********\",\"--port\",\"1\",\"-t\","
                        "\"********\",\"--debug\",\"--node-label\",\"a=b\"]");
    assert_int_equal(flags_node_env(env, &vars), 0);
    assert_string_equal(buf_cstr(&vars),
                        "{\"K3S_TOKEN\":\"********\",\"K3S_URL\":\"https://h:6443\"}");
}

static void write_text(const char *dir, const char *name, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void config_files_merge_in_order_before_the_users_words(void **state)
{
    char dir[] = "/tmp/flags-test-XXXXXX";
    char *argv[] = { W("--port=9") };
    struct flag_list out = { 0 };
    auto_buf got = BUF(1024);
    struct err e = { 0 };
    auto_free char *path = NULL, *drop = NULL, *cmd = NULL;
    (void)state;

    assert_non_null(mkdtemp(dir));
    path = mem_printf("%s/config.yaml", dir);
    drop = mem_printf("%s/config.yaml.d", dir);
    cmd = mem_printf("rm -r %s", dir);
    assert_int_equal(mkdir(drop, 0700), 0);
    write_text(dir, "config.yaml", "port: 1\nnode-label: [a=1, b=2]\ntoken: x\nunknown: 1\n");
    write_text(drop, "10.yaml", "node-label+: c=3\nport: 2\n");
    write_text(drop, "20.yml", "token: y\ndebug: true\n");
    write_text(drop, "30.txt", "port: 77\n");
    assert_int_equal(flags_inject_config(table, N, path, true, 1, argv, &out, &e), 0);
    for (size_t i = 0; i < out.n; i++)
        assert_int_equal(buf_addf(&got, "%s ", out.v[i]), 0);
    assert_string_equal(buf_cstr(&got),
                        "--port=2 --node-label=a=1 --node-label=b=2 --node-label=c=3 "
                        "--token=y --debug=true --port=9 ");
    flag_list_free(&out);
    write_text(dir, "config.yaml", "port: {a: 1}\n");
    assert_int_equal(flags_inject_config(table, N, path, true, 0, argv, &out, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "the value of \"port\" is neither a scalar nor a list"));
    flag_list_free(&out);
    assert_int_equal(system(cmd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines_become_options_or_a_sentence),
        cmocka_unit_test(the_environment_counts_only_when_the_flag_is_absent),
        cmocka_unit_test(node_args_hide_secrets_in_either_spelling),
        cmocka_unit_test(config_files_merge_in_order_before_the_users_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
