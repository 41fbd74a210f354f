#include "agent/node/machine.h"

#include "base/core/buf.h"
#include "base/io/file.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FILE_MAX_BYTES (64 * 1024)

/* The file's text without blanks at the ends; "" when it cannot be read. */
static void read_text(char out[MACHINE_TEXT_BYTES], const char *path)
{
    auto_buf b = BUF(FILE_MAX_BYTES);
    struct str s;
    struct err e;

    out[0] = '\0';
    if (file_read(path, FILE_MAX_BYTES, &b, &e))
        return;
    s = str_trim(buf_str(&b));
    snprintf(out, MACHINE_TEXT_BYTES, STR_FMT, STR_ARG(s));
}

uint64_t machine_meminfo_bytes(const char *meminfo, const char *key)
{
    struct str rest = str_of(meminfo), line;

    while (rest.n) {
        struct str name, value, number, unit;
        uint64_t kib;

        str_cut(rest, '\n', &line, &rest);
        if (!str_cut(line, ':', &name, &value) || !str_is(name, key))
            continue;
        str_cut(str_trim(value), ' ', &number, &unit);
        return str_to_u64(number, &kib) ? kib * 1024 : 0;
    }
    return 0;
}

void machine_os_image(char out[MACHINE_TEXT_BYTES], const char *os_release)
{
    struct str rest = str_of(os_release), line;

    snprintf(out, MACHINE_TEXT_BYTES, "Linux");
    while (rest.n) {
        struct str name, value;

        str_cut(rest, '\n', &line, &rest);
        if (!str_cut(line, '=', &name, &value) || !str_is(name, "PRETTY_NAME"))
            continue;
        value = str_trim(value);
        if (value.n >= 2 && (value.p[0] == '"' || value.p[0] == '\''))
            value = str_n(value.p + 1, value.n - 2);
        snprintf(out, MACHINE_TEXT_BYTES, STR_FMT, STR_ARG(value));
    }
}

static void read_uname(struct machine *m)
{
    static const struct {
        const char *kernel, *go;
    } archs[] = { { "x86_64", "amd64" },    { "aarch64", "arm64" }, { "armv7l", "arm" },
                  { "armv6l", "arm" },      { "i686", "386" },      { "riscv64", "riscv64" },
                  { "ppc64le", "ppc64le" }, { "s390x", "s390x" } };
    struct utsname u;

    if (uname(&u))
        return;
    snprintf(m->kernel_version, sizeof m->kernel_version, "%s", u.release);
    snprintf(m->host_name, sizeof m->host_name, "%s", u.nodename);
    snprintf(m->architecture, sizeof m->architecture, "%.15s", u.machine);
    for (size_t i = 0; i < ARRAY_LEN(archs); i++)
        if (strcmp(u.machine, archs[i].kernel) == 0)
            snprintf(m->architecture, sizeof m->architecture, "%s", archs[i].go);
}

void machine_refresh(struct machine *m, const char *data_dir)
{
    auto_buf b = BUF(FILE_MAX_BYTES);
    struct statvfs v;
    struct err e;

    if (file_read("/proc/meminfo", FILE_MAX_BYTES, &b, &e) == 0) {
        m->memory_bytes = machine_meminfo_bytes(buf_cstr(&b), "MemTotal");
        m->memory_available_bytes = machine_meminfo_bytes(buf_cstr(&b), "MemAvailable");
    }
    if (statvfs(data_dir, &v) == 0) {
        m->disk_bytes = (uint64_t)v.f_blocks * v.f_frsize;
        m->disk_available_bytes = (uint64_t)v.f_bavail * v.f_frsize;
        m->n_inodes = v.f_files;
        m->n_inodes_free = v.f_favail;
    }
}

void machine_read(struct machine *m, const char *data_dir)
{
    auto_buf b = BUF(FILE_MAX_BYTES);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    struct err e;

    *m = (struct machine){ .n_cpus = n > 0 ? (unsigned)n : 1 };
    read_uname(m);
    read_text(m->boot_id, "/proc/sys/kernel/random/boot_id");
    read_text(m->machine_id, "/etc/machine-id");
    read_text(m->system_uuid, "/sys/class/dmi/id/product_uuid");
    if (!m->system_uuid[0]) /* boards without DMI: what kubelet falls back to */
        memcpy(m->system_uuid, m->machine_id, sizeof m->system_uuid);
    if (file_read("/etc/os-release", FILE_MAX_BYTES, &b, &e))
        buf_clear(&b);
    machine_os_image(m->os_image, buf_cstr(&b));
    machine_refresh(m, data_dir);
}
