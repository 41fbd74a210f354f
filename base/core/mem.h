#pragma once
/*
 * Mem: memory for our own bookkeeping. It is zeroed, and running out of it ends the process: a
 * size that a peer chooses must be bounded before it gets here (ERR_LIMIT). Any thread.
 */
#include "base/core/macros.h"

#include <stdarg.h>
#include <stdlib.h>

void *mem_alloc(size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t n, size_t size_bytes) __attribute__((malloc, returns_nonnull));
/* New bytes past the old size are not zeroed. size_bytes 0 keeps one byte. */
void *mem_realloc(void *p, size_t size_bytes) __attribute__((returns_nonnull));
void *mem_dup(const void *p, size_t size_bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((returns_nonnull)); /* s is not NULL */
char *mem_strndup(const char *s, size_t n) __attribute__((returns_nonnull));
char *mem_printf(const char *fmt, ...) PRINTF_FMT(1, 2) __attribute__((returns_nonnull));
#define mem_join(...) mem_join_texts(TEXTS(__VA_ARGS__)) /* as str_join */
char *mem_join_texts(const char *const *texts) __attribute__((returns_nonnull));
char *mem_vprintf(const char *fmt, va_list ap) PRINTF_FMT(1, 0) __attribute__((returns_nonnull));

/* Gives back what only the start needed: free heap pages, and the resident pages of program text,
 * which the kernel reads again from its cache when they are used. Quick; once, when the start is
 * over. */
void mem_trim(void);
/* Gives free heap pages back when there are many of them: after a rush of connections most of the
 * heap is holes. For once a minute: some milliseconds when there is something to give, else none.
 */
void mem_trim_heap(void);

/* auto_free char *s = mem_strdup(...); */
static inline void mem_auto_free(void *pp)
{
    void **p = (void **)pp;
    free(*p);
    *p = NULL;
}
#define auto_free __attribute__((cleanup(mem_auto_free)))

/* auto_close int fd = -1; */
void mem_auto_close(const int *fd);
#define auto_close __attribute__((cleanup(mem_auto_close)))
