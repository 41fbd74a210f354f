#pragma once
/*
 * Regex parse: a pattern as a tree; for regex*.c only.
 */
#include "base/core/arena.h"
#include "base/data/regex.h"

enum regex_op {
    RE_EMPTY,
    RE_CLASS,  /* one rune of ranges */
    RE_ASSERT, /* nothing, but only here */
    RE_CAT,    /* a, then b */
    RE_ALT,    /* a or b */
    RE_REPEAT, /* a, min to max times; max -1: any number */
};

enum regex_assert { RE_TEXT_BEGIN, RE_TEXT_END, RE_LINE_BEGIN, RE_LINE_END, RE_WORD, RE_NO_WORD };

struct regex_range {
    uint32_t low, high;
};

struct regex_node {
    enum regex_op op;
    enum regex_assert assert;
    struct regex_range *ranges; /* sorted, apart from each other */
    uint32_t n_ranges;
    int min, max;
    bool lazy; /* of a repetition: as few as will do */
    const struct regex_node *a, *b;
    unsigned depth;
    uint64_t size; /* states that it becomes, repeats unrolled */
};

MUST_USE int regex_parse(const struct regex_node **out, struct arena *a, struct str pattern,
                         struct err *e);

#define RUNE_MAX 0x10ffffU
/* The rune at *p, which moves on. */
uint32_t regex_rune(const char **p, const char *end);
