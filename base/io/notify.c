#include "base/io/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un manager; /* written by notify_init before threads start */
static socklen_t manager_bytes;    /* 0: no manager */

void notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;

    manager_bytes = 0;
    if (n >= 2 && n < sizeof manager.sun_path && (path[0] == '/' || path[0] == '@')) {
        manager = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(manager.sun_path, path, n);
        if (path[0] == '@') /* sd_notify(3): stands for the abstract namespace's zero byte */
            manager.sun_path[0] = '\0';
        manager_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    }
    unsetenv("NOTIFY_SOCKET");
}

/* A lost message has no remedy, and the manager has its own timeouts. */
static void send_text(const char *text)
{
    int fd;

    if (!manager_bytes)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&manager, manager_bytes) <
        0) {
    }
    close(fd);
}

void notify_ready(void)
{
    send_text("READY=1");
}

void notify_stopping(void)
{
    send_text("STOPPING=1");
}

void notify_status(const char *text)
{
    char line[512];
    int n = snprintf(line, sizeof line, "STATUS=%s", text);

    for (int i = 0; i < n && line[i]; i++) /* a new line would begin another variable */
        if (line[i] == '\n')
            line[i] = ' ';
    send_text(line);
}

void notify_watchdog(void)
{
    send_text("WATCHDOG=1");
}
