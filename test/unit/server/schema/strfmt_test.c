#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/schema/strfmt.h"

static void formats_take_what_upstream_takes(void **state)
{
    static const struct {
        const char *format, *good[4], *bad[6];
    } rows[] = {
        { "date-time",
          { "2026-11-30T10:00:00Z", "2026-11-30t10:00:00.123z", "2026-11-30T10:00:00+02:00" },
          { "2026-11-30", "10:00:00Z", "2026-13-30T10:00:00Z", "", "x" } },
        { "datetime", { "2026-11-30T10:00:00Z" }, { "now" } },
        { "date", { "2026-11-30" }, { "2026-02-30", "2026-1-1", "30.11.2026" } },
        { "duration", { "1h30m", "2 weeks", "0", "-1.5s" }, { "", "1", "h", "1 fortnight", "-" } },
        { "ipv4", { "10.0.0.1" }, { "10.0.0", "10.0.0.256", "::1", "" } },
        { "ipv6", { "::1", "2001:db8::ffff" }, { "10.0.0.1", "g::", "" } },
        { "cidr",
          { "10.0.0.0/8", "2001:db8::/32" },
          { "10.0.0.0", "10.0.0.0/33", "::/129", "/8" } },
        { "mac",
          { "00:00:5e:00:53:01", "00-00-5e-00-53-01", "0000.5e00.5301" },
          { "00:00:5e:00:53", "00:00:5e-00:53:01", "x", "" } },
        { "uri",
          { "https://example.com/a?b#c", "/path", "urn:x:y" },
          { "", "example", "http://a b/", "%zz" } },
        { "email", { "a@b.c", "A <a@b.c>", "\"a b\"@c" }, { "a", "@b", "a@", "a..b@c" } },
        { "hostname", { "example.com", "a", "1.example" }, { "", "-a.b", "a..b", "a_b.c", "a.b" } },
        { "uuid",
          { "123e4567-e89b-12d3-a456-426614174000", "123E4567E89B12D3A456426614174000" },
          { "123e4567-e89b-12d3-a456-42661417400", "x", "" } },
        { "uuid3",
          { "123e4567-e89b-32d3-a456-426614174000" },
          { "123e4567-e89b-42d3-a456-426614174000" } },
        { "uuid4",
          { "123e4567-e89b-42d3-a456-426614174000" },
          { "123e4567-e89b-42d3-c456-426614174000", "123e4567-e89b-12d3-a456-426614174000" } },
        { "uuid5", { "123e4567-e89b-52d3-8456-426614174000" }, { "" } },
        { "isbn", { "0-306-40615-2", "978-0-306-40615-7" }, { "0-306-40615-3", "1" } },
        { "isbn10", { "080442957X" }, { "978-0-306-40615-7" } },
        { "isbn13", { "9780306406157" }, { "9780306406158", "0-306-40615-2" } },
        { "creditcard", { "4111 1111 1111 1111" }, { "4111111111111112", "1", "x" } },
        { "ssn", { "123-45-6789" }, { "123456789", "12-345-6789" } },
        { "hexcolor", { "#fff", "a1B2c3" }, { "#ffff", "red" } },
        { "rgbcolor", { "rgb(0, 128,255)" }, { "rgb(0,0,256)", "rgb(0,0)", "0,0,0" } },
        { "byte", { "YQ==", "YWJj" }, { "", "a", "Y Q=" } },
        { "password", { "", "anything" }, { NULL } },
        { "bsonobjectid", { "507f1f77bcf86cd799439011" }, { "507f1f77bcf86cd79943901", "x" } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(strfmt_is_known(rows[i].format));
        for (size_t k = 0; k < ARRAY_LEN(rows[i].good) && rows[i].good[k]; k++)
            if (!strfmt_check(rows[i].format, str_of(rows[i].good[k])))
                fail_msg("%s: %s is refused", rows[i].format, rows[i].good[k]);
        for (size_t k = 0; k < ARRAY_LEN(rows[i].bad) && rows[i].bad[k]; k++)
            if (strfmt_check(rows[i].format, str_of(rows[i].bad[k])))
                fail_msg("%s: \"%s\" is taken", rows[i].format, rows[i].bad[k]);
    }
}

static void unknown_formats_are_not_checked(void **state)
{
    (void)state;
    assert_false(strfmt_is_known("int32"));
    assert_false(strfmt_is_known("a-name-that-is-longer-than-any-format"));
    assert_true(strfmt_check("int32", STR("x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_take_what_upstream_takes),
        cmocka_unit_test(unknown_formats_are_not_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
