#pragma once
/* Certificates, configurations and a pair of TLS ends for the tests of tls. Include cmocka.h first.
 */
#include "base/io/tls.h"
#include "base/io/unix.h"
#include "test/unit/base/io/certs.h"
#include "test/unit/base/io/io_end.h"

static struct cert ca, other_ca, server_cert, server_cert2, client_cert, foreign_cert, expired_cert;

static inline int make_certs(void **state)
{
    (void)state;
    cert_make(&ca, NULL, "test-ca", NULL, NULL, 86400);
    cert_make(&other_ca, NULL, "other-ca", NULL, NULL, 86400);
    cert_make(&server_cert, &ca, "server", "DNS:server.test,DNS:localhost,IP:127.0.0.1,IP:fd00::1",
              "serverAuth", 86400);
    cert_make(&server_cert2, &other_ca, "server2", "DNS:server.test", "serverAuth", 86400);
    cert_make(&client_cert, &ca, "client", NULL, "clientAuth", 86400);
    cert_make(&foreign_cert, &other_ca, "foreign", NULL, "clientAuth", 86400);
    cert_make(&expired_cert, &ca, "expired", NULL, "clientAuth", -60);
    return 0;
}

static inline int free_certs(void **state)
{
    struct cert *all[] = { &ca,          &other_ca,     &server_cert, &server_cert2,
                           &client_cert, &foreign_cert, &expired_cert };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        cert_deinit(all[i]);
    return 0;
}

static const char *const alpn_both[] = { "h2", "http/1.1", NULL };

static inline struct tls_server_config *server_config(void)
{
    struct tls_server_config *c;
    struct err e;

    assert_int_equal(tls_server_config_new(&c, str_of(server_cert.cert_pem),
                                           str_of(server_cert.key_pem), str_of(ca.cert_pem),
                                           alpn_both, &e),
                     0);
    return c;
}

static inline struct tls_client_config *client_config(const struct cert *trust,
                                                      const struct cert *own,
                                                      const char *const *alpn)
{
    struct tls_client_config *c;
    struct err e;
    struct tls_client_options o = { .ca_pem = trust ? str_of(trust->cert_pem) : STR(""),
                                    .insecure = !trust,
                                    .alpn = alpn };

    if (own) {
        o.cert_chain_pem = str_of(own->cert_pem);
        o.key_pem = str_of(own->key_pem);
    }
    assert_int_equal(tls_client_config_new(&c, &o, &e), 0);
    return c;
}

/* Both ends over a pair of connected sockets. */
struct pair {
    uv_loop_t loop;
    struct end server, client;
    struct err err;
    int n_done;
};

static inline void on_client_done(void *arg, struct stream *s, const struct err *e)
{
    struct pair *p = arg;

    p->n_done++;
    if (s)
        end_open(&p->client, s);
    else
        p->err = *e;
}

static inline int is_done(void *arg)
{
    return ((struct pair *)arg)->n_done;
}

static inline int both_know(void *arg)
{
    struct pair *p = arg;
    const struct tls_peer *peer = stream_tls_peer(p->server.s);

    /* the server's side is complete when it has read the client's Finished */
    return p->n_done && (p->err.code || *peer->verify_text);
}

static inline void pair_init(struct pair *p, struct tls_server_config *sc,
                             struct tls_client_config *cc, const char *name)
{
    struct stream *a, *b;
    struct err e;

    memset(p, 0, sizeof *p);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    assert_int_equal(unix_pair(&a, &b, &p->loop, &p->loop, &e), 0);
    end_open(&p->server, tls_server_wrap(sc, a));
    tls_client_wrap(cc, b, name, 20000, on_client_done, p);
    assert_int_equal(p->n_done, 0);
    run_until(&p->loop, both_know, p);
    assert_int_equal(p->n_done, 1);
}

static inline void pair_deinit(struct pair *p)
{
    end_close(&p->server);
    end_close(&p->client);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    assert_int_equal(p->server.n_closed, p->server.s != NULL);
    assert_int_equal(p->client.n_closed, p->client.s != NULL);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    end_deinit(&p->server);
    end_deinit(&p->client);
}
