/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/resource/kinds.h"
#include "server/resource/service_ip.h"

#include <stdio.h>
#include <string.h>

/* A cluster's services: "4" IPv4 only, "46" IPv4 first, ... */
static struct service_ips *cluster(const char *families)
{
    struct service_ips_config c = { .ports = NULL };
    struct service_ips *s;
    struct err e = { 0 };

    for (size_t i = 0; families[i]; i++)
        c.cidrs[i] = families[i] == '4' ? "10.43.0.0/16" : "fd00:43::/112";
    if (service_ips_new(&s, &c, &e))
        fail_msg("%s", e.text);
    return s;
}

/* spec in JSON with ' for " */
static json_t *service(const char *spec)
{
    const char *type = strstr(spec, "'type'") ? "" : "'type':'ClusterIP',";
    auto_free char *text = mem_printf("{'spec':{%s%s}}", type, spec);
    json_t *out = NULL;
    struct err e = { 0 };

    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    if (json_parse(&out, str_of(text), &e))
        fail_msg("%s: %s", text, e.text);
    return out;
}

static const char *family_digit(const char *text)
{
    return strchr(text, ':') ? "6" : strchr(text, '.') ? "4" : text;
}

/* "SingleStack IPv4 | 4": policy, families, then of which family each address is, or itself when it
 * was named. */
static void describe(struct buf *out, const json_t *doc, const char *named)
{
    const json_t *spec = json_object_get(doc, "spec"), *v;
    size_t i;
    int r = buf_addf(out, "%s", json_str_at(spec, "ipFamilyPolicy", "-"));

    json_array_foreach(json_object_get(spec, "ipFamilies"), i, v) r |=
        buf_addf(out, " %s", json_string_value(v));
    r |= buf_addf(out, " |");
    json_array_foreach(json_object_get(spec, "clusterIPs"), i, v)
    {
        const char *ip = json_string_value(v);
        r |= buf_addf(out, " %s", strstr(named, ip) ? ip : family_digit(ip));
    }
    if (strcmp(json_str_at(spec, "clusterIP", ""), json_str_at(spec, "clusterIPs[0]", "")) != 0)
        r |= buf_addf(out, " clusterIP differs");
    assert_int_equal(r, 0);
}

struct row {
    const char *cluster, *before, *spec, *want;
};

/* NULL before: a create. */
static void check(const struct row *row, size_t number)
{
    struct service_ips *ips = cluster(row->cluster);
    struct resource_env env = { .service_ips = ips };
    json_auto_t *old = row->before ? service(row->before) : NULL, *obj = service(row->spec);
    json_auto_t *taken = NULL;
    auto_free char *named = mem_printf("%s%s", row->spec, row->before ? row->before : "");
    auto_field_errors fe = { 0 };
    struct err e = { 0 };
    auto_buf got = BUF(4096);
    int r;

    if (old) {
        service_ips_hold(ips, old);
        r = resource_services.prepare_update(&env, obj, old, &e);
    } else {
        r = resource_services.prepare_create(&env, obj, &e);
    }
    assert_int_equal(r, 0);
    if (resource_services.allocate(&env, obj, old, &taken, &fe, &e))
        fail_msg("row %zu: %s", number, e.text);
    if (fe.n)
        assert_int_equal(buf_addf(&got, "%s: %s", fe.v[0].field, fe.v[0].detail), 0);
    else
        describe(&got, obj, named);
    if (strcmp(buf_cstr(&got), row->want) != 0)
        fail_msg("row %zu: got  %s\n       want %s", number, buf_cstr(&got), row->want);
    service_ips_free(ips);
}

#define PORTS      "'ports':[{'port':80}]"
#define SINGLE     PORTS ",'ipFamilyPolicy':'SingleStack'"
#define PREFER     PORTS ",'ipFamilyPolicy':'PreferDualStack'"
#define REQUIRE    PORTS ",'ipFamilyPolicy':'RequireDualStack'"
#define HEADLESS   PORTS ",'clusterIP':'None'"
#define SELECTOR   "'selector':{'a':'b'}"
#define BOTH(a, b) ",'clusterIP':'" a "','clusterIPs':['" a "','" b "']"
#define ONE(a)     ",'clusterIP':'" a "','clusterIPs':['" a "']"
#define FAM4       ",'ipFamilies':['IPv4']"
#define FAM6       ",'ipFamilies':['IPv6']"
#define FAM46      ",'ipFamilies':['IPv4','IPv6']"
#define FAM64      ",'ipFamilies':['IPv6','IPv4']"
#define IP4        "10.43.0.9"
#define IP6        "fd00:43::9"

