#pragma once
/* Language helpers that every file uses: must-use results, cleanup attributes, container_of. */
#include <stddef.h>
#include <sys/param.h> /* has a MIN and MAX too and comes with uv.h: now, so that ours stay */
#undef MIN
#undef MAX

#define MUST_USE              __attribute__((warn_unused_result))
#define PRINTF_FMT(fmt, args) __attribute__((format(printf, fmt, args)))

/* A result that is harmless to lose; say why in a comment. */
#define err_ignore(expr)                                                                           \
    do {                                                                                           \
        if (expr) {                                                                                \
        }                                                                                          \
    } while (0)

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define TEXTS(...)                      ((const char *const[]){ __VA_ARGS__, NULL })
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))

#ifdef __cppcheck__ /* it gives up on a file with statement expressions inside braces */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#else
#define MIN(a, b)                                                                                  \
    __extension__({                                                                                \
        __typeof__(a) min_a_ = (a);                                                                \
        __typeof__(b) min_b_ = (b);                                                                \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define MAX(a, b)                                                                                  \
    __extension__({                                                                                \
        __typeof__(a) max_a_ = (a);                                                                \
        __typeof__(b) max_b_ = (b);                                                                \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })
#endif

/*
 * AUTO(noun) struct noun *n = ...;   calls noun_free(n) at the end of the scope; noun_free
 * accepts NULL. DEFINE_AUTO(noun) in the noun's header makes that possible.
 */
#define DEFINE_AUTO(noun)                                                                          \
    static inline void noun##_auto_free(struct noun **p)                                           \
    {                                                                                              \
        noun##_free(*p);                                                                           \
    }                                                                                              \
    _Static_assert(1, "semicolon")
#define AUTO(noun) __attribute__((cleanup(noun##_auto_free)))

/* Hands a local over: yields its value and clears it, so that its cleanup does nothing. */
#ifdef __cppcheck__
#define STEAL(p) (p)
#else
#define STEAL(p)                                                                                   \
    __extension__({                                                                                \
        __typeof__(p) p_ = (p);                                                                    \
        (p) = NULL;                                                                                \
        p_;                                                                                        \
    })
#endif
