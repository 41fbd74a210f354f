#include "base/data/zone.h"

#include "base/core/macros.h"
#include "base/core/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* RFC 9636 3.1: the magic number */
static bool is_zone_file(const char *folder, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char magic[4];

    return fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic &&
           memcmp(magic, "TZif", sizeof magic) == 0;
}

bool zone_exists(const char *name)
{
    static const char *const folders[] = { "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo",
                                           "/usr/lib/locale/TZ", "/etc/zoneinfo" };
    const char *own = getenv("ZONEINFO");

    if (strcmp(name, "UTC") == 0)
        return true;
    if (!*name || *name == '/' || *name == '\\' || strstr(name, ".."))
        return false;
    if (own && *own && is_zone_file(own, name))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (is_zone_file(folders[i], name))
            return true;
    return false;
}
