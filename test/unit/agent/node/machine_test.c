#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/node/machine.h"
#include "base/core/macros.h"

#include <string.h>

static void meminfo_is_read_by_key(void **state)
{
    static const char text[] = "MemTotal:        2030420 kB\n"
                               "MemFree:           53712 kB\n"
                               "MemAvailable:    1201044 kB\n"
                               "HugePages_Total:       3\n"
                               "Broken: kB\n"
                               "Last:  7 kB";
    static const struct {
        const char *key;
        uint64_t want;
    } rows[] = {
        { "MemTotal", 2030420ull * 1024 },
        { "MemAvailable", 1201044ull * 1024 },
        { "HugePages_Total", 3 * 1024 }, /* no unit: the caller knows which keys to ask for */
        { "Broken", 0 },
        { "Last", 7 * 1024 },
        { "Mem", 0 },
        { "SwapTotal", 0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(machine_meminfo_bytes(text, rows[i].key), rows[i].want);
    assert_int_equal(machine_meminfo_bytes("", "MemTotal"), 0);
}

static void os_release_names_the_system(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", "Debian GNU/Linux 12" },
        { "PRETTY_NAME='Single'", "Single" },
        { "PRETTY_NAME=Alpine\n", "Alpine" },
        { "PRETTY_NAME=\"\"\n", "" },
        { "PRETTY_NAME=\"", "\"" },
        { "NAME=x\n", "Linux" },
        { "", "Linux" },
    };
    char out[MACHINE_TEXT_BYTES];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        machine_os_image(out, rows[i].text);
        assert_string_equal(out, rows[i].want);
    }
}

static void a_long_name_is_cut(void **state)
{
    char text[400] = "PRETTY_NAME=";
    char out[MACHINE_TEXT_BYTES];
    (void)state;

    memset(text + 12, 'x', 300);
    machine_os_image(out, text);
    assert_int_equal(strlen(out), MACHINE_TEXT_BYTES - 1);
}

static void this_machine_can_be_read(void **state)
{
    struct machine m;
    (void)state;

    machine_read(&m, "/");
    assert_true(m.n_cpus > 0);
    assert_true(m.memory_bytes > 0);
    assert_true(m.disk_bytes > 0);
    assert_true(m.architecture[0] != '\0');
    assert_true(m.kernel_version[0] != '\0');
    assert_true(m.memory_available_bytes <= m.memory_bytes);
    machine_read(&m, "/no/such/folder"); /* its fields stay empty */
    assert_int_equal(m.disk_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meminfo_is_read_by_key),
        cmocka_unit_test(os_release_names_the_system),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(this_machine_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
