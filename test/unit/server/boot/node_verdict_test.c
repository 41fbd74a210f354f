/* Facts in, line out: a row for every way in which a node can be away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "server/boot/node_verdict.h"

#include <string.h>

/* seconds of 2026-11-22T09:00:00Z and what follows; "09:01:40Z" is AT(100) */
#define AT(s) (1795338000 + (s))

static const struct node_setting remote = { .needs_tunnel = true, .started_unix_s = AT(0) };
static const struct node_setting direct = { .needs_tunnel = false, .started_unix_s = AT(0) };

#define CONNECTED                                                                                  \
    .connected = true, .tunnel_unix_s = AT(100), .tunnel_text = "192.0.2.7:4711 (coracle.v1)"
#define CUT .tunnel_unix_s = AT(100), .tunnel_text = "no answer to two pings"

static void every_cause_is_named(void **state)
{
    static const struct {
        struct node_facts f;
        const struct node_setting *s;
        bool reachable;
        enum cause cause;
        const char *reason;
    } rows[] = {
        { { .has_object = true, CONNECTED }, &remote, true, CAUSE_NONE, "reachable" },
        { { .has_object = true }, &direct, true, CAUSE_NONE, "reachable" },
        /* session */
        { { .has_object = true },
          &remote,
          false,
          CAUSE_SESSION,
          "session: it has no tunnel since this server started at 2026-11-22T09:00:00Z" },
        { { .has_object = true, CUT },
          &remote,
          false,
          CAUSE_SESSION,
          "session: its tunnel ended at 2026-11-22T09:01:40Z: no answer to two pings" },
        { { .has_object = true, .lease_stale = true, .lease_unix_s = AT(90), CUT },
          &remote,
          false,
          CAUSE_SESSION,
          "session: its tunnel ended at 2026-11-22T09:01:40Z: no answer to two pings" },
        /* lease */
        { { .has_object = true, .lease_stale = true, .lease_unix_s = AT(60), CONNECTED },
          &remote,
          false,
          CAUSE_LEASE,
          "lease: it is not renewed since 2026-11-22T09:01:00Z, though its tunnel answers" },
        { { .has_object = true, .lease_stale = true, .lease_unix_s = AT(60) },
          &direct,
          false,
          CAUSE_LEASE,
          "lease: it is not renewed since 2026-11-22T09:01:00Z" },
        /* kubelet port, and TLS, token, protocol there */
        { { .has_object = true,
            CONNECTED,
            .kubelet = CAUSE_KUBELET,
            .kubelet_text = "dial tcp 127.0.0.1:10250: connect: connection refused" },
          &remote,
          false,
          CAUSE_KUBELET,
          "kubelet port: dial tcp 127.0.0.1:10250: connect: connection refused" },
        { { .has_object = true,
            CONNECTED,
            .kubelet = CAUSE_TLS,
            .kubelet_text = "TLS handshake with n: certificate CN=x: self-signed" },
          &remote,
          false,
          CAUSE_TLS,
          "TLS: TLS handshake with n: certificate CN=x: self-signed" },
        /* the node itself, out of date */
        { { .has_object = true,
            CUT,
            .refused = { CAUSE_TLS, AT(130), 3, "its client certificate has expired" } },
          &remote,
          false,
          CAUSE_TLS,
          "TLS: its client certificate has expired" },
        { { .has_object = true, .refused = { CAUSE_CLOCK, AT(130), 3, "valid from 2031 only" } },
          &remote,
          false,
          CAUSE_CLOCK,
          "clock: valid from 2031 only" },
        /* the machine came back without its password */
        { { .has_object = true, CUT, .with_token = { CAUSE_PASSWORD, AT(130), 1, "not the one" } },
          &remote,
          false,
          CAUSE_PASSWORD,
          "password: not the one" },
        { { .with_token = { CAUSE_PASSWORD, AT(130), 1, "not the one" } },
          &remote,
          false,
          CAUSE_PASSWORD,
          "password: not the one" },
        /* a new machine with a wrong token, of another cluster */
        { { .claimed = { CAUSE_TOKEN, AT(130), 9, "refused" } },
          &remote,
          false,
          CAUSE_TOKEN,
          "token: refused (by a client that only claims this name)" },
        { { .claimed = { CAUSE_TLS, AT(130), 9, "not of this cluster" } },
          &remote,
          false,
          CAUSE_TLS,
          "TLS: not of this cluster (by a client that only claims this name)" },
        /* the Node object */
        { { CONNECTED, .deleted_unix_s = AT(50) },
          &remote,
          false,
          CAUSE_NODE,
          "node: the Node object was deleted at 2026-11-22T09:00:50Z; its agent is there and "
          "registers again when it is restarted" },
        { { CONNECTED },
          &remote,
          false,
          CAUSE_NODE,
          "node: its agent is there, but has not registered the Node yet" },
        { { .deleted_unix_s = AT(50) },
          &remote,
          false,
          CAUSE_NODE,
          "node: the Node object was deleted at 2026-11-22T09:00:50Z" },
        { { CUT },
          &remote,
          false,
          CAUSE_SESSION,
          "session: its tunnel ended at 2026-11-22T09:01:40Z: no answer to two pings" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct node_verdict v;
        node_verdict(&v, "n", &rows[i].f, rows[i].s);
        if (!v.known || v.reachable != rows[i].reachable || v.cause != rows[i].cause ||
            strcmp(v.reason, rows[i].reason) != 0)
            fail_msg("row %zu: %s", i, v.reason);
        assert_int_equal(strncmp(v.line, "n: ", 3), 0);
        assert_int_equal(!strstr(v.line, "not reachable: "), rows[i].reachable);
        assert_non_null(strstr(v.line, v.reason));
    }
}

/* The reason never depends on what a stranger says of a node that there is. */
static void claims_do_not_cover_facts(void **state)
{
#define TOKEN                                                                                      \
    {                                                                                              \
        CAUSE_TOKEN, AT(500), 7, "the token is refused"                                            \
    }
#define PASSWORD                                                                                   \
    {                                                                                              \
        CAUSE_PASSWORD, AT(500), 1, "not the one"                                                  \
    }
    static const struct {
        struct node_facts f;
        const char *reason, *more;
    } rows[] = {
        { { .has_object = true, CONNECTED, .claimed = TOKEN, .with_token = PASSWORD },
          "reachable",
          "; a client with a token that claims its name was refused 1 time, last at "
          "2026-11-22T09:08:20Z: password: not the one; a client that only claims its name was "
          "refused 7 times, last at 2026-11-22T09:08:20Z: token: the token is refused" },
        { { .has_object = true, CUT, .claimed = TOKEN },
          "session: its tunnel ended at 2026-11-22T09:01:40Z: no answer to two pings",
          "; a client that only claims its name was refused 7 times" },
        /* one from before the tunnel does not explain why it ended */
        { { .has_object = true, CUT, .with_token = { CAUSE_PASSWORD, AT(20), 1, "old" } },
          "session: its tunnel ended at 2026-11-22T09:01:40Z: no answer to two pings",
          "was refused 1 time" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct node_verdict v;
        node_verdict(&v, "n", &rows[i].f, &remote);
        assert_string_equal(v.reason, rows[i].reason);
        if (!strstr(v.line, rows[i].more))
            fail_msg("row %zu: %s", i, v.line);
    }
}

static void the_line_tells_what_else_is_worth_knowing(void **state)
{
    static const struct {
        struct node_facts f;
        const char *line;
    } rows[] = {
        { { .has_object = true, CONNECTED },
          "n: reachable, by its tunnel from 192.0.2.7:4711 (coracle.v1) since "
          "2026-11-22T09:01:40Z" },
        { { .has_object = true,
            CONNECTED,
            .clock_known = true,
            .clock_ahead_s = -11520,
            .not_ready = "the container runtime is down" },
          "n: reachable, by its tunnel from 192.0.2.7:4711 (coracle.v1) since "
          "2026-11-22T09:01:40Z; "
          "not Ready: the container runtime is down; its clock is 3 h 12 min behind" },
        { { .has_object = true,
            CONNECTED,
            .clock_known = true,
            .clock_ahead_s = NODE_CLOCK_OFF_S,
            .away = CAUSE_DNS,
            .away_from_unix_s = AT(10),
            .away_until_unix_s = AT(70),
            .away_text = "resolve cluster.test: no such name" },
          "n: reachable, by its tunnel from 192.0.2.7:4711 (coracle.v1) since "
          "2026-11-22T09:01:40Z; "
          "it was away until 2026-11-22T09:01:10Z, since 2026-11-22T09:00:10Z for: DNS: resolve "
          "cluster.test: no such name" },
        { { .has_object = true, CUT, .clock_known = true, .clock_ahead_s = 90 },
          "n: not reachable: session: its tunnel ended at 2026-11-22T09:01:40Z: no answer to two "
          "pings; its clock is 90 s ahead" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct node_verdict v;
        node_verdict(&v, "n", &rows[i].f, &remote);
        assert_string_equal(v.line, rows[i].line);
    }
}

static void who_never_spoke_is_not_known(void **state)
{
    static const struct node_facts nothing = { 0 };
    const struct node_facts *rows[] = { NULL, &nothing };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct node_verdict v;
        node_verdict(&v, "n", rows[i], &remote);
        assert_false(v.known);
        assert_false(v.reachable);
        assert_string_equal(v.line, "n: nobody of that name has spoken to this server since it "
                                    "started at 2026-11-22T09:00:00Z, and there is no such Node "
                                    "object");
    }
}

static void the_longest_texts_fit(void **state)
{
    static char text[200], node[254];
    struct node_facts f = { .has_object = true,
                            CONNECTED,
                            .clock_known = true,
                            .clock_ahead_s = INT64_MIN / 2,
                            .not_ready = text,
                            .away = CAUSE_PROTOCOL,
                            .away_text = text,
                            .kubelet = CAUSE_KUBELET,
                            .kubelet_text = text,
                            .refused = { CAUSE_PASSWORD, AT(1), UINT32_MAX, text },
                            .with_token = { CAUSE_PASSWORD, AT(1), UINT32_MAX, text },
                            .claimed = { CAUSE_PASSWORD, AT(1), UINT32_MAX, text } };
    struct node_verdict v;
    (void)state;

    memset(text, 't', sizeof text - 1);
    memset(node, 'n', sizeof node - 1);
    node_verdict(&v, node, &f, &remote);
    assert_int_equal(strlen(v.reason), strlen("kubelet port: ") + 199);
    assert_non_null(strstr(v.line, "only claims its name"));
}

static void durations_are_short(void **state)
{
    static const struct {
        int64_t s;
        const char *want;
    } rows[] = { { 0, "0 s" },         { 119, "119 s" },        { 120, "2 min" },
                 { 7199, "119 min" },  { 11520, "3 h 12 min" }, { 172799, "47 h 59 min" },
                 { 183600, "2 d 3 h" } };
    char out[NODE_DURATION_BYTES];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(node_duration_text(out, rows[i].s), rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cause_is_named),
        cmocka_unit_test(claims_do_not_cover_facts),
        cmocka_unit_test(the_line_tells_what_else_is_worth_knowing),
        cmocka_unit_test(who_never_spoke_is_not_known),
        cmocka_unit_test(the_longest_texts_fit),
        cmocka_unit_test(durations_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
