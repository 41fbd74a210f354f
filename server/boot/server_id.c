#include "server/boot/server_id.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/io/file.h"

#define UUID_CHARS 36
#define FILE_MODE  0644
#define FILE_MAX   64

static bool is_uuid(struct str s)
{
    if (s.n != UUID_CHARS)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

char *server_id(const char *data_dir)
{
    auto_free char *path = mem_printf("%s/server/server-id", data_dir);
    auto_buf text = BUF(FILE_MAX);
    char made[UUID_CHARS + 1];
    struct err e;

    if (!file_read(path, FILE_MAX, &text, &e) && is_uuid(str_trim(buf_str(&text))))
        return str_dup(str_trim(buf_str(&text)));
    rand_uuid(made);
    if (file_write_atomic(path, str_of(made), FILE_MODE, &e))
        log_warn("the server's id is not kept: after a restart it is a new one", kv("err", e.text));
    return mem_strdup(made);
}
