/*
 * coracle: the one binary. Options in, library calls out.
 *
 * `server` runs the server role on a thread of its own and, unless --disable-agent, an agent role
 * on another; the agent reaches the server over loopback TLS like any remote one. The main thread
 * waits for signals: SIGTERM and SIGINT stop the roles and leave containers running, SIGUSR1 stops
 * them and removes the pods of this node first.
 */
#include "agent/boot/agent.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/flags.h"
#include "base/io/file.h"
#include "base/io/known_time.h"
#include "base/io/notify.h"
#include "base/io/proc.h"
#include "base/pki/token.h"
#include "server/boot/node_ask.h"
#include "server/boot/restore.h"
#include "server/boot/server.h"
#include "tools/coracle_cli.h"
#include "tools/coracle_options.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define TRIM_AFTER_MS      20000 /* the start is over by then */
#define LOOK_EVERY_MS      60000 /* at the known time, and for holes in the heap */
#define TEST_LOOK_MS       100
#define TEST_CLOCK_ENV     "CORACLE_TEST_CLOCK_FILE"
#define DEFAULT_CONFIG     "/etc/rancher/k3s/config.yaml"
#define DEFAULT_KUBECONFIG "/etc/rancher/k3s/k3s.yaml"

#ifndef CORACLE_VERSION
#define CORACLE_VERSION "unknown"
#endif
#ifndef CORACLE_COMMIT
#define CORACLE_COMMIT ""
#endif
#ifndef CORACLE_BUILT_UNIX_S
#define CORACLE_BUILT_UNIX_S 0
#endif
#define KUBERNETES_VERSION "v1.32.0+coracle"

extern char **environ;

int die(const char *what, const struct err *e)
{
    fprintf(stderr, "coracle: %s: %s\n", what, e->text);
    return 1;
}

/* ---- the clock ---- */

/* Tests only: the variable names a file with the seconds that the machine's clock is to be ahead.
 * It is looked at all the time, so a test moves the clock of all its processes by writing it. Only
 * a file that nobody but our user can read or write counts; whoever sets our environment could
 * preload a library just as well. False: there is none. */
static bool follow_test_clock(void)
{
    const char *path = getenv(TEST_CLOCK_ENV);
    static long long offset_s;
    auto_buf text = BUF(64);
    long long now_s;
    struct err e;

    if (!path || !*path)
        return false;
    if (file_check_private(path, &e) || file_read(path, text.max, &text, &e))
        return true; /* being written: the next look finds it */
    now_s = strtoll(buf_cstr(&text), NULL, 10);
    if (now_s != offset_s)
        clock_set_offset_s(now_s);
    offset_s = now_s;
    return true;
}

static void tell_clock(void)
{
    if (follow_test_clock())
        log_warn("the clock follows a file, for a test", kv("file", getenv(TEST_CLOCK_ENV)));
    if (clock_machine_s() + CLOCK_SLACK_S < CORACLE_BUILT_UNIX_S)
        log_warn("this machine's clock is before the day this program was built: going on from "
                 "that day",
                 kv("machine_unix_s", clock_machine_s()));
}

/* ---- the roles ---- */

struct roles {
    const struct server_options *server_options; /* NULL: agent only */
    struct node_options node;                    /* of the agent; borrowed texts */
    struct server *server;
    struct agent *agent;
    pthread_t server_thread, agent_thread;
    bool server_running, agent_running;
    _Atomic bool server_ended; /* its loop is gone: it cannot be asked to stop any more */
    pthread_t main_thread;
    struct known_time known_time;
};

static void *run_server(void *arg)
{
    struct roles *r = arg;

    server_run(r->server);
    r->server_ended = true;
    pthread_kill(r->main_thread, SIGUSR2); /* ended by itself: the process follows */
    return NULL;
}

static void *run_agent(void *arg)
{
    struct roles *r = arg;

    agent_run(r->agent);
    return NULL;
}

static void on_agent_ready(void *arg)
{
    const struct roles *r = arg;

    log_info("node is Ready");
    if (!r->server)
        notify_ready();
}

/* The server answers: tell the main thread, which starts the agent. */
static void on_server_ready(void *arg)
{
    const struct roles *r = arg;

    notify_ready();
    pthread_kill(r->main_thread, SIGUSR2);
}

