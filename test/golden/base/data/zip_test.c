/* Archives made by Info-ZIP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/data/zip.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void they_are_read(void **state)
{
    static const char *const zips[] = { "test/golden/base/data/deflated.zip",
                                        "test/golden/base/data/stored.zip" };
    char dir[64] = "/tmp/zip_golden.XXXXXX", path[96], text[64];
    (void)state;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/hello.txt", dir);
    for (size_t i = 0; i < ARRAY_LEN(zips); i++) {
        struct err e;
        if (zip_unpack(zips[i], path, 100, &e))
            fail_msg("%s", e.text);
        FILE *f = fopen(path, "re");
        assert_non_null(fgets(text, sizeof text, f));
        assert_string_equal(text, "hello from Info-ZIP, hello from Info-ZIP\n");
        fclose(f);
        unlink(path);
    }
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(they_are_read) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