/* pkg/registry/core/service/storage initIPFamilyFields and allocClusterIPs, release 1.32 */
static void a_new_service_gets_what_its_policy_says(void **state)
{
    static const struct row rows[] = {
        /* no policy: one family, the cluster's first */
        { "4", NULL, PORTS, "SingleStack IPv4 | 4" },
        { "6", NULL, PORTS, "SingleStack IPv6 | 6" },
        { "46", NULL, PORTS, "SingleStack IPv4 | 4" },
        { "64", NULL, PORTS, "SingleStack IPv6 | 6" },
        { "46", NULL, PORTS FAM6, "SingleStack IPv6 | 6" },
        { "46", NULL, PORTS ONE(IP6), "SingleStack IPv6 | " IP6 },
        { "46", NULL, PORTS ",'clusterIP':'" IP6 "'", "SingleStack IPv6 | " IP6 }, /* old clients */
        /* what is asked for is added, in the order that was asked for */
        { "46", NULL, PREFER, "PreferDualStack IPv4 IPv6 | 4 6" },
        { "64", NULL, PREFER, "PreferDualStack IPv6 IPv4 | 6 4" },
        { "46", NULL, PREFER FAM6, "PreferDualStack IPv6 IPv4 | 6 4" },
        { "46", NULL, PREFER FAM64, "PreferDualStack IPv6 IPv4 | 6 4" },
        { "46", NULL, PREFER ONE(IP6), "PreferDualStack IPv6 IPv4 | " IP6 " 4" },
        { "46", NULL, PREFER BOTH(IP6, IP4), "PreferDualStack IPv6 IPv4 | " IP6 " " IP4 },
        { "4", NULL, PREFER, "PreferDualStack IPv4 | 4" },
        { "6", NULL, PREFER, "PreferDualStack IPv6 | 6" },
        { "46", NULL, REQUIRE, "RequireDualStack IPv4 IPv6 | 4 6" },
        { "46", NULL, REQUIRE BOTH(IP4, IP6), "RequireDualStack IPv4 IPv6 | " IP4 " " IP6 },
        { "46", NULL, REQUIRE FAM64 ONE(IP6), "RequireDualStack IPv6 IPv4 | " IP6 " 4" },
        /* headless: families without addresses */
        { "46", NULL, HEADLESS "," SELECTOR, "SingleStack IPv4 | None" },
        { "46", NULL, HEADLESS "," SELECTOR ",'ipFamilyPolicy':'PreferDualStack'",
          "PreferDualStack IPv4 IPv6 | None" },
        { "4", NULL, HEADLESS, "RequireDualStack IPv4 IPv6 | None" }, /* whoever writes endpoints */
        { "64", NULL, HEADLESS, "RequireDualStack IPv6 IPv4 | None" },
        { "4", NULL, HEADLESS FAM6, "RequireDualStack IPv6 IPv4 | None" },
        { "4", NULL, HEADLESS FAM6 ",'ipFamilyPolicy':'SingleStack'", "SingleStack IPv6 | None" },
        { "4", NULL, HEADLESS "," SELECTOR ",'ipFamilyPolicy':'RequireDualStack'",
          "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not "
          "configured for dual-stack services" },
        { "46", NULL, "'type':'ExternalName','externalName':'a.b'", "- |" },
        /* what does not go together */
        { "46", NULL, SINGLE FAM46,
          "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or "
          "'PreferDualStack' when multiple IP families are specified" },
        { "46", NULL, PORTS BOTH(IP4, IP6),
          "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or "
          "'PreferDualStack' when multiple cluster IPs are specified" },
        { "4", NULL, REQUIRE,
          "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not "
          "configured for dual-stack services" },
        { "6", NULL, PORTS FAM4,
          "spec.ipFamilies[0]: Invalid value: \"IPv4\": not configured on this cluster" },
        { "4", NULL, PREFER FAM46,
          "spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster" },
        { "6", NULL, PORTS ONE(IP4),
          "spec.clusterIPs[0]: Invalid value: []string{\"" IP4
          "\"}: IPv4 is not configured on this "
          "cluster" },
        { "46", NULL, PREFER FAM46 BOTH(IP6, IP4),
          "spec.clusterIPs[0]: Invalid value: \"" IP6 "\": expected an IPv4 value as indicated by "
          "`ipFamilies[0]`" },
        { "46", NULL, PREFER ONE("fd00:44::1"),
          "spec.clusterIPs: Invalid value: []string{\"fd00:44::1\", \"\"}: failed to allocate IP "
          "fd00:44::1: the provided IP (fd00:44::1) is not in the valid range. The range of valid "
          "IPs is fd00:43::/112" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i], i);
}

