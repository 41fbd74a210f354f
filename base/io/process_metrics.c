#include "base/io/process_metrics.h"

#include "base/core/err.h"
#include "base/io/file.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* proc_pid_stat(5), fields as numbered there; the second, the program's name, may hold anything. */
#define STAT_UTIME      14
#define STAT_STIME      15
#define STAT_START_TIME 22
#define STAT_VSIZE      23
#define STAT_RSS_PAGES  24
#define STAT_FIELDS     24

static bool read_stat(uint64_t field[STAT_FIELDS + 1])
{
    auto_buf b = BUF(4096);
    struct str rest, word;
    struct err e;

    if (file_read("/proc/self/stat", 4096, &b, &e) || !memrchr(b.p, ')', b.n))
        return false;
    rest = buf_str(&b);
    const char *name_end = memrchr(b.p, ')', b.n);
    rest = str_trim(str_n(name_end + 1, (size_t)(b.p + b.n - name_end - 1)));
    for (size_t i = 3; i <= STAT_FIELDS; i++) {
        field[i] = 0;
        str_cut(rest, ' ', &word, &rest);
        str_to_u64(word, &field[i]); /* some are letters or negative: none that we use */
    }
    return true;
}

/* Unix seconds, 0 if it cannot be read. */
static uint64_t boot_time(void)
{
    auto_buf b = BUF(1024u * 1024);
    struct str line, rest;
    uint64_t s = 0;
    struct err e;

    if (file_read("/proc/stat", 1024u * 1024, &b, &e))
        return 0;
    for (rest = buf_str(&b); rest.n;) {
        str_cut(rest, '\n', &line, &rest);
        if (str_starts(line, STR("btime ")))
            str_to_u64(str_n(line.p + 6, line.n - 6), &s);
    }
    return s;
}

static uint64_t n_open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the one of opendir */
}

static void put(struct buf *out, const char *name, const char *type, const char *help, double v)
{
    err_ignore(buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name,
                        v)); /* a reader sees a shorter text then */
}

void process_metrics_write(struct buf *out)
{
    uint64_t f[STAT_FIELDS + 1];
    double hz = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE);
    struct rlimit files;

    if (read_stat(f)) {
        put(out, "process_cpu_seconds_total", "counter",
            "Total user and system CPU time spent in seconds.",
            (double)(f[STAT_UTIME] + f[STAT_STIME]) / hz);
        put(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
            (double)f[STAT_RSS_PAGES] * page);
        put(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
            (double)f[STAT_VSIZE]);
        put(out, "process_start_time_seconds", "gauge",
            "Start time of the process since unix epoch in seconds.",
            (double)boot_time() + (double)f[STAT_START_TIME] / hz);
    }
    put(out, "process_open_fds", "gauge", "Number of open file descriptors.", (double)n_open_fds());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
            (double)files.rlim_cur);
}
