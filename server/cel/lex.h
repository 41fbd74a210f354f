#pragma once
/*
 * CEL lex: the words of an expression (langdef.md, "Lexis"); for server/cel only.
 */
#include "base/core/arena.h"
#include "server/cel/value.h"

enum cel_token {
    TOK_END,
    TOK_IDENT,
    TOK_INT,
    TOK_UINT,
    TOK_DOUBLE,
    TOK_STRING,
    TOK_BYTES,
    TOK_TRUE,
    TOK_FALSE,
    TOK_NULL,
    TOK_SIGN, /* an operator or a bracket: text says which; "in" too */
    TOK_BAD,
};

struct cel_lexer {
    struct arena *a;
    const char *begin, *at, *end;
    enum cel_token token; /* the present one */
    struct str text;      /* as it was written */
    struct str value;     /* of TOK_STRING, TOK_BYTES: what it stands for */
};

void cel_lex_start(struct cel_lexer *l, struct arena *a, struct str source);
/* TOK_BAD: text is what begins no word, or a literal that is wrong. */
void cel_lex_next(struct cel_lexer *l);
