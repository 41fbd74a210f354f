/*
 * pause: the first process of a pod sandbox. It holds the pod's namespaces open, reaps orphans and
 * leaves at SIGTERM or SIGINT. No C library, so that the image is a few kilobytes.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static long call4(long n, long a, long b, long c, long d)
{
    long r;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return r;
}
#elif defined(__aarch64__)
static long call4(long n, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "pause: no system call convention for this processor yet"
#endif

#define BIT(sig) (1UL << ((sig)-1))

void _start(void);
void _start(void)
{
    unsigned long set = BIT(SIGTERM) | BIT(SIGINT) | BIT(SIGCHLD);

    call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&set, 0, sizeof set);
    for (;;) {
        long sig = call4(SYS_rt_sigtimedwait, (long)&set, 0, 0, sizeof set);
        if (sig == SIGTERM || sig == SIGINT)
            call4(SYS_exit_group, 0, 0, 0, 0);
        while (call4(SYS_wait4, -1, 0, 1 /* WNOHANG */, 0) > 0)
            ;
    }
}