static int start_agent(struct roles *r, struct err *e)
{
    struct agent_events events = { .on_ready = on_agent_ready, .arg = r };

    if (agent_new(&r->agent, &r->node, &events, e))
        return err_wrap(e, "start the agent");
    if (pthread_create(&r->agent_thread, NULL, run_agent, r))
        return err_set(e, ERR_IO, "start the agent: no thread");
    r->agent_running = true;
    return 0;
}

static int start_server(struct roles *r, struct err *e)
{
    struct server_events events = { .on_ready = on_server_ready, .arg = r };

    if (server_new(&r->server, r->server_options, &events, e))
        return err_wrap(e, "start the server");
    if (pthread_create(&r->server_thread, NULL, run_server, r))
        return err_set(e, ERR_IO, "start the server: no thread");
    r->server_running = true;
    return 0;
}

static void stop_all(struct roles *r, bool stop_pods)
{
    if (r->agent_running) {
        agent_stop(r->agent, stop_pods);
        pthread_join(r->agent_thread, NULL);
    }
    if (r->server_running) {
        if (!r->server_ended)
            server_stop(r->server);
        pthread_join(r->server_thread, NULL);
    }
    agent_free(r->agent);
    server_free(r->server);
}

/* The next signal. Meanwhile looks after the clock, and gives back what only the start needed. */
static int next_signal(struct roles *r, const sigset_t *signals)
{
    static bool trimmed;
    uint64_t started_ms = clock_mono_ms();

    for (;;) {
        bool in_test = follow_test_clock();
        uint64_t wait_ms = in_test ? TEST_LOOK_MS : trimmed ? LOOK_EVERY_MS : TRIM_AFTER_MS;
        struct timespec wait = { (time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000 };
        int n = sigtimedwait(signals, NULL, &wait);

        if (n > 0)
            return n;
        known_time_look(&r->known_time);
        if (!trimmed && clock_mono_ms() - started_ms >= TRIM_AFTER_MS) {
            trimmed = true;
            mem_trim();
        } else if (trimmed && !in_test) {
            mem_trim_heap();
        }
    }
}

/* Starts what r asks for, then waits for a signal that ends it. */
static int run_roles(struct roles *r)
{
    struct err e = { 0 };
    sigset_t signals;
    int signal_n = 0;
    int code = 0;

    notify_init();
    proc_seal_descriptors();
    proc_raise_descriptors();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals,
                    NULL); /* threads inherit it; children are reset by libuv */
    r->main_thread = pthread_self();
    tell_clock();
    known_time_open(&r->known_time, r->node.data_dir, r->server_options != NULL);

    if (r->server_options ? start_server(r, &e) : start_agent(r, &e))
        code = die(r->server_options ? "server" : "agent", &e);
    while (!code) {
        signal_n = next_signal(r, &signals);
        if (signal_n != SIGUSR2 || r->server_ended)
            break;
        known_time_look(&r->known_time); /* the server answers */
        if (r->server_options && !r->server_options->disable_agent && !r->agent) {
            r->node.server = (char *)server_url(r->server);
            r->node.token = (char *)server_agent_token(r->server);
            r->node.token_file = NULL;
            if (start_agent(r, &e))
                code = die("agent", &e);
        }
    }
    if (!code)
        log_info("stopping", kv("signal", strsignal(signal_n)));
    notify_stopping();
    if (r->server_ended)
        code = 1;
    stop_all(r, signal_n == SIGUSR1);
    uv_library_shutdown(); /* its pool's threads end before OpenSSL, whose state they free */
    known_time_close(&r->known_time);
    return code;
}

/* ---- command lines ---- */

const char *take_config_flag(int *argc, char **argv)
{
    const char *env = getenv("K3S_CONFIG_FILE");
    const char *path = NULL;
    int n = 0;

    for (int i = 0; i < *argc; i++) {
        struct str word = str_of(argv[i]), name, value;
        bool joined = str_cut(word, '=', &name, &value);
        bool is_config = str_is(name, "--config") || str_is(name, "-config") || str_is(name, "-c");

        if (is_config && joined)
            path = value.p;
        else if (is_config && i + 1 < *argc)
            path = argv[++i];
        else
            argv[n++] = argv[i];
    }
    *argc = n;
    return env && *env ? env : path ? path : DEFAULT_CONFIG;
}

