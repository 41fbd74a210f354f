#include "server/cel/lex.h"

#include "base/data/regex_parse.h"

#include <ctype.h>

void cel_lex_start(struct cel_lexer *l, struct arena *a, struct str source)
{
    const char *p = source.p ? source.p : "";

    *l = (struct cel_lexer){ .a = a, .begin = p, .at = p, .end = p + source.n };
    cel_lex_next(l);
}

static bool is_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static bool is_rest(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static char peek(const struct cel_lexer *l, size_t i)
{
    return (size_t)(l->end - l->at) > i ? l->at[i] : '\0';
}

static void skip_blanks(struct cel_lexer *l)
{
    while (l->at < l->end) {
        if (*l->at && strchr(" \t\n\r\f", *l->at)) {
            l->at++;
        } else if (peek(l, 0) == '/' && peek(l, 1) == '/') {
            while (l->at < l->end && *l->at != '\n')
                l->at++;
        } else {
            return;
        }
    }
}

/* ---- texts ---- */

struct literal {
    bool raw, bytes;
    char *out;
    size_t n;
};

static void add_rune(struct literal *t, uint32_t c)
{
    char *o = t->out + t->n;

    if (c < 0x80) {
        o[0] = (char)c;
        t->n += 1;
    } else if (c < 0x800) {
        o[0] = (char)(0xc0 | c >> 6);
        o[1] = (char)(0x80 | (c & 0x3f));
        t->n += 2;
    } else if (c < 0x10000) {
        o[0] = (char)(0xe0 | c >> 12);
        o[1] = (char)(0x80 | (c >> 6 & 0x3f));
        o[2] = (char)(0x80 | (c & 0x3f));
        t->n += 3;
    } else {
        o[0] = (char)(0xf0 | c >> 18);
        o[1] = (char)(0x80 | (c >> 12 & 0x3f));
        o[2] = (char)(0x80 | (c >> 6 & 0x3f));
        o[3] = (char)(0x80 | (c & 0x3f));
        t->n += 4;
    }
}

/* n digits of a base. False: they are not there. */
static bool digits(struct cel_lexer *l, int n, unsigned base, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, l->at++) {
        int d = l->at < l->end ? str_hex_digit(*l->at) : -1;
        if (d < 0 || (unsigned)d >= base)
            return false;
        *out = *out * base + (unsigned)d;
    }
    return true;
}

static bool escape(struct cel_lexer *l, struct literal *t) /* behind the backslash */
{
    static const char plain[] = "abfnrtv\\?\"'`", meaning[] = "\a\b\f\n\r\t\v\\?\"'`";
    char c = peek(l, 0);
    const char *at = c ? strchr(plain, c) : NULL;
    uint32_t rune;

    if (at) {
        l->at++;
        t->out[t->n++] = meaning[at - plain];
        return true;
    }
    if (c == 'x' || c == 'X' || (c >= '0' && c <= '3')) {
        bool hex = c == 'x' || c == 'X';
        l->at += hex;
        if (!digits(l, hex ? 2 : 3, hex ? 16 : 8, &rune))
            return false;
        if (t->bytes)
            t->out[t->n++] = (char)rune;
        else
            add_rune(t, rune);
        return true;
    }
    if ((c == 'u' || c == 'U') && !t->bytes) {
        l->at++;
        if (!digits(l, c == 'u' ? 4 : 8, 16, &rune) || rune > RUNE_MAX ||
            (rune >= 0xd800 && rune <= 0xdfff))
            return false;
        add_rune(t, rune);
        return true;
    }
    return false;
}

static bool closes(const char *c, const char *end, char quote, size_t n_quotes)
{
    return *c == quote && (n_quotes == 1 || (end - c > 2 && c[1] == quote && c[2] == quote));
}

/* Bytes up to the end of a text, from behind its opening quote: what an escape stands for is never
 * longer than the escape. */
static size_t room(const struct cel_lexer *l, char quote, size_t n_quotes, bool raw)
{
    const char *c = l->at;

    while (c < l->end && !closes(c, l->end, quote, n_quotes))
        c += *c == '\\' && !raw && l->end - c > 1 ? 2 : 1;
    return (size_t)(c - l->at);
}

static enum cel_token text(struct cel_lexer *l, bool raw, bool bytes) /* at its quote */
{
    struct literal t = { .raw = raw, .bytes = bytes };
    char quote = *l->at;
    size_t n_quotes = peek(l, 1) == quote && peek(l, 2) == quote ? 3 : 1;

