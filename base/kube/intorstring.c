#include "base/kube/intorstring.h"

#include "base/core/str.h"

bool intorstring_valid(const json_t *v)
{
    if (json_is_string(v))
        return true;
    return json_is_integer(v) && json_integer_value(v) >= INT32_MIN &&
           json_integer_value(v) <= INT32_MAX;
}

int intorstring_scale(int64_t *out, const json_t *v, int64_t total, bool round_up, struct err *e)
{
    int64_t percent;

    if (json_is_integer(v)) {
        *out = json_integer_value(v);
        return 0;
    }
    if (!json_is_string(v))
        return err_set(e, ERR_INVALID, "neither an integer nor a percentage");
    struct str s = str_n(json_string_value(v), json_string_length(v));
    if (!s.n || s.p[s.n - 1] != '%' || !str_to_i64(str_n(s.p, s.n - 1), &percent) ||
        percent < INT32_MIN || percent > INT32_MAX || total < 0 || total > INT32_MAX)
        return err_set(e, ERR_INVALID,
                       "invalid value for IntOrString: invalid type: string is not "
                       "a percentage");
    *out = (percent * total + (round_up && percent > 0 ? 99 : 0)) / 100;
    return 0;
}