int show_help(const char *command, const struct flag *table, size_t n)
{
    auto_buf b = BUF(64 * 1024);

    err_ignore(buf_addf(&b, "Usage: coracle %s [flags]\n\n", command)); /* far below the limit */
    err_ignore(flags_help(table, n, &b));
    fputs(buf_cstr(&b), stdout);
    return 0;
}

bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* Links lead into these folders, and children get their names: they are absolute, as K3s' are. */
static int folders_of(struct node_options *node, struct err *e)
{
    char **const folders[] = { &node->data_dir, &node->node_dir, &node->run_dir };

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char *absolute;
        if (file_absolute(&absolute, *folders[i], e))
            return e->code;
        free(*folders[i]);
        *folders[i] = absolute;
    }
    return 0;
}

/* argv of a role: file words in front, then flags into options, and the record of both. */
static int read_role(const char *command, const struct flag *table, size_t n, bool drop_unknown,
                     int argc, char **argv, void *options, struct node_options *node, struct err *e)
{
    const char *path = take_config_flag(&argc, argv);
    struct flag_list words = { 0 };
    auto_buf args = BUF(256 * 1024), env = BUF(256 * 1024);
    int r;

    r = flags_inject_config(table, n, path, drop_unknown, argc, argv, &words, e);
    r = r ? r : flags_parse(table, n, options, (int)words.n, words.v, NULL, e);
    if (!r) {
        struct flag_list all = { 0 };
        flag_list_add(&all, str_of(command));
        for (size_t i = 0; i < words.n; i++)
            flag_list_add(&all, str_of(words.v[i]));
        if (flags_node_args(table, n, (int)all.n, all.v, &args) || flags_node_env(environ, &env))
            r = err_set(e, ERR_LIMIT, "command line or environment is too long");
        flag_list_free(&all);
        node->node_args = buf_take(&args);
        node->node_env = buf_take(&env);
        node->version = KUBERNETES_VERSION;
    }
    flag_list_free(&words);
    return r ? r : folders_of(node, e);
}

/* Hides secrets from `ps`: the arguments are ours by now. */
static void hide_arguments(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        explicit_bzero(argv[i], strlen(argv[i]));
}

static int cmd_server(int argc, char **argv)
{
    struct server_options o = { .build_commit = CORACLE_COMMIT };
    struct roles r = { .server_options = &o };
    struct err e = { 0 };
    int code;

    if (wants_help(argc, argv))
        return show_help("server", server_flags, server_flags_n);
    if (read_role("server", server_flags, server_flags_n, true, argc, argv, &o, &o.node, &e)) {
        code = die("server", &e);
    } else {
        hide_arguments(argc, argv);
        log_level_min = o.node.debug ? LOG_LVL_DEBUG : LOG_LVL_INFO;
        r.node = o.node;
        r.node.bind_address = o.bind_address;
        if (!o.cluster_reset)
            code = run_roles(&r);
        else
            code = restore_run(&o, &e) ? die("server: restore", &e) : 0;
    }
    free(o.node.node_args);
    free(o.node.node_env);
    flags_deinit(server_flags, server_flags_n, &o);
    return code;
}

static int cmd_report(int argc, char **argv)
{
    bool is_lb = argc > 0 && strcmp(argv[0], "lb") == 0;
    struct {
        char *data_dir, *output;
    } o = { 0 };
    const struct flag table[] = {
        { .name = "data-dir",
          .alias = 'd',
          .type = FLAG_STR,
          .offset = 0,
          .dflt = "/var/lib/rancher/k3s",
          .env = "K3S_DATA_DIR",
          .help = "folder of the state" },
        { .name = "output",
          .alias = 'o',
          .type = FLAG_STR,
          .offset = sizeof(char *),
          .dflt = "text",
          .help = "text or json",
          .one_of = "text|json" },
    };
    auto_buf out = BUF(1024 * 1024);
    struct err e = { 0 };
    int skip = is_lb ? 2 : 1;
    int code = 0;

    if (argc < skip || (is_lb && strcmp(argv[1], "status") != 0)) {
        fprintf(stderr, "Usage: coracle agent [lb] status [--output json]\n");
        return 1;
    }
    if (wants_help(argc, argv))
        return show_help(is_lb ? "agent lb status" : "agent status", table, ARRAY_LEN(table));
    if (flags_parse(table, ARRAY_LEN(table), &o, argc - skip, argv + skip, NULL, &e) ||
        agent_report(o.data_dir, is_lb ? AGENT_REPORT_LB : AGENT_REPORT_STATUS,
                     o.output && strcmp(o.output, "json") == 0, &out, &e))
        code = die("agent status", &e);
    fputs(buf_cstr(&out), stdout);
    flags_deinit(table, ARRAY_LEN(table), &o);
    return code;
}

