#include "base/io/known_time.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/time.h"
#include "base/io/file.h"

#include <stdlib.h>

#define FILE_MAX_BYTES 4096
#define WRITE_EVERY_S  3600

/* The time in a line "word TIME"; 0: none. */
static int64_t line_of(struct str text, const char *word)
{
    struct str line, name, value;
    int64_t us;

    while (text.n) {
        str_cut(text, '\n', &line, &text);
        if (str_cut(line, ' ', &name, &value) && str_is(name, word))
            return time_parse(&us, str_trim(value)) ? us / 1000000 : 0;
    }
    return 0;
}

static void start_from(const struct known_time *k, int64_t known, int64_t floor)
{
    int64_t machine = clock_machine_s();
    char machine_text[TIME_TEXT_BYTES], known_text[TIME_TEXT_BYTES];

    if (clock_is_synced())
        return;
    clock_raise_floor_s(floor);
    if (machine >= known)
        return;
    clock_learn_s(known);
    if (known - machine < CLOCK_SLACK_S)
        return;
    time_text_s(machine_text, machine);
    time_text_s(known_text, known);
    log_warn("this machine's clock is behind the last known time: going on from there; if the "
             "machine's clock is right, set it while this runs, or remove the file and start again",
             kv("machine", machine_text), kv("known", known_text), kv("file", k->path));
}

void known_time_open(struct known_time *k, const char *data_dir, bool is_authority)
{
    auto_buf text = BUF(FILE_MAX_BYTES);
    int64_t known;
    struct err e;

    *k = (struct known_time){ .path = mem_printf("%s/" KNOWN_TIME_FILE, data_dir),
                              .is_authority = is_authority };
    if (file_read(k->path, FILE_MAX_BYTES, &text, &e)) {
        if (e.code != ERR_NOT_FOUND)
            log_warn("the last known time is left out", kv("err", e.text));
        return;
    }
    known = line_of(buf_str(&text), "known");
    if (!known) {
        log_warn("the last known time is left out: the file holds none", kv("file", k->path));
        return;
    }
    k->written_unix_s = known;
    k->written_mono_ms = clock_mono_ms();
    start_from(k, known, line_of(buf_str(&text), "floor"));
}

static void write_now(struct known_time *k)
{
    char known[TIME_TEXT_BYTES], floor[TIME_TEXT_BYTES];
    auto_free char *text = NULL;
    int64_t at = clock_known_s();
    struct err e;

    if (!at)
        return;
    time_text_s(known, at);
    time_text_s(floor, clock_floor_s());
    text = mem_printf("known %s\nfloor %s\n", known, floor);
    if (file_mkdirs_for(k->path, 0755, &e) || file_write_atomic(k->path, str_of(text), 0644, &e)) {
        if (!k->told)
            log_warn("the last known time cannot be kept", kv("err", e.text));
        k->told = true;
        return;
    }
    k->told = false;
    k->written_unix_s = at;
    k->written_mono_ms = clock_mono_ms();
}

/* How far the file is from where it would be had the clock just run on. */
static bool has_jumped(const struct known_time *k)
{
    int64_t passed_s = (int64_t)(clock_mono_ms() - k->written_mono_ms) / 1000;

    return llabs(clock_known_s() - k->written_unix_s - passed_s) > CLOCK_SLACK_S;
}

void known_time_look(struct known_time *k)
{
    if (k->is_authority)
        clock_confirm_s(clock_wall_s());
    if (!clock_known_s())
        return;
    if (!k->written_unix_s || clock_known_s() - k->written_unix_s >= WRITE_EVERY_S || has_jumped(k))
        write_now(k);
}

void known_time_close(struct known_time *k)
{
    if (k->is_authority && clock_known_s()) /* else the start failed: nothing to tell */
        clock_confirm_s(clock_wall_s());
    write_now(k);
    free(k->path);
}
