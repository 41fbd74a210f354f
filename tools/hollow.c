/*
 * hollow: many agents without containers in one process, against a real server: what a server costs
 * per agent, and what it does when they misbehave.
 *
 *     hollow --server https://127.0.0.1:6443 --token-file F --agents 2000 --rate 20 --dir
 * /dev/shm/h
 *
 * Prints a line per interval and a JSON summary at the end, which comes with SIGTERM, after
 * --duration, or with "quit". Lines on its standard input:
 *
 *     mark          from now on: how long until every agent is back (tunnel, fresh Lease): back_s=
 *     cut           breaks every connection once
 *     storm S       breaks every connection every S seconds; 0 ends it
 *     slow N        N agents ask for all nodes and read 4 KiB a second; 0 ends it
 *     silent N      N agents send and read nothing, their connections stay; 0 ends it
 *     garbage N     N agents open one more tunnel and write random bytes into it
 *     laggards      the agents that are not up or not back, with the reason
 *     quit
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/flags.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/io/file.h"
#include "base/io/proc.h"
#include "base/io/timer.h"
#include "base/pki/token.h"
#include "lb/balancer.h"
#include "tools/hollow_fleet.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#define JOINS_AT_ONCE  1024 /* connections of the shared balancer */
#define INPUT_MAX      4096
#define LAGGARDS_SHOWN 20

struct options {
    char *server, *token, *token_file, *dir, *prefix;
    int64_t agents, first, rate, joining, interval, duration, lease_ms, status_ms;
    bool remotedialer, debug;
};

#define OPT(field) .offset = offsetof(struct options, field)
static const struct flag table[] = {
    { .name = "server", .type = FLAG_STR, OPT(server), .help = "URL of the server" },
    { .name = "token", .type = FLAG_STR, OPT(token), .secret = true, .help = "agent token" },
    { .name = "token-file", .type = FLAG_STR, OPT(token_file), .help = "file of the agent token" },
    { .name = "dir",
      .type = FLAG_STR,
      OPT(dir),
      .help = "folder for the agents' files; each has its own in it, and keeps it: a second run "
              "with the same folder is the same agents" },
    { .name = "prefix", .type = FLAG_STR, OPT(prefix), .dflt = "hollow-", .help = "of node names" },
    { .name = "agents", .type = FLAG_INT, OPT(agents), .dflt = "10", .help = "how many" },
    { .name = "first", .type = FLAG_INT, OPT(first), .dflt = "0", .help = "number of the first" },
    { .name = "rate",
      .type = FLAG_INT,
      OPT(rate),
      .dflt = "0",
      .help = "starts per second; 0: all at once" },
    { .name = "joining",
      .type = FLAG_INT,
      OPT(joining),
      .dflt = "50",
      .help = "that join at once; 0: any number" },
    { .name = "interval", .type = FLAG_INT, OPT(interval), .dflt = "1", .help = "s between lines" },
    { .name = "duration", .type = FLAG_INT, OPT(duration), .dflt = "0", .help = "s; 0: for ever" },
    { .name = "lease-ms", .type = FLAG_INT, OPT(lease_ms), .dflt = "10000", .help = "heartbeats" },
    { .name = "status-ms",
      .type = FLAG_INT,
      OPT(status_ms),
      .dflt = "300000",
      .help = "status without a change" },
    { .name = "remotedialer",
      .type = FLAG_BOOL,
      OPT(remotedialer),
      .help = "tunnels as a K3s agent's" },
    { .name = "debug", .type = FLAG_BOOL, OPT(debug), .help = "log each failure" },
};

struct hollow {
    struct options o;
    uv_loop_t loop;
    struct machine machine;
    struct balancer *joins, *known; /* tools/hollow_agent.h */
    struct fleet *fleet;
    char *seed;
    struct timer line_timer, end_timer;
    uv_signal_t signals[2];
    uv_pipe_t input;
    struct buf pending; /* of the input: a line that is not complete */
    char read_buf[1024];
    bool ending;
};

/* ---- output ---- */

static void print_line(struct hollow *h)
{
    auto_buf line = BUF(16 * 1024);

    fleet_line(h->fleet, &line);
    puts(buf_cstr(&line));
    fflush(stdout);
}