    l->at += n_quotes;
    t.out = arena_alloc(l->a, room(l, quote, n_quotes, raw) + 1);
    for (;;) {
        if (l->at == l->end || (n_quotes == 1 && (*l->at == '\n' || *l->at == '\r')))
            return TOK_BAD;
        if (closes(l->at, l->end, quote, n_quotes))
            break;
        if (*l->at == '\\' && !raw) {
            l->at++;
            if (!escape(l, &t))
                return TOK_BAD;
        } else {
            t.out[t.n++] = *l->at++;
        }
    }
    l->at += n_quotes;
    l->value = str_n(t.out, t.n);
    return bytes ? TOK_BYTES : TOK_STRING;
}

/* ---- numbers ---- */

static enum cel_token number(struct cel_lexer *l)
{
    bool is_double = false;

    if (peek(l, 0) == '0' && peek(l, 1) == 'x' && isxdigit((unsigned char)peek(l, 2))) {
        for (l->at += 2; isxdigit((unsigned char)peek(l, 0));)
            l->at++;
    } else {
        while (isdigit((unsigned char)peek(l, 0)))
            l->at++;
        if (peek(l, 0) == '.' && isdigit((unsigned char)peek(l, 1))) {
            is_double = true;
            for (l->at++; isdigit((unsigned char)peek(l, 0));)
                l->at++;
        }
        size_t sign = peek(l, 1) == '+' || peek(l, 1) == '-';
        if ((peek(l, 0) == 'e' || peek(l, 0) == 'E') && isdigit((unsigned char)peek(l, 1 + sign))) {
            is_double = true;
            for (l->at += 1 + sign; isdigit((unsigned char)peek(l, 0));)
                l->at++;
        }
    }
    if (is_double)
        return TOK_DOUBLE;
    if (peek(l, 0) == 'u' || peek(l, 0) == 'U') {
        l->at++;
        return TOK_UINT;
    }
    return TOK_INT;
}

/* ---- the rest ---- */

static enum cel_token word(struct cel_lexer *l)
{
    static const struct {
        const char *text;
        enum cel_token token;
    } known[] = {
        { "true", TOK_TRUE }, { "false", TOK_FALSE }, { "null", TOK_NULL }, { "in", TOK_SIGN }
    };
    const char *from = l->at;

    while (l->at < l->end && is_rest(*l->at))
        l->at++;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_is(str_n(from, (size_t)(l->at - from)), known[i].text))
            return known[i].token;
    return TOK_IDENT;
}

/* A quote behind at most one r and one b. */
static bool begins_text(const struct cel_lexer *l, size_t *n, bool *raw, bool *bytes)
{
    *raw = *bytes = false;
    for (*n = 0; *n < 2; ++*n) {
        char c = (char)tolower((unsigned char)peek(l, *n));
        if (c == 'r' && !*raw)
            *raw = true;
        else if (c == 'b' && !*bytes)
            *bytes = true;
        else
            break;
    }
    return peek(l, *n) == '"' || peek(l, *n) == '\'';
}

static enum cel_token sign(struct cel_lexer *l)
{
    static const char *const two[] = { "==", "!=", "<=", ">=", "&&", "||" };
    const char *from = l->at;

    for (size_t i = 0; i < ARRAY_LEN(two); i++)
        if (peek(l, 0) == two[i][0] && peek(l, 1) == two[i][1]) {
            l->at += 2;
            return TOK_SIGN;
        }
    if (peek(l, 0) && strchr("<>!-+*/%?:.,()[]{}", peek(l, 0))) {
        l->at++;
        return TOK_SIGN;
    }
    regex_rune(&l->at, l->end);
    /* ANTLR takes the rune that broke off "==", "&&" and "||" too */
    if (strchr("=&|", *from) && l->at < l->end)
        regex_rune(&l->at, l->end);
    return TOK_BAD;
}

void cel_lex_next(struct cel_lexer *l)
{
    bool raw, bytes;
    size_t n;

    skip_blanks(l);
    const char *from = l->at;
    if (l->at == l->end) {
        l->token = TOK_END;
    } else if (begins_text(l, &n, &raw, &bytes)) {
        l->at += n;
        l->token = text(l, raw, bytes);
    } else if (is_start(*l->at)) {
        l->token = word(l);
    } else if (isdigit((unsigned char)*l->at) ||
               (*l->at == '.' && isdigit((unsigned char)peek(l, 1)))) {
        l->token = number(l);
    } else {
        l->token = sign(l);
    }
    l->text = str_n(from, (size_t)(l->at - from));
}
