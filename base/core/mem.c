#include "base/core/mem.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *check(void *p)
{
    if (!p) {
        static const char text[] = "out of memory\n";
        err_ignore(write(STDERR_FILENO, text, sizeof text - 1) < 0); /* dying anyway */
        abort();
    }
    return p;
}

void *mem_alloc(size_t size_bytes)
{
    return check(calloc(1, size_bytes ? size_bytes : 1));
}

void *mem_calloc(size_t n, size_t size_bytes)
{
    return check(calloc(n ? n : 1, size_bytes ? size_bytes : 1));
}

void *mem_realloc(void *p, size_t size_bytes)
{
    return check(realloc(p, size_bytes ? size_bytes : 1));
}

void *mem_dup(const void *p, size_t size_bytes)
{
    void *copy = check(malloc(size_bytes ? size_bytes : 1));

    if (size_bytes)
        memcpy(copy, p, size_bytes);
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t n)
{
    char *copy = check(malloc(n + 1));

    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *mem_vprintf(const char *fmt, va_list ap)
{
    char *s = NULL;

    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    return check(s);
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = mem_vprintf(fmt, ap);
    va_end(ap);
    return s;
}

char *mem_join_texts(const char *const *texts)
{
    size_t n = 0;
    char *out, *p;

    for (const char *const *t = texts; *t; t++)
        n += strlen(*t);
    out = p = check(malloc(n + 1));
    *p = '\0';
    for (const char *const *t = texts; *t; t++)
        p = stpcpy(p, *t);
    return out;
}

void mem_trim(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[512], perms[5];
    uintptr_t from, to;
    unsigned long inode;

    malloc_trim(0);
    /* Only executable file mappings: nobody ever wrote to them, so nothing can be lost (proc(5)).
     */
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*s %lu", &from, &to, perms, &inode) ==
                4 &&
            strcmp(perms, "r-xp") == 0 && inode)
            err_ignore(
                madvise((void *)from, to - from, MADV_DONTNEED)); /* then they stay resident */
    if (f)
        fclose(f);
}

#define SLACK_MIN_BYTES (4u * 1024 * 1024) /* below it nobody would notice */

void mem_trim_heap(void)
{
    if (mallinfo2().fordblks > SLACK_MIN_BYTES)
        malloc_trim(0);
}

void mem_auto_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
