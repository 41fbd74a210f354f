/* Linked into every program of SAN=thread, in front of the C library. libuv closes its descriptors
 * with syscall(SYS_close), past ThreadSanitizer, which goes on believing them open; when another
 * thread is given the same number, it reports a race for it. Here such a close takes the way that
 * it sees, so that races for descriptors need no suppression and real ones are found. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef long (*syscall_fn)(long number, ...);

long syscall(long number, ...)
{
    syscall_fn real = (syscall_fn)dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) /* those that are none are registers that nobody looks at */
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_close)
        return close((int)a[0]);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
