#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void put(const char *folder, const char *name, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_zone_is_a_file_of_the_database(void **state)
{
    char folder[] = "/tmp/zoneinfo-XXXXXX";
    auto_free char *good = NULL, *bad = NULL, *outside = NULL;
    (void)state;

    assert_non_null(mkdtemp(folder));
    put(folder, "Here", "TZif2...");
    put(folder, "zones.tab", "Here");
    setenv("ZONEINFO", folder, 1);
    good = mem_printf("%s/Here", folder);
    bad = mem_printf("%s/zones.tab", folder);
    outside = mem_printf("../%s/Here", folder + sizeof "/tmp");
    assert_true(zone_exists("UTC"));
    assert_true(zone_exists("Here"));
    assert_false(zone_exists("zones.tab")); /* lies there, but is none */
    assert_false(zone_exists("There"));
    assert_false(zone_exists(""));
    assert_false(zone_exists(good)); /* an absolute path */
    assert_false(zone_exists(outside));
    unsetenv("ZONEINFO");
    assert_false(zone_exists("Here"));
    unlink(good);
    unlink(bad);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_zone_is_a_file_of_the_database) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
