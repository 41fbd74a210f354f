/* Ports of a test: nobody else's, and not the kernel's to give away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "test/lib/port.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 200 };

static int listen_at(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void each_is_given_once_to_all_programs(void **state)
{
    uint16_t mine[N], others[N];
    int pipes[2];
    pid_t child;
    (void)state;

    for (int i = 0; i < N; i++)
        mine[i] = port_reserve();
    assert_int_equal(pipe(pipes), 0);
    child = fork();
    if (child == 0) {
        for (int i = 0; i < N; i++)
            others[i] = port_reserve();
        _exit(write(pipes[1], others, sizeof others) != sizeof others);
    }
    assert_int_equal(read(pipes[0], others, sizeof others), sizeof others);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            assert_true(mine[i] != others[j] && (i == j || mine[i] != mine[j]));
    close(pipes[0]);
    close(pipes[1]);
}

static void one_is_free_and_below_those_of_the_kernel(void **state)
{
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    unsigned low = 0;
    uint16_t port = port_reserve();
    (void)state;

    close(listen_at(port));
    close(listen_at(port)); /* and again */
    assert_int_equal(fscanf(f, "%u", &low), 1);
    fclose(f);
    assert_true(low < 11000 || port < low);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_given_once_to_all_programs),
        cmocka_unit_test(one_is_free_and_below_those_of_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
