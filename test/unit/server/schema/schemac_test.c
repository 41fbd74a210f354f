/* The table compiler's reader: what is wrong is named with its file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <unistd.h>

int schemac_main(int argc, char **argv);
#define main schemac_main
#include "tools/schemac.c"
#undef main
#include "tools/schemac_read.c"
#include "tools/schemac_resolve.c"
#include "tools/schemac_describe.c"

#define HEAD "group core/v1\ntype ObjectMeta\n    name 1 string\n"

static const struct {
    const char *source;
    const char *error; /* NULL: compiles */
} rows[] = {
    { HEAD, NULL },
    { HEAD "# only a comment\n\n", NULL },
    { "kind Pod pods\n", "x.kube:1: \"kind\" before the first group\n" },
    { "group core\n", "x.kube:1: want: group NAME/VERSION\n" },
    { HEAD "frob\n", "x.kube:4: unknown word \"frob\"\n" },
    { "group core/v1\n    name 1 string\n",
      "x.kube:2: an indented line outside of kind, object and type\n" },
    { HEAD "    uid\n", "x.kube:4: field uid: want a number and a type\n" },
    { HEAD "    uid x string\n", "x.kube:4: field uid: \"x\" is no protobuf number\n" },
    { HEAD "    uid 70000 string\n", "x.kube:4: field uid: \"70000\" is no protobuf number\n" },
    { HEAD "    name 2 string\n", "x.kube:4: field name is there already, in line 3\n" },
    { HEAD "    uid 5 strin\n", "x.kube:4: unknown type \"strin\"\n" },
    { HEAD "    uid 5 [string\n", "x.kube:4: type \"[string\" does not end with ]\n" },
    { HEAD "    uid 5 string frob\n", "x.kube:4: field uid: unknown attribute \"frob\"\n" },
    { HEAD "    uid 5 string is=x\n", "x.kube:4: field uid: unknown form \"x\"\n" },
    { HEAD "    n 5 int32 default=x\n", "x.kube:4: field n: default x is no number\n" },
    { HEAD "    s 5 string set\n", "x.kube:4: field s: keys and set are for lists\n" },
    { HEAD "    l 5 [ObjectMeta] merge=uid\n",
      "x.kube:4: field l: ObjectMeta has no field \"uid\" to be a key\n" },
    { HEAD "enum E A B\ntype T\n    e 1 E default=C\n",
      "x.kube:6: field e: default \"C\" is no E\n" },
    { HEAD "type ObjectMeta\n", "x.kube:4: ObjectMeta is there already, in x.kube:2\n" },
    { HEAD "type T atomic\n    m 1 ObjectMeta\ntype U\n    t 1 T? granular\n", NULL },
    { HEAD "type T frob\n", "x.kube:4: want: type NAME [atomic]\n" },
    { HEAD "type T\n    + 1 ObjectMeta\n    name 2 string\n",
      "x.kube:6: T has two fields name, one of them embedded\n" },
    { HEAD "priority 100\n", "x.kube:4: want: priority GROUP VERSION, numbers from 1 to 20000\n" },
    { HEAD "priority 20001 1\n",
      "x.kube:4: want: priority GROUP VERSION, numbers from 1 to 20000\n" },
    { HEAD "priority 20000 1\n", NULL },
    { HEAD "object Pod\nkind Pod pods\n    column X string .x wide name \"what\"\n", NULL },
    { HEAD "kind Pod pods\n", "x.kube:4: kind Pod has no object or type of that name\n" },
    { HEAD "kind Pod\n", "x.kube:4: want: kind NAME PLURAL [cluster]\n" },
    { HEAD "object Pod\nkind Pod pods\n    verbs frob\n", "x.kube:6: unknown verb \"frob\"\n" },
    { HEAD "object Pod\nkind Pod pods\n    column X\n",
      "x.kube:6: column X: want a type and a source\n" },
    { HEAD "object Pod\nkind Pod pods\n    column X text .x\n",
      "x.kube:6: column X: unknown type \"text\"\n" },
    { HEAD "object Pod\nkind Pod pods\n    column \"X\n",
      "x.kube:6: a quoted word does not end\n" },
    { HEAD "object Pod\nkind Pod pods\n    frob x\n", "x.kube:6: kind Pod: what is \"frob\"?\n" },
    { HEAD
      "object Pod\nkind Pod pods\n    short po\n    column Name\n    column Age\n    sub status\n",
      NULL },
};

#define LONG_TEXT                                                                                  \
    "The quick brown fox jumps over the lazy dog, and then it does so again and once more after "  \
    "that, until the dog is no longer lazy, the fox no longer quick and the line of text that "    \
    "tells of all this has become so long that nobody wants to read it to its end, which is what " \
    "the limit is about, after all is said."
#define TABLE                                                                                      \
    "group meta/v1\n"                                                                              \
    "object PartialObjectMetadata\n"                                                               \
    "type ObjectMeta\n    name 1 string\n"                                                         \
    "group core/v1\n"                                                                              \
    "enum E A B\n"                                                                                 \
    "type Inner\n    a 1 E\n    b 2 string\n"                                                      \
    "type Outer\n    + 1 Inner\n    c 2 [Inner]\n"                                                 \
    "object Pod\n    spec 2 Outer\n"
