#include "base/io/loop.h"

#include <pthread.h>
#include <signal.h>

static void ignore(void)
{
    signal(SIGPIPE, SIG_IGN);
}

void loop_ignore_sigpipe(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, ignore);
}