static int cmd_agent(int argc, char **argv)
{
    struct node_options o = { 0 };
    struct roles r = { 0 };
    struct err e = { 0 };
    int code;

    if (argc > 0 && (strcmp(argv[0], "status") == 0 || strcmp(argv[0], "lb") == 0))
        return cmd_report(argc, argv);
    if (wants_help(argc, argv))
        return show_help("agent", agent_flags, agent_flags_n);
    if (read_role("agent", agent_flags, agent_flags_n, false, argc, argv, &o, &o, &e)) {
        code = die("agent", &e);
    } else if (!o.server) {
        err_set(&e, ERR_INVALID, "--server (or K3S_URL) is needed: the URL of the cluster to join");
        code = die("agent", &e);
    } else {
        hide_arguments(argc, argv);
        log_level_min = o.debug ? LOG_LVL_DEBUG : LOG_LVL_INFO;
        r.node = o;
        code = run_roles(&r);
    }
    free(o.node_args);
    free(o.node_env);
    flags_deinit(agent_flags, agent_flags_n, &o);
    return code;
}

/* ---- the tools beside us ---- */

/* The first program of that name on PATH that is not this binary (it may be linked as kubectl). */
static char *find_tool(const char *name)
{
    const char *path = getenv("PATH");
    struct str rest =
        str_of(path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    struct stat self, st;

    if (stat("/proc/self/exe", &self))
        return NULL;
    while (rest.n) {
        struct str dir;
        str_cut(rest, ':', &dir, &rest);
        char *file = mem_printf(STR_FMT "/%s", STR_ARG(dir), name);
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0 &&
            (st.st_dev != self.st_dev || st.st_ino != self.st_ino))
            return file;
        free(file);
    }
    return NULL;
}

/* argv[0] is the tool's name. Returns only on failure. */
static int exec_tool(char **argv)
{
    auto_free char *file = find_tool(argv[0]);
    const char *run_dir = "/run/k3s";
    auto_free char *socket = mem_printf("unix://%s/containerd/containerd.sock", run_dir);

    if (!file) {
        fprintf(stderr,
                "coracle: no %s on the PATH; install it (Debian: kubernetes-client, "
                "containerd or cri-tools)\n",
                argv[0]);
        return 127;
    }
    if (strcmp(argv[0], "kubectl") == 0)
        setenv("KUBECONFIG", DEFAULT_KUBECONFIG, 0); /* the user's own setting wins */
    setenv("CONTAINER_RUNTIME_ENDPOINT", socket, 0);
    setenv("CONTAINERD_ADDRESS", socket + strlen("unix://"), 0);
    setenv("CONTAINERD_NAMESPACE", "k8s.io", 0);
    execv(file, argv);
    fprintf(stderr, "coracle: run %s: %s\n", file, strerror(errno));
    return 126;
}

static int cmd_token(int argc, char **argv)
{
    char token[24];

    if (argc != 1 || strcmp(argv[0], "generate") != 0) {
        fprintf(stderr, "coracle: token: only `token generate` is there yet; K3s's create, delete, "
                        "list and rotate are not\n");
        return 1;
    }
    token_bootstrap_new(token);
    puts(token);
    return 0;
}

/* As kubectl and K3s's token commands find it; of a list of files the first. */
static const char *default_kubeconfig(char *list)
{
    if (!list || !*list)
        return DEFAULT_KUBECONFIG;
    list[strcspn(list, ":")] = '\0';
    return list;
}

