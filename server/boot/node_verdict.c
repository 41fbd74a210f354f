#include "server/boot/node_verdict.h"

#include "base/core/buf.h"
#include "base/data/time.h"

#include <stdio.h>

char *node_duration_text(char out[NODE_DURATION_BYTES], int64_t s)
{
    long long n = s;

    if (n < 120)
        snprintf(out, NODE_DURATION_BYTES, "%lld s", n);
    else if (n < 7200)
        snprintf(out, NODE_DURATION_BYTES, "%lld min", n / 60);
    else if (n < 2 * 86400)
        snprintf(out, NODE_DURATION_BYTES, "%lld h %lld min", n / 3600, n / 60 % 60);
    else
        snprintf(out, NODE_DURATION_BYTES, "%lld d %lld h", n / 86400, n / 3600 % 24);
    return out;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void because(struct node_verdict *v, enum cause c, const char *fmt, ...) PRINTF_FMT(3, 4);
static void because(struct node_verdict *v, enum cause c, const char *fmt, ...)
{
    int n = snprintf(v->reason, sizeof v->reason, "%s: ", cause_name(c));
    va_list ap;

    v->cause = c;
    va_start(ap, fmt);
    vsnprintf(v->reason + n, sizeof v->reason - (size_t)n, fmt, ap);
    va_end(ap);
}

static const struct node_refusal *later(const struct node_refusal *a, const struct node_refusal *b)
{
    if (!a || !a->cause)
        return b;
    return b && b->cause && b->at_unix_s > a->at_unix_s ? b : a;
}

/* One that explains why the node is not there: it came after the node was last seen. */
static const struct node_refusal *explains(const struct node_refusal *r, const struct node_facts *f)
{
    return r && r->cause && r->at_unix_s >= f->tunnel_unix_s && r->at_unix_s >= f->deleted_unix_s
               ? r
               : NULL;
}

static void no_tunnel(struct node_verdict *v, const struct node_facts *f,
                      const struct node_setting *s)
{
    const char *why = or_empty(f->tunnel_text);
    char at[TIME_TEXT_BYTES];

    time_text_s(at, f->tunnel_unix_s ? f->tunnel_unix_s : s->started_unix_s);
    if (f->tunnel_unix_s)
        because(v, CAUSE_SESSION, "its tunnel ended at %s%s%s", at, *why ? ": " : "", why);
    else
        because(v, CAUSE_SESSION, "it has no tunnel since this server started at %s", at);
}

/* Without a Node object. */
static void judge_absent(struct node_verdict *v, const struct node_facts *f,
                         const struct node_setting *s, const struct node_refusal **told)
{
    const struct node_refusal *r =
        explains(later(later(&f->refused, &f->with_token), &f->claimed), f);
    char at[TIME_TEXT_BYTES];

    time_text_s(at, f->deleted_unix_s);
    if (f->connected && f->deleted_unix_s)
        because(v, CAUSE_NODE,
                "the Node object was deleted at %s; its agent is there and registers again when "
                "it is restarted",
                at);
    else if (f->connected)
        because(v, CAUSE_NODE, "its agent is there, but has not registered the Node yet");
    else if (r) {
        because(v, r->cause, "%s%s", or_empty(r->text),
                r == &f->claimed ? " (by a client that only claims this name)" : "");
        *told = r;
    } else if (f->deleted_unix_s)
        because(v, CAUSE_NODE, "the Node object was deleted at %s", at);
    else
        no_tunnel(v, f, s);
}

/* False: nothing is wrong. */
static bool judge_present(struct node_verdict *v, const struct node_facts *f,
                          const struct node_setting *s, const struct node_refusal **told)
{
    char at[TIME_TEXT_BYTES];

    if (s->needs_tunnel && !f->connected) {
        const struct node_refusal *r = explains(later(&f->refused, &f->with_token), f);
        if (r)
            because(v, r->cause, "%s", or_empty(r->text));
        else
            no_tunnel(v, f, s);
        *told = r;
    } else if (f->kubelet) {
        because(v, f->kubelet, "%s", or_empty(f->kubelet_text));
    } else if (f->lease_stale) {
        time_text_s(at, f->lease_unix_s);
        because(v, CAUSE_LEASE, "it is not renewed since %s%s", at,
                s->needs_tunnel ? ", though its tunnel answers" : "");
    } else {
        return false;
    }
    return true;
}

/* ---- the line ---- */

/* Texts are bounded; what does not fit is left out. */
static void add(struct buf *b, const char *fmt, ...) PRINTF_FMT(2, 3);
static void add(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_ignore(buf_vaddf(b, fmt, ap));
    va_end(ap);
}

static void add_refusal(struct buf *b, const struct node_refusal *r, const char *who,
                        const struct node_refusal *told)
{
    char at[TIME_TEXT_BYTES];

    if (!r->cause || r == told)
        return;
    time_text_s(at, r->at_unix_s);
    add(b, "; %s was refused %u time%s, last at %s: %s: %s", who, r->n_times,
        r->n_times == 1 ? "" : "s", at, cause_name(r->cause), or_empty(r->text));
}

static void add_clock(struct buf *b, const struct node_facts *f)
{
    int64_t off = f->clock_ahead_s < 0 ? -f->clock_ahead_s : f->clock_ahead_s;
    char text[NODE_DURATION_BYTES];

    if (f->clock_known && off > NODE_CLOCK_OFF_S)
        add(b, "; its clock is %s %s", node_duration_text(text, off),
            f->clock_ahead_s < 0 ? "behind" : "ahead");
}

static void add_away(struct buf *b, const struct node_facts *f)
{
    char from[TIME_TEXT_BYTES], until[TIME_TEXT_BYTES];

    if (!f->away)
        return;
    time_text_s(from, f->away_from_unix_s);
    time_text_s(until, f->away_until_unix_s);
    add(b, "; it was away until %s, since %s for: %s: %s", until, from, cause_name(f->away),
        or_empty(f->away_text));
}

static void write_line(struct node_verdict *v, const char *node, const struct node_facts *f,
                       const struct node_refusal *told)
{
    auto_buf b = BUF(sizeof v->line - 1);
    char at[TIME_TEXT_BYTES];

    add(&b, "%s: %s%s", node, v->reachable ? "" : "not reachable: ", v->reason);
    if (v->reachable && f->connected) {
        time_text_s(at, f->tunnel_unix_s);
        add(&b, ", by its tunnel from %s since %s", or_empty(f->tunnel_text), at);
    }
    if (v->reachable && f->not_ready && *f->not_ready)
        add(&b, "; not Ready: %s", f->not_ready);
    add_clock(&b, f);
    if (f->connected)
        add_away(&b, f);
    add_refusal(&b, &f->refused, "it", told);
    add_refusal(&b, &f->with_token, "a client with a token that claims its name", told);
    add_refusal(&b, &f->claimed, "a client that only claims its name", told);
    snprintf(v->line, sizeof v->line, "%s", buf_cstr(&b));
}

void node_verdict(struct node_verdict *out, const char *node, const struct node_facts *f,
                  const struct node_setting *s)
{
    const struct node_refusal *told = NULL;
    char at[TIME_TEXT_BYTES];

    *out = (struct node_verdict){ 0 };
    if (!f || !(f->has_object || f->tunnel_unix_s || f->deleted_unix_s || f->refused.cause ||
                f->with_token.cause || f->claimed.cause)) {
        time_text_s(at, s->started_unix_s);
        snprintf(out->reason, sizeof out->reason,
                 "nobody of that name has spoken to this server since it started at %s, and there "
                 "is no such Node object",
                 at);
        snprintf(out->line, sizeof out->line, "%s: %s", node, out->reason);
        return;
    }
    out->known = true;
    if (!f->has_object)
        judge_absent(out, f, s, &told);
    else if (!judge_present(out, f, s, &told)) {
        out->reachable = true;
        snprintf(out->reason, sizeof out->reason, "reachable");
    }
    write_line(out, node, f, told);
}
