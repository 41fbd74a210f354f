#include "server/boot/server_certs.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/stream.h"
#include "base/io/timer.h"
#include "base/io/tls.h"
#include "server/ca/ca.h"

#include <arpa/inet.h>

#define RENEW_LOOK_MS  2000 /* a few comparisons: a clock that was set is noticed at once */
#define RENEW_RETRY_MS (60u * 1000)

struct server_certs {
    struct ca *ca;
    struct tls_server_config *listener;
    struct tls_client_config *kubelet;
    struct timer timer;
    bool stopped;
};

static struct tls_client_options kubelet_options(const struct server_certs *c)
{
    return (struct tls_client_options){
        .ca_pem = ca_cacerts(c->ca),
        .cert_chain_pem = ca_client_cert(c->ca, CA_CLIENT_API_SERVER),
        .key_pem = ca_client_key(c->ca, CA_CLIENT_API_SERVER),
    };
}

int server_certs_new(struct server_certs **out, uv_loop_t *loop, struct ca *ca, struct err *e)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    struct server_certs *c = mem_alloc(sizeof *c);

    c->ca = ca;
    timer_init(&c->timer, loop);
    *out = c; /* in a failure, too: its timer is on the loop */
    struct tls_client_options o = kubelet_options(c);
    if (tls_client_config_new(&c->kubelet, &o, e))
        return err_wrap(e, "client certificate of the API server");
    return tls_server_config_new(&c->listener, ca_listener_cert(ca), ca_listener_key(ca),
                                 ca_client_ca(ca), alpn, e);
}

void server_certs_free(struct server_certs *c)
{
    if (!c)
        return;
    tls_server_config_free(c->listener);
    tls_client_config_free(c->kubelet);
    free(c);
}

/* ---- renewal ---- */

static void reload_listener(struct server_certs *c)
{
    struct err e;

    if (tls_server_config_reload(c->listener, ca_listener_cert(c->ca), ca_listener_key(c->ca),
                                 ca_client_ca(c->ca), &e))
        log_error("new certificate not usable, the old one stays", kv("err", e.text));
}

static void on_timer(void *arg)
{
    struct server_certs *c = arg;
    uint64_t next_ms = RENEW_LOOK_MS;
    unsigned changed = 0;
    struct err e;

    if (ca_renew_due(c->ca, clock_wall_s(), &changed, &e)) {
        log_error("certificate renewal failed, trying again in a minute", kv("err", e.text));
        next_ms = RENEW_RETRY_MS;
    }
    if (changed & CA_CHANGED_LISTENER)
        reload_listener(c);
    if (changed & CA_CHANGED_CLIENT) {
        struct tls_client_options o = kubelet_options(c);
        if (tls_client_config_reload(c->kubelet, &o, &e))
            log_error("new client certificate not usable", kv("err", e.text));
    }
    if (changed)
        log_info("certificates renewed");
    timer_start_ms(&c->timer, next_ms, on_timer, c);
}

void server_certs_start(struct server_certs *c)
{
    timer_start_ms(&c->timer, 0, on_timer, c);
}

void server_certs_stop(struct server_certs *c)
{
    if (c->stopped)
        return;
    c->stopped = true;
    timer_close(&c->timer, NULL, NULL);
}

/* ---- use ---- */

struct tls_server_config *server_certs_listener(struct server_certs *c)
{
    return c->listener;
}

struct tls_client_config *server_certs_kubelet(struct server_certs *c)
{
    return c->kubelet;
}

void server_certs_saw(struct server_certs *c, const struct stream *accepted)
{
    struct sockaddr_storage addr;
    char text[INET6_ADDRSTRLEN] = "";
    bool changed = false;
    struct err e;

    if (!stream_local_addr(accepted, &addr))
        return;
    if (addr.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&addr)->sin_addr, text, sizeof text);
    } else if (addr.ss_family == AF_INET6) {
        const struct in6_addr *ip = &((struct sockaddr_in6 *)&addr)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(ip))
            inet_ntop(AF_INET, &ip->s6_addr[12], text, sizeof text);
        else
            inet_ntop(AF_INET6, ip, text, sizeof text);
    }
    if (!text[0])
        return;
    if (ca_listener_add_san(c->ca, text, &changed, &e)) {
        static struct log_limit limit = LOG_LIMIT(1, 60000);
        if (log_allowed(&limit))
            log_warn("address not added to the certificate", kv("address", text),
                     kv("err", e.text));
    } else if (changed) {
        log_info("address added to the certificate", kv("address", text));
        reload_listener(c);
    }
}
