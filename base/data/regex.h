#pragma once
/*
 * Regex: does a text match a pattern of the RE2 syntax (github.com/google/re2/wiki/Syntax), as Go's
 * regexp reads it. Found anywhere in the text unless the pattern is anchored; where, for who asks,
 * but not what its groups hold.
 *
 * The pattern becomes a nondeterministic automaton that is run over the text without backtracking:
 * time is at most (size of the pattern, repeats unrolled) times (length of the text), memory does
 * not grow. Both sizes come from peers, so both are bounded. Not supported, and refused by name:
 * classes of Unicode properties (\p{L}) and \C. (?i) folds ASCII only. Any thread; a struct regex
 * is used by one at a time.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#define REGEX_PATTERN_MAX_BYTES 16384
#define REGEX_STATES_MAX        20000    /* of one automaton; a{1000} has 1000 */
#define REGEX_REPEAT_MAX        1000     /* Go's own limit of a{n} */
#define REGEX_DEPTH_MAX         200      /* of nested groups; Go allows 1000 */
#define REGEX_STEPS_MAX         30000000 /* states visited: some 0.2 s */

struct regex;

/* ERR_INVALID in Go's words: "error parsing regexp: missing closing ): `(a`"; ERR_LIMIT: too large.
 */
MUST_USE int regex_new(struct regex **out, struct str pattern, struct err *e);
void regex_free(struct regex *r);
/* text is UTF-8; bytes that are not count as U+FFFD. What it takes is taken off *steps, which
 * begins as REGEX_STEPS_MAX for all the texts of one request together. ERR_LIMIT: none are left;
 * *out is false. */
MUST_USE int regex_match(bool *out, struct regex *r, struct str text, uint64_t *steps,
                         struct err *e);
/* The first match at begin (a place between two runes) or behind it, as Go's FindStringIndex: the
 * leftmost one, of these the one that Perl would have. Costs and errors as regex_match. */
MUST_USE int regex_find(bool *out, size_t *from, size_t *to, struct regex *r, struct str text,
                        size_t begin, uint64_t *steps, struct err *e);

DEFINE_AUTO(regex);
