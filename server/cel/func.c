#include "server/cel/func.h"

static const struct cel_fn *const libs[] = { cel_lib_ops,    cel_lib_convert, cel_lib_time,
                                             cel_lib_string, cel_lib_list,    cel_lib_net,
                                             cel_lib_kube,   cel_lib_optional };

const struct cel_fn *cel_fn_find(struct str name, size_t *n)
{
    for (size_t i = 0; i < ARRAY_LEN(libs); i++)
        for (const struct cel_fn *f = libs[i]; f->name; f++) {
            if (!str_is(name, f->name))
                continue;
            for (*n = 1; f[*n].name && strcmp(f[*n].name, f->name) == 0;)
                ++*n;
            return f;
        }
    return NULL;
}

static enum cel_kind kind_of(char letter)
{
    static const char letters[] = "Dnbiudsytr";
    static const struct {
        char letter;
        enum cel_kind kind;
    } others[] = { { 'L', CEL_LIST }, { 'M', CEL_MAP },      { 'O', CEL_OPTIONAL },
                   { 'T', CEL_TYPE }, { 'q', CEL_QUANTITY }, { 'p', CEL_IP },
                   { 'c', CEL_CIDR }, { 'U', CEL_URL },      { 'f', CEL_FORMAT } };
    const char *at = strchr(letters, letter);

    if (at) /* in the order of enum cel_kind */
        return (enum cel_kind)(CEL_DYN + (at - letters));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i].letter == letter)
            return others[i].kind;
    return CEL_PARAM;
}

const struct cel_type *cel_sig_type(struct arena *a, const char **sig,
                                    const struct cel_type *const params[3])
{
    char letter = *(*sig)++;
    const struct cel_type *key = NULL, *elem;

    switch (letter) {
    case 'A':
    case 'B':
    case 'C':
        return params[letter - 'A'];
    case 'L':
    case 'O':
    case 'T':
    case 'M':
        if (letter == 'M')
            key = cel_sig_type(a, sig, params);
        elem = cel_sig_type(a, sig, params);
        return cel_type_of(a, kind_of(letter), key, elem);
    default:
        return &cel_types[kind_of(letter)];
    }
}

static const char *skip_type(const char *sig)
{
    char letter = *sig++;

    if (letter == 'M')
        sig = skip_type(sig);
    return strchr("MLOT", letter) ? skip_type(sig) : sig;
}

bool cel_fn_fits(const struct cel_fn *f, const struct cel_value *args, size_t n)
{
    const char *sig = f->sig;

    for (size_t i = 0; i < n; i++) {
        char letter = *sig;
        enum cel_kind kind;

        if (letter == ':')
            return false;
        sig = skip_type(sig);
        if (letter == 'D' || (letter >= 'A' && letter <= 'C'))
            continue;
        kind = kind_of(letter);
        if (args[i].kind != kind && !(kind == CEL_MAP && args[i].kind == CEL_OBJECT))
            return false;
    }
    return *sig == ':';
}