#define META                                                                                       \
    "group meta/v1\n"                                                                              \
    "quantity: An amount.\n"                                                                       \
    "PartialObjectMetadata: Any object.\n"                                                         \
    "    apiVersion: Its version.\n    kind: Its kind.\n    metadata: All the rest.\n"             \
    "ObjectMeta: What all have.\n    name: What it is called.\n"
#define CORE                                                                                       \
    META "group core/v1\n"                                                                         \
         "Inner: What lies inside.\n    a: The first.\n    b: The second.\n"                       \
         "Pod: A group of containers.\n    spec: What is wanted.\n"

static const struct {
    const char *texts;
    const char *error; /* of the file x.txt, beside the table x.kube; NULL: compiles */
} description_rows[] = {
    { CORE "Outer: What lies\n        outside.\n    c: A list.\n# the end\n", NULL },
    { CORE "Outer: Text.\n    like Inner\n    c: A list.\n    b: Another.\n", NULL },
    { CORE "Outer: Text.\n    c: A list.\n    like meta/v1.ObjectMeta\n", NULL },
    { CORE, "x.kube:10: type Outer has no description\n" },
    { CORE "Outer: Text.\n", "x.kube:12: field Outer.c has no description\n" },
    { CORE "Outer: Text.\n    c: What lies inside.\n",
      "x.kube:12: the description of Outer.c is that of its type\n" },
    { "Inner: Text.\n", "x.txt:1: \"Inner: Text.\" before the first group\n" },
    { "group core/v1\n    a: Text.\n", "x.txt:2: an indented line outside of a type\n" },
    { "group core/v1\nInner\n", "x.txt:2: want: TYPE: TEXT\n" },
    { CORE "Outer: Text.\n    c: A list.\n    a b: Text.\n", "x.txt:17: want: FIELD: TEXT\n" },
    { CORE "Outer: Text.\n    c: A list.\n    z: Text.\n", "x.txt:17: Outer has no field z\n" },
    { CORE "Outer: Text.\n    c: A list.\nNone: Text.\n",
      "x.txt:17: core/v1 has no type None with fields\n" },
    { CORE "Outer: Text.\n    c: A list.\nE: Text.\n",
      "x.txt:17: core/v1 has no type E with fields\n" },
    { CORE "Outer: Text.\n    c: A list.\n    c: A list.\n",
      "x.txt:17: Outer.c is described already, in line 16\n" },
    { CORE "Outer: Text.\n    c: A list.\nOuter: Text.\n",
      "x.txt:17: Outer is described already, in x.txt:15\n" },
    { CORE "Outer: Text.\n    c: A list.\n    like None\n",
      "x.txt:15: Outer is like None, which is no type\n" },
    { CORE "Outer: Text\n    c: A list.\n", "x.txt:15: Outer: does not end with a period\n" },
    { CORE "Outer: Text.\n    c:\n", "x.txt:16: c: does not end with a period\n" },
    { CORE "Outer: Text.\n    c: C.\n", "x.txt:16: c: says no more than its name\n" },
    { CORE "Outer: Text.\n    c: A\tlist.\n", "x.txt:16: c: a byte that is no printable ASCII\n" },
    { CORE "Outer: Text.\n    c: " LONG_TEXT "\n",
      "x.txt:16: c: 310 characters, the most are 300\n" },
};

static void each_type_and_field_needs_a_fair_description(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof description_rows / sizeof description_rows[0]; i++) {
        char *table = strdup(TABLE), *texts = strdup(description_rows[i].texts), *said = NULL;
        char *printed = NULL;
        size_t said_n, printed_n;
        FILE *errors = open_memstream(&said, &said_n), *out = open_memstream(&printed, &printed_n);
        const struct source s[] = { { "x.kube", table }, { "x.txt", texts } };
        int r = compile(s, 2, out, errors);
        fclose(out);
        fclose(errors);
        assert_string_equal(said, description_rows[i].error ? description_rows[i].error : "");
        assert_int_equal(r, description_rows[i].error != NULL);
        free(table);
        free(texts);
        free(said);
        free(printed);
    }
}

static void errors_name_file_and_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *copy = strdup(rows[i].source), *said = NULL, *printed = NULL;
        size_t said_n, printed_n;
        FILE *errors = open_memstream(&said, &said_n), *out = open_memstream(&printed, &printed_n);
        const struct source s = { "x.kube", copy };
        int r = compile(&s, 1, out, errors);
        fclose(out);
        fclose(errors);
        assert_string_equal(said, rows[i].error ? rows[i].error : "");
        assert_int_equal(r, rows[i].error != NULL);
        assert_int_equal(printed_n == 0, rows[i].error != NULL); /* all or nothing */
        free(copy);
        free(said);
        free(printed);
    }
}

static void a_bad_file_leaves_the_output_alone(void **state)
{
    char dir[] = "/tmp/schemac-XXXXXX", in[64], out[64];
    (void)state;

    assert_non_null(mkdtemp(dir));
    snprintf(in, sizeof in, "%s/x.kube", dir);
    snprintf(out, sizeof out, "%s/x.c", dir);
    FILE *f = fopen(in, "w");
    fputs("frob\n", f);
    fclose(f);
    char *argv[] = { (char *)"schemac", out, in, NULL };
    assert_int_equal(schemac_main(3, argv), 1);
    assert_null(fopen(out, "r"));
    remove(in);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(each_type_and_field_needs_a_fair_description),
        cmocka_unit_test(a_bad_file_leaves_the_output_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