#define WAS_ONE          SINGLE ONE(IP4) FAM4
#define WAS_BOTH(policy) policy BOTH(IP4, IP6) FAM46

/* updateClusterIPs: upgrades, downgrades, other types */
static void an_update_adds_and_gives_up_the_second(void **state)
{
    static const struct row rows[] = {
        { "46", WAS_ONE, PORTS, "SingleStack IPv4 | " IP4 }, /* the same manifest again */
        { "46", WAS_ONE, PREFER, "PreferDualStack IPv4 IPv6 | " IP4 " 6" },
        { "46", WAS_ONE, REQUIRE ONE(IP4) FAM4, "RequireDualStack IPv4 IPv6 | " IP4 " 6" },
        { "46", WAS_ONE, REQUIRE BOTH(IP4, IP6), "RequireDualStack IPv4 IPv6 | " IP4 " " IP6 },
        { "4", WAS_ONE, PREFER ONE(IP4) FAM4, "PreferDualStack IPv4 | " IP4 },
        { "4", WAS_ONE, REQUIRE ONE(IP4) FAM4,
          "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not "
          "configured for dual-stack services" },
        /* the policy alone says it: clusterIPs and ipFamilies stay as the client read them */
        { "46", WAS_BOTH(REQUIRE), SINGLE BOTH(IP4, IP6) FAM46, "SingleStack IPv4 | " IP4 },
        { "46", WAS_BOTH(REQUIRE), SINGLE ONE(IP4) FAM4, "SingleStack IPv4 | " IP4 },
        { "46", WAS_BOTH(REQUIRE), REQUIRE ONE(IP4) FAM46,
          "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to "
          "release the secondary cluster IP" },
        { "46", WAS_BOTH(PREFER), PREFER BOTH(IP4, IP6) FAM4,
          "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to "
          "release the secondary IP family" },
        { "46", WAS_BOTH(REQUIRE), PORTS BOTH(IP4, IP6) FAM46,
          "RequireDualStack IPv4 IPv6 | " IP4 " " IP6 }, /* no policy: the old one */
        /* isMatchingPreferDualStackClusterIPFields: the cluster changed, the Service does not */
        { "46", PREFER ONE(IP4) FAM4, PREFER ONE(IP4) FAM4, "PreferDualStack IPv4 | " IP4 },
        { "4", WAS_BOTH(PREFER), PREFER BOTH(IP4, IP6) FAM46,
          "PreferDualStack IPv4 IPv6 | " IP4 " " IP6 },
        { "46", PREFER ONE(IP4) FAM4, REQUIRE ONE(IP4) FAM4,
          "RequireDualStack IPv4 IPv6 | " IP4 " 6" },
        /* other types */
        { "46", "'type':'ExternalName','externalName':'a.b'", PREFER,
          "PreferDualStack IPv4 IPv6 | 4 6" },
        { "46", WAS_BOTH(PREFER), "'type':'ExternalName','externalName':'a.b'," WAS_BOTH(PREFER),
          "- |" },
        { "46", HEADLESS "," SELECTOR ",'clusterIPs':['None'],'ipFamilyPolicy':'SingleStack'" FAM4,
          HEADLESS "," SELECTOR ",'clusterIPs':['None'],'ipFamilyPolicy':'PreferDualStack'" FAM4,
          "PreferDualStack IPv4 IPv6 | None" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i], i);
}

/* Of two the second is taken already: the first is free again. */
static void both_or_none_is_taken(void **state)
{
    struct service_ips *ips = cluster("46");
    struct resource_env env = { .service_ips = ips };
    json_auto_t *obj = service(PREFER BOTH(IP4, IP6)), *taken = NULL;
    auto_field_errors fe = { 0 };
    struct err e = { 0 };

    (void)state;
    assert_int_equal(service_ips_take(ips, IP6, &e), 0);
    assert_int_equal(resource_services.prepare_create(&env, obj, &e), 0);
    assert_int_equal(resource_services.allocate(&env, obj, NULL, &taken, &fe, &e), 0);
    assert_int_equal(fe.n, 1);
    assert_null(taken);
    assert_string_equal(fe.v[0].detail,
                        "Invalid value: []string{\"" IP4 "\", \"" IP6
                        "\"}: failed to allocate IP " IP6 ": provided IP is already allocated");
    assert_int_equal(service_ips_take(ips, IP4, &e), 0);
    service_ips_free(ips);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_service_gets_what_its_policy_says),
        cmocka_unit_test(an_update_adds_and_gives_up_the_second),
        cmocka_unit_test(both_or_none_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