static int cmd_node(int argc, char **argv)
{
    struct {
        char *kubeconfig, *server, *output;
    } o = { 0 };
    const struct flag table[] = {
        { .name = "kubeconfig",
          .type = FLAG_STR,
          .offset = 0,
          .env = "KUBECONFIG",
          .help = "an admin's (default: " DEFAULT_KUBECONFIG ")" },
        { .name = "server",
          .alias = 's',
          .type = FLAG_STR,
          .offset = sizeof(char *),
          .help = "the server to ask (default: that of the kubeconfig)" },
        { .name = "output",
          .alias = 'o',
          .type = FLAG_STR,
          .offset = 2 * sizeof(char *),
          .dflt = "text",
          .help = "text or json",
          .one_of = "text|json" },
    };
    struct flag_list names = { 0 };
    auto_buf out = BUF(NODE_ASK_MAX_BYTES);
    struct err e = { 0 };
    int code = 0;

    if (argc < 1 || strcmp(argv[0], "why") != 0) {
        fprintf(stderr, "Usage: coracle node why [NAME] [--output json]\n");
        return 1;
    }
    if (wants_help(argc, argv))
        return show_help("node why [NAME]", table, ARRAY_LEN(table));
    int r = flags_parse(table, ARRAY_LEN(table), &o, argc - 1, argv + 1, &names, &e);
    if (!r && names.n > 1)
        r = err_set(&e, ERR_INVALID, "one name, or none for all nodes");
    struct node_ask q = { .kubeconfig = default_kubeconfig(o.kubeconfig),
                          .server = o.server,
                          .node = names.n ? names.v[0] : NULL,
                          .as_json = o.output && strcmp(o.output, "json") == 0 };
    if (r || node_ask(&q, &out, &e))
        code = die("node why", &e);
    fputs(buf_cstr(&out), stdout);
    flag_list_free(&names);
    flags_deinit(table, ARRAY_LEN(table), &o);
    return code;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "server", cmd_server, "run a server, with a node of its own unless --disable-agent" },
    { "agent", cmd_agent, "run a node; `agent status` and `agent lb status` ask it how it is" },
    { "node", cmd_node, "why [NAME]: why a node cannot be reached, and its last transitions" },
    { "token", cmd_token, "generate: print a bootstrap token" },
    { "etcd-snapshot", cmd_etcd_snapshot, "save, ls, delete, prune: snapshots of the datastore" },
};

static int usage(FILE *to)
{
    fputs("Usage: coracle COMMAND [flags]\n\nAn edge Kubernetes, compatible with K3s.\n\n", to);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "  %-22s %s\n", commands[i].name, commands[i].help);
    fputs("  kubectl, crictl, ctr   run the tool with this cluster's configuration\n\n"
          "`coracle COMMAND --help` lists the flags of a command.\n",
          to);
    return to == stderr;
}

static bool is_tool(const char *name)
{
    return strcmp(name, "kubectl") == 0 || strcmp(name, "crictl") == 0 || strcmp(name, "ctr") == 0;
}

int main(int argc, char **argv)
{
    static const char *const later[] = { "certificate", "secrets-encrypt", "check-config",
                                         "completion" };
    auto_free char *self = mem_strdup(argc ? argv[0] : "coracle");
    char *name = basename(self);
    const char *url = getenv("K3S_URL");

    clock_set_build_s(CORACLE_BUILT_UNIX_S);
    follow_test_clock();
    if (is_tool(name)) {
        argv[0] = name;
        return exec_tool(argv);
    }
    if (argc < 2)
        return url && *url ? cmd_agent(0, argv + argc) : usage(stderr);
    if (is_tool(argv[1]))
        return exec_tool(argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0 ||
        strcmp(argv[1], "version") == 0) {
        printf("coracle %s (Kubernetes %s)\n", CORACLE_VERSION, KUBERNETES_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (strcmp(argv[1], later[i]) == 0) {
            fprintf(stderr, "coracle: %s: K3s has this command, this version of Coracle does not\n",
                    argv[1]);
            return 1;
        }
    fprintf(stderr, "coracle: unknown command \"%s\"\n", argv[1]);
    return usage(stderr);
}