static void on_line_timer(void *arg)
{
    struct hollow *h = arg;

    print_line(h);
    timer_start_ms(&h->line_timer, (uint64_t)h->o.interval * 1000, on_line_timer, h);
}

/* ---- the end ---- */

static void on_fleet_closed(void *arg)
{
    struct hollow *h = arg;

    balancer_close(STEAL(h->joins), NULL, NULL);
    balancer_close(STEAL(h->known), NULL, NULL);
}

static void end(struct hollow *h)
{
    json_auto_t *summary = NULL;
    auto_free char *text = NULL;

    if (h->ending)
        return;
    h->ending = true;
    print_line(h);
    summary = fleet_summary(h->fleet);
    text = json_text(summary);
    puts(text);
    fflush(stdout);
    timer_close(&h->line_timer, NULL, NULL);
    timer_close(&h->end_timer, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(h->signals); i++)
        uv_close((uv_handle_t *)&h->signals[i], NULL);
    uv_close((uv_handle_t *)&h->input, NULL);
    fleet_close(STEAL(h->fleet), on_fleet_closed, h);
}

static void on_end_timer(void *arg)
{
    end(arg);
}

static void on_signal(uv_signal_t *s, int signum)
{
    (void)signum;
    end(s->data);
}

/* ---- input ---- */

static void show_laggards(struct hollow *h)
{
    auto_buf text = BUF(64 * 1024);

    fleet_laggards(h->fleet, &text, LAGGARDS_SHOWN);
    fputs(buf_cstr(&text), stdout);
    fflush(stdout);
}

static void command(struct hollow *h, struct str line)
{
    struct str word, rest;
    uint64_t n = 0;

    str_cut(str_trim(line), ' ', &word, &rest);
    if (rest.n && !str_to_u64(str_trim(rest), &n)) {
        log_error("not a number", kv("line", line));
        return;
    }
    if (str_is(word, "mark"))
        fleet_mark(h->fleet);
    else if (str_is(word, "cut"))
        fleet_cut(h->fleet);
    else if (str_is(word, "storm"))
        fleet_storm(h->fleet, n * 1000);
    else if (str_is(word, "slow"))
        fleet_fault(h->fleet, WIRE_SLOW, (unsigned)n);
    else if (str_is(word, "silent"))
        fleet_fault(h->fleet, WIRE_SILENT, (unsigned)n);
    else if (str_is(word, "garbage"))
        fleet_garbage(h->fleet, (unsigned)n);
    else if (str_is(word, "laggards"))
        show_laggards(h);
    else if (str_is(word, "quit"))
        end(h);
    else if (word.n)
        log_error("unknown command", kv("line", line));
}

static void on_alloc(uv_handle_t *s, size_t suggested, uv_buf_t *b)
{
    struct hollow *h = s->data;

    (void)suggested;
    *b = uv_buf_init(h->read_buf, sizeof h->read_buf);
}

static void on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct hollow *h = s->data;
    const char *newline;

    if (n < 0) { /* the end of the input is not ours */
        uv_read_stop(s);
        return;
    }
    if (buf_add(&h->pending, b->base, (size_t)n))
        buf_clear(&h->pending);
    while (!h->ending && h->pending.n &&
           (newline = memchr(h->pending.p, '\n', h->pending.n)) != NULL) {
        size_t used = (size_t)(newline - h->pending.p) + 1;
        command(h, str_n(h->pending.p, used - 1));
        buf_drop(&h->pending, used);
    }
}

/* ---- start ---- */

static void watch_signals_and_input(struct hollow *h)
{
    static const int signums[] = { SIGTERM, SIGINT };
    uv_handle_type input = uv_guess_handle(STDIN_FILENO);

    for (size_t i = 0; i < ARRAY_LEN(signums); i++) {
        uv_signal_init(&h->loop, &h->signals[i]);
        h->signals[i].data = h;
        uv_signal_start(&h->signals[i], on_signal, signums[i]);
    }
    uv_pipe_init(&h->loop, &h->input, 0);
    h->input.data = h;
    /* a file or /dev/null has no commands, and cannot be waited for */
    if ((input == UV_NAMED_PIPE || input == UV_TTY) && uv_pipe_open(&h->input, STDIN_FILENO) == 0)
        uv_read_start((uv_stream_t *)&h->input, on_alloc, on_input);
}

