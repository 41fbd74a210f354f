#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "cel_rig.h"

struct row {
    const char *expr, *want;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        auto_free char *got = cel_rig_run(rows[i].expr, NULL);
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s is\n%s\nnot\n%s", rows[i].expr, got, rows[i].want);
    }
}

/* langdef.md, "Values" and the grammar under "Syntax" */
static void literals(void **state)
{
    static const struct row rows[] = {
        { "1", "1" },
        { "-1", "-1" },
        { "0x1F", "31" },
        { "-0x1", "-1" },
        { "7u", "7u" },
        { "0xffu", "255u" },
        { "9223372036854775807", "9223372036854775807" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "18446744073709551615u", "18446744073709551615u" },
        { "1.5e3", "1500" },
        { ".5", "0.5" },
        { "1e-3", "0.001" },
        { "true && !false", "true" },
        { "null", "null" },
        { "'a' + \"b\"", "ab" },
        { "'''a'b''c'''", "a'b''c" },
        { "\"\"\"a\nb\"\"\"", "a\nb" },
        { "r'a\\n'", "a\\n" },
        { "'a\\n\\t\\\\\\'\\x41\\101\\u00e9\\U0001F600'", "a\n\t\\'AA\xc3\xa9\xf0\x9f\x98\x80" },
        { "b'\\xff\\101' == bytes('A')", "false" },
        { "size(b'\\xff\\101')", "2" },
        { "bR'\\x' == b'\\\\x'", "true" },
        { "[1, 2, 3,]", "[1, 2, 3]" },
        { "{'a': 1, 'b': 2,}", "{a: 1, b: 2}" },
        { "[]", "[]" },
        { "1 + 2 // a comment", "3" },
        { "(1 + 2) * 3", "9" },
        { "1 + 2 * 3 - 4 / 2 % 3", "5" },
        { "--1", "1" },
        { "!!true", "true" },
        { "-(-1)", "1" },
        { "true ? 1 : 2", "1" },
        { "false ? 1 : true ? 2 : 3", "2" },
        { "int", "int" },
        { "google.protobuf.Timestamp", "google.protobuf.Timestamp" },
        { ".self.i", "3" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* "Logical Operators", "Runtime Errors": an error is absorbed by what settles the matter */
static void logic(void **state)
{
    static const struct row rows[] = {
        { "1 / 0 == 1 || true", "true" },
        { "true || 1 / 0 == 1", "true" },
        { "1 / 0 == 1 || false", "error: division by zero" },
        { "false || 1 / 0 == 1", "error: division by zero" },
        { "1 / 0 == 1 && false", "false" },
        { "false && 1 / 0 == 1", "false" },
        { "1 / 0 == 1 && true", "error: division by zero" },
        { "true && 1 % 0 == 1", "error: modulus by zero" },
        { "false && false && true || true", "true" },
        { "true ? 1 : 1 / 0", "1" },
        { "[0, 1].exists(x, 1 / x == 1)", "true" },
        { "[0, 2].exists(x, 1 / x == 1)", "error: division by zero" },
        { "[0, 2].all(x, 1 / x == 1)", "false" },
        { "[0, 1].all(x, 1 / x == 1)", "error: division by zero" },
        { "[0, 1].exists_one(x, 1 / x == 1)", "error: division by zero" },
        { "dyn(1) || true", "true" },
        { "dyn(1) || false", "error: no such overload" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* "Overflow", "Equality", "Ordering", "Numeric Values" */
static void numbers(void **state)
{
    static const struct row rows[] = {
        { "9223372036854775807 + 1", "error: return error for overflow" },
        { "-9223372036854775808 - 1", "error: return error for overflow" },
        { "9223372036854775807 * 2", "error: return error for overflow" },
        { "0u - 1u", "error: return error for overflow" },
        { "-(-9223372036854775808)", "error: return error for overflow" },
        { "-9223372036854775808 / -1", "error: return error for overflow" },
        { "-7 / 2", "-3" },
        { "-7 % 2", "-1" },
        { "1.0 / 0.0", "inf" },
        { "double('NaN') == double('NaN')", "false" },
        { "double('NaN') < 1.0", "false" },
        { "1 < 1.5", "true" },
        { "2u >= 2", "true" },
        { "-1 < 0u", "true" },
        { "9007199254740993 > 9007199254740992.0", "true" },
        { "dyn(1) == 1.0", "true" },
        { "dyn(1) == 1u", "true" },
        { "dyn('1') == dyn(1)", "false" },
        { "'a' < 'b' && b'a' < b'b' && false < true", "true" },
        { "[1, 2] == [1, 2] && [1] != [2] && [1] != [1, 2]", "true" },
        { "{'a': 1} == {'a': 1} && {'a': 1} != {'b': 1}", "true" },
        { "null == null", "true" },
        { "type(1) == int && type(1) != uint", "true" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* "List of Standard Definitions": conversions */
static void conversions(void **state)
{
    static const struct row rows[] = {
        { "int('42') + int(2u) + int(1.9)", "45" },
        { "int('x')", "error: type conversion error from 'string' to 'int'" },
        { "int(1e30)", "error: integer overflow" },
        { "int(18446744073709551615u)", "error: integer overflow" },
        { "uint(-1)", "error: unsigned integer overflow" },
        { "uint('7')", "7u" },
        { "double(1) + double('2.5') + double(1u)", "4.5" },
        { "string(1) + string(2u) + string(true) + string(1.5)", "12true1.5" },
        { "string(1000000.0) + ' ' + string(0.00001) + ' ' + string(123456.0)",
          "1e+06 1e-05 123456" },
        { "string(b'\\xff')", "error: invalid UTF-8 in bytes, cannot convert to string" },
        { "bytes('a') == b'a'", "true" },
        { "bool('true') && !bool('F')", "true" },
        { "bool('maybe')", "error: type conversion error from 'string' to 'bool'" },
        { "duration('1h30m') == duration('90m')", "true" },
        { "string(duration('1.5s')) + string(duration('-1m'))", "1.5s-60s" },
        { "string(timestamp('2024-01-02T03:04:05.120+01:00'))", "2024-01-02T02:04:05.12Z" },
        { "timestamp(0) == timestamp('1970-01-01T00:00:00Z')", "true" },
        { "int(timestamp('1970-01-01T00:01:00Z'))", "60" },
        { "type(self.moment)", "google.protobuf.Timestamp" },
        { "size('h\xc3\xa9') + size(b'h\xc3\xa9') + [1].size() + {'a': 1}.size()", "7" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

static void times(void **state)
{
    static const struct row rows[] = {
        { "self.moment.getFullYear()", "2024" },
        { "self.moment.getMonth()", "1" },       /* from 0 */
        { "self.moment.getDate()", "29" },       /* from 1 */
        { "self.moment.getDayOfMonth()", "28" }, /* from 0 */
        { "self.moment.getDayOfWeek()", "4" },   /* Sunday is 0 */
        { "self.moment.getDayOfYear()", "59" },  /* from 0 */
        { "self.moment.getHours()", "12" },
        { "self.moment.getHours('+05:30')", "18" },
        { "self.moment.getHours('-13:00')", "23" },
        { "self.moment.getDate('-13:00')", "28" },
        { "self.moment.getMinutes('UTC') + self.moment.getSeconds()", "75" },
        { "self.moment.getMilliseconds()", "500" },
        { "self.moment.getHours('Mars/Base')", "error: unknown time zone Mars/Base" },
        { "timestamp('1969-12-31T23:59:59Z').getSeconds()", "59" },
        { "timestamp('0001-01-01T00:00:00Z').getDayOfWeek()", "1" },
        { "timestamp('2023-12-31T00:00:00Z').getDayOfYear()", "364" },
        { "timestamp('2024-12-31T00:00:00Z').getDayOfYear()", "365" },
        { "self.dur.getHours() + self.dur.getMinutes()", "91" },
        { "self.dur.getSeconds()", "5400" },
        { "self.moment - duration('1h') < self.moment", "true" },
        { "self.moment - self.date == duration('12h30m45.5s')", "true" },
        { "self.date + duration('24h') == timestamp('2024-03-01T00:00:00Z')", "true" },
        { "timestamp('9999-12-31T23:59:59Z') + duration('1s')", "error: timestamp overflow" },
        { "duration('2562047h') + duration('2562047h')", "error: return error for overflow" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* "Field Selection", "Macros"; Kubernetes, "Validation rules" */
static void fields_and_macros(void **state)
{
    static const struct row rows[] = {
        { "self.o.v + self['o'].v", NULL },
        { "self.i + self.o.v", "10" },
        { "self.m.x + self.m['y']", "3" },
        { "self.m.z", "error: no such key: z" },
        { "self.m['z']", "error: no such key: z" },
        { "self.absent", "error: no such key: absent" },
        { "self.l[0] + self.l[2]", "4" },
        { "self.l[3]", "error: index out of bounds: 3" },
        { "self.l[-1]", "error: index out of bounds: -1" },
        { "has(self.i) && !has(self.absent) && !has(self.nul)", "true" },
        { "has(self.m.x) && !has(self.m.z)", "true" },
        { "self.__namespace__", "ns" },
        { "'x' in self.m && !('z' in self.m) && 2 in self.l && !(9 in self.l)", "true" },
        { "self.l.all(x, x > 0) && self.l.exists(x, x == 2)", "true" },
        { "self.l.exists_one(x, x > 2) && !self.l.exists_one(x, x > 1)", "true" },
        { "self.l.map(x, x * 2)", "[2, 4, 6]" },
        { "self.l.map(x, x > 1, x * 2)", "[4, 6]" },
        { "self.l.filter(x, x > 1)", "[2, 3]" },
        { "self.m.all(k, self.m[k] > 0)", "true" },
        { "self.m.map(k, k)", "[x, y]" },
        { "self.l.map(x, self.l.map(y, x * y))", "[[1, 2, 3], [2, 4, 6], [3, 6, 9]]" },
        { "self.l.map(self, self + 1)", "[2, 3, 4]" }, /* a variable hides what is around */
        { "[].all(x, false) && ![].exists(x, true)", "true" },
        { "self.by.map(e, e.k + string(e.v))", "[a1, b2]" },
        { "self.by[0].k", "a" },
        { "self.bytes == b'abc'", "true" },
        { "type(self.iors) == string && self.iors == '50%'", "true" },
        { "self.iors + 1 == 2", "error: no such overload" },
        { "self.set == [2, 1] && self.set != [1, 3]", "true" },
        { "self.set + [2, 3]", "[1, 2, 3]" },
        { "self.by + oldSelf.by == self.by", "true" },
        { "[1, 2] + [2]", "[1, 2, 2]" },
        { "[[1], [2]].map(l, l[0])", "[1, 2]" },
        { "{'a': 1, 'a': 2}", "error: Failed with repeated key" },
    };

    (void)state;
    check(rows + 1, ARRAY_LEN(rows) - 1);
}

/* cel-go cel.OptionalTypes */
static void optionals(void **state)
{
    static const struct row rows[] = {
        { "self.?absent", "none" },
        { "self.?i", "some(3)" },
        { "self.?absent.orValue('x') + self.?s.orValue('y')", "xh\xc3\xa9llo" },
        { "self.?o.k", "some(a)" },
        { "self.?o.?k.value()", "a" },
        { "self.?absent.value()", "error: optional.none() dereference" },
        { "self.m[?'z']", "none" },
        { "self.m[?'x'].orValue(0) + self.l[?9].orValue(5)", "6" },
        { "optional.of(1).hasValue() && !optional.none().hasValue()", "true" },
        { "optional.ofNonZeroValue('')", "none" },
        { "optional.none().or(optional.of(1)).value()", "1" },
        { "[?self.?absent, ?self.?s]", "[h\xc3\xa9llo]" },
        { "{?'a': self.?absent, 'b': 'x'}", "{b: x}" },
        { "self.?i.optMap(x, x + 1)", "some(4)" },
        { "self.?absent.optMap(x, x + '!')", "none" },
        { "self.?i.optFlatMap(x, self.l[?x])", "none" },
        { "optional.of([1])[0]", "some(1)" },
        { "has(self.?o.k) && optional.of(1) == optional.of(1)", "true" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* cel-go ext/strings.go; Kubernetes, "Kubernetes regex library" */
static void texts(void **state)
{
    static const struct row rows[] = {
        { "self.s.contains('\xc3\xa9') && self.s.startsWith('h') && self.s.endsWith('lo')",
          "true" },
        { "''.contains('') && 'a'.contains('') && !''.contains('a')", "true" },
        { "self.s.matches('^h.l+o$') && matches('ab', 'b')", "true" },
        { "'x'.matches('(' + self.s)",
          "error: error parsing regexp: missing closing ): `(h\xc3\xa9llo`" },
        { "self.s.charAt(1) + self.s.charAt(5)", "\xc3\xa9" },
        { "self.s.charAt(6)", "error: index out of range: 6" },
        { "self.s.indexOf('l')", "2" },
        { "self.s.indexOf('l', 3)", "3" },
        { "self.s.indexOf('z') + self.s.indexOf('')", "-1" },
        { "self.s.lastIndexOf('l')", "3" },
        { "self.s.lastIndexOf('l', 2) + 'abc'.lastIndexOf('')", "5" },
        { "'abcab'.lastIndexOf('ab', 2)", "0" },
        { "self.s.indexOf('l', 9)", "error: index out of range: 9" },
        { "'aBc\xc3\x89'.lowerAscii() + 'aBc'.upperAscii()", "abc\xc3\x89"
                                                             "ABC" },
        { "self.s.substring(1) + self.s.substring(0, 1)", "\xc3\xa9lloh" },
        { "self.s.substring(3, 2)", "error: invalid substring range. start: 3, end: 2" },
        { "self.s.substring(0, 9)", "error: index out of range: 9" },
        { "' \t a b\\u00a0\\n'.trim()", "a b" },
        { "'aaa'.replace('a', 'b') + 'aaa'.replace('a', 'c', 2)", "bbbcca" },
        { "'ab'.replace('', '-')", "-a-b-" },
        { "'abc'.replace('', '-', 2)", "-a-bc" },
        { "'a,b,c'.split(',') + 'a,b,c'.split(',', 2)", "[a, b, c, a, b,c]" },
        { "'h\xc3\xa9'.split('')", "[h, \xc3\xa9]" },
        { "'a'.split(',', 0)", "[]" },
        { "''.split(',')", "[]" },
        { "self.ls.join('-') + self.ls.join()", "a-bab" },
        { "strings.quote('a\"b\\n')", "\"a\\\"b\\n\"" },
        { "'abc 123 45'.find('[0-9]+') + 'abc'.find('[0-9]')", "123" },
        { "'abc 123 45'.findAll('[0-9]+')", "[123, 45]" },
        { "'abc 123 45'.findAll('[0-9]+', 1)", "[123]" },
        { "'abc'.findAll('x*')", "[, , , ]" },
        { "'axb'.findAll('x*')", "[, x, ]" },
        { "'%s %d %f %.2f %e'.format([dyn('a'), 1, 1.5, 2.0, 100.0])",
          "a 1 1.500000 2.00 1.000000e+02" },
        { "'%b %o %x %X %%'.format([dyn(5), 8, 255, 'az'])", "101 10 ff 617A %" },
        { "'%s'.format([[dyn(1), 'a', {'b': true}]])", "[1, a, {b: true}]" },
        { "'%s'.format([null])", "null" },
        { "'%d'.format(['a'])", "error: error during formatting: decimal clause can only be "
                                "used on integers, was given string" },
        { "'%s %s'.format(['a'])", "error: index 1 out of range" },
        { "'%z'.format([1])", "error: could not parse formatting clause: unrecognized "
                              "formatting clause \"z\"" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* Kubernetes, "Kubernetes list library"; cel-go ext/sets.go */
static void lists(void **state)
{
    static const struct row rows[] = {
        { "self.l.isSorted() && !['b', 'a'].isSorted()", "true" },
        { "self.l.sum() + self.l.min() + self.l.max()", "10" },
        { "[1.5, 2.0].sum()", "3.5" },
        { "self.empty.sum() == duration('0s')", "true" },
        { "[duration('1s'), duration('2s')].sum() == duration('3s')", "true" },
        { "self.l.filter(x, x > 9).max()", "error: max called on empty list" },
        { "['a', 'b'].max()", "b" },
        { "[1, 2, 1].indexOf(1) + [1, 2, 1].lastIndexOf(1)", "2" },
        { "['a'].indexOf('z')", "-1" },
        { "sets.contains([1, 2], [2]) && !sets.contains([1], [2])", "true" },
        { "sets.equivalent([1, 2], [2, 1, 1]) && sets.intersects([1, 2], [2, 3])", "true" },
        { "sets.intersects([], [1])", "false" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* Kubernetes, "Kubernetes URL library", "IP address library", "CIDR library" */
static void addresses(void **state)
{
    static const struct row rows[] = {
        { "isURL('https://example.com:80/') && isURL('/absolute') && !isURL('../rel')", "true" },
        { "!isURL('https://a:b:c/') && !isURL('http://[::1') && isURL('http://[::1]:8080')",
          "true" },
        { "url('https://u:p@example.com:80/p%20q?k=v').getScheme()", "https" },
        { "url('https://u:p@example.com:80/p%20q?k=v').getHost()", "example.com:80" },
        { "url('https://example.com:80/').getHostname()", "example.com" },
        { "url('https://[::1]:80/').getHostname() + url('https://[::1]:80/').getPort()", "::180" },
        { "url('/path').getHost() + url('/path').getPort()", "" },
        { "url('https://example.com/p%20q/').getEscapedPath()", "/p%20q/" },
        { "url('https://e.com/?k=a&k=b&z=1+2').getQuery()", "{k: [a, b], z: [1 2]}" },
        { "isIP('127.0.0.1') && isIP('::1') && !isIP('1.2.3') && !isIP('::ffff:1.2.3.4')", "true" },
        { "!isIP('fe80::1%eth0') && !isIP('127.000.0.1')", "true" },
        { "ip('127.0.0.1').family() + ip('::1').family()", "10" },
        { "ip('127.0.0.1').isLoopback() && ip('::').isUnspecified()", "true" },
        { "ip('224.0.0.1').isLinkLocalMulticast() && ip('169.254.0.1').isLinkLocalUnicast()",
          "true" },
        { "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
          "true" },
        { "ip.isCanonical('::1') && !ip.isCanonical('0:0::1')", "true" },
        { "string(ip('::1')) + string(cidr('10.0.0.1/8'))", "::110.0.0.1/8" },
        { "ip('x')", "error: IP Address \"x\" parse error during conversion from string: unable "
                     "to parse IP" },
        { "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && !isCIDR('10.0.0.0')", "true" },
        { "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP('11.0.0.1')",
          "true" },
        { "cidr('10.0.0.0/8').containsIP(ip('10.1.2.3'))", "true" },
        { "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && "
          "!cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
          "true" },
        { "cidr('10.0.0.1/8').ip() == ip('10.0.0.1') && cidr('10.0.0.1/8').prefixLength() == 8",
          "true" },
        { "cidr('10.0.0.1/8').masked() == cidr('10.0.0.0/8')", "true" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* Kubernetes, "Kubernetes quantity library", "Kubernetes format library" */
static void quantities_and_formats(void **state)
{
    static const struct row rows[] = {
        { "isQuantity('1.3Gi') && isQuantity('-5m') && !isQuantity('10 Mo')", "true" },
        { "quantity('200M').compareTo(quantity('0.2G'))", "0" },
        { "quantity('50k').add(20) == quantity('50020')", "true" },
        { "quantity('50k').sub(quantity('20k')).asInteger()", "30000" },
        { "quantity('500m').isInteger() || !quantity('2k').isInteger()", "false" },
        { "quantity('500m').asInteger()", "error: cannot convert value to integer" },
        { "quantity('500m').asApproximateFloat()", "0.5" },
        { "quantity('1').isLessThan(quantity('2')) && quantity('2').isGreaterThan(quantity('1'))",
          "true" },
        { "quantity('-1').sign() + quantity('0').sign()", "-1" },
        { "!format.dns1123Label().validate('my-label').hasValue()", "true" },
        { "format.dns1123Label().validate('My').hasValue()", "true" },
        { "format.named('dns1123Subdomain').value().validate('a.b').hasValue()", "false" },
        { "format.named('nothing')", "none" },
        { "format.dns1123LabelPrefix().validate('a-').hasValue()", "false" },
        { "format.uuid().validate('x')", "some([does not match the UUID format])" },
        { "format.uri().validate('http://a/b').hasValue()", "false" },
        { "format.byte().validate('YWJj').hasValue()", "false" },
        { "format.date().validate('2024-02-30').hasValue()", "true" },
        { "format.datetime().validate('2024-02-28T00:00:00Z').hasValue()", "false" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* cel-go interpreter/runtimecost.go */
static void costs_are_those_of_upstream(void **state)
{
    static const struct {
        const char *expr;
        uint64_t cost;
    } rows[] = {
        { "true", 0 },
        { "self.i", 2 },
        { "self.i > 1", 3 },
        { "has(self.o.k)", 2 },
        { "self.i == 1 || self.i == 3", 6 },
        { "true || self.i == 3", 0 },
        { "self.s.contains('l')", 3 },
        { "self.s.matches('l')", 3 },
        { "self.l[1]", 3 },
        { "9 in self.l", 5 },
        /* 2 for the list, 3 times: 2 of the condition, 1 of accu, 2 of the predicate; the result */
        { "self.l.all(x, x > 0)", 18 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t cost = 0;
        auto_free char *got = cel_rig_run(rows[i].expr, &cost);
        if (cost != rows[i].cost)
            fail_msg("%s (%s) costs %llu, not %llu", rows[i].expr, got, (unsigned long long)cost,
                     (unsigned long long)rows[i].cost);
    }
}

static void what_costs_too_much_ends(void **state)
{
    static const char *const rows[] = {
        "self.l.all(a, self.l.all(b, self.l.all(c, true)))",
        "self.l.map(a, self.ls.join('xxxxxxxxxxxxxxxxxxxx')).size() > 0 && self.l.all(x, true)",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *got = cel_rig_run_limited(rows[i], 60);
        assert_string_equal(got, "error: " CEL_COST_EXCEEDED);
    }
    /* memory is a cost too: 2^30 letters */
    auto_buf b = BUF(4096);
    assert_int_equal(buf_adds(&b, "['x']"), 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(buf_adds(&b, ".map(x, x + x)"), 0);
    auto_free char *got = cel_rig_run(buf_cstr(&b), NULL);
    assert_string_equal(got, "error: " CEL_COST_EXCEEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals),
        cmocka_unit_test(logic),
        cmocka_unit_test(numbers),
        cmocka_unit_test(conversions),
        cmocka_unit_test(times),
        cmocka_unit_test(fields_and_macros),
        cmocka_unit_test(optionals),
        cmocka_unit_test(texts),
        cmocka_unit_test(lists),
        cmocka_unit_test(addresses),
        cmocka_unit_test(quantities_and_formats),
        cmocka_unit_test(costs_are_those_of_upstream),
        cmocka_unit_test(what_costs_too_much_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