static int check(const struct options *o, struct err *e)
{
    if (!o->server || !o->dir || (!o->token && !o->token_file))
        return err_set(e, ERR_INVALID, "--server, --dir and --token or --token-file are needed");
    if (o->agents < 1 || o->agents > 100000 || o->first < 0 || o->first > 1000000 || o->rate < 0 ||
        o->joining < 0 || o->joining > 100000 || o->interval < 1 || o->duration < 0 ||
        o->lease_ms < 100 || o->status_ms < 100)
        return err_set(e, ERR_INVALID, "a number is out of its range");
    return 0;
}

static int start(struct hollow *h, struct err *e)
{
    auto_buf seed = BUF(LB_ADDRESS_MAX_BYTES);
    struct balancer_options bo = { .name = "hollow", .n_conns_max = JOINS_AT_ONCE };
    struct fleet_config fc = { .n_agents = (unsigned)h->o.agents,
                               .first = (unsigned)h->o.first,
                               .rate_per_s = (double)h->o.rate,
                               .n_joining_max = (unsigned)h->o.joining };
    struct url url;

    if (url_parse(&url, str_of(h->o.server), e) || file_mkdirs(h->o.dir, 0700, e))
        return (int)e->code;
    err_ignore(url_join_host_port(&seed, url.host, url.port)); /* a name that is too long: below */
    h->seed = buf_take(&seed);
    bo.seed = h->seed;
    machine_read(&h->machine, h->o.dir);
    if (balancer_new(&h->joins, &h->loop, &bo, e) || balancer_new(&h->known, &h->loop, &bo, e))
        return (int)e->code;
    fc.agent = (struct hollow_agent_config){ .loop = &h->loop,
                                             .joins = h->joins,
                                             .known = h->known,
                                             .machine = &h->machine,
                                             .dir = h->o.dir,
                                             .seed = h->seed,
                                             .token = h->o.token,
                                             .token_file = h->o.token_file,
                                             .prefix = h->o.prefix,
                                             .lease_ms = (uint64_t)h->o.lease_ms,
                                             .status_ms = (uint64_t)h->o.status_ms,
                                             .remotedialer = h->o.remotedialer };
    fleet_new(&h->fleet, &fc);
    timer_init(&h->line_timer, &h->loop);
    timer_init(&h->end_timer, &h->loop);
    on_line_timer(h);
    if (h->o.duration)
        timer_start_ms(&h->end_timer, (uint64_t)h->o.duration * 1000, on_end_timer, h);
    watch_signals_and_input(h);
    return 0;
}

static int help(void)
{
    auto_buf text = BUF(16 * 1024);

    err_ignore(flags_help(table, ARRAY_LEN(table), &text)); /* far below the limit */
    printf("Usage: hollow --server URL --token-file FILE --dir DIR [flags]\n\n%s", buf_cstr(&text));
    return 0;
}

int main(int argc, char **argv)
{
    struct hollow *h = mem_alloc(sizeof *h);
    struct err e = { 0 };
    int r;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        free(h);
        return help();
    }
    signal(SIGPIPE, SIG_IGN);
    proc_raise_descriptors();
    uv_loop_init(&h->loop);
    h->pending = BUF(INPUT_MAX);
    r = flags_parse(table, ARRAY_LEN(table), &h->o, argc - 1, argv + 1, NULL, &e);
    log_level_min = h->o.debug ? LOG_LVL_DEBUG : LOG_LVL_ERROR;
    r = r ? r : check(&h->o, &e);
    r = r ? r : start(h, &e);
    if (r) {
        fprintf(stderr, "hollow: %s\n", e.text);
        if (h->joins)
            balancer_close(STEAL(h->joins), NULL, NULL);
        if (h->known)
            balancer_close(STEAL(h->known), NULL, NULL);
    }
    uv_run(&h->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&h->loop))
        log_error("the loop was not empty at the end");
    buf_deinit(&h->pending);
    flags_deinit(table, ARRAY_LEN(table), &h->o);
    free(h->seed);
    free(h);
    return r ? 1 : 0;
}
