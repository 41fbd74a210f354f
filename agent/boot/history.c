#include "agent/boot/history.h"

#include "base/core/rand.h"

#include <stdio.h>

void history_init(struct history *h)
{
    *h = (struct history){ 0 };
    rand_hex(h->run, (sizeof h->run - 1) / 2);
}

static struct history_spell *ongoing(struct history *h, const char *about)
{
    for (size_t i = 0; i < h->n; i++)
        if (!h->spells[i].ended_ms && strcmp(h->spells[i].about, about) == 0)
            return &h->spells[i];
    return NULL;
}

static void make_room(struct history *h)
{
    size_t i = 0;

    if (h->n < HISTORY_SPELLS_MAX)
        return;
    while (i < h->n && !h->spells[i].ended_ms)
        i++;
    if (i == h->n)
        i = 0;
    memmove(&h->spells[i], &h->spells[i + 1], (h->n - i - 1) * sizeof h->spells[0]);
    h->n--;
}

bool history_note(struct history *h, const char *about_text, enum cause cause, const char *text,
                  uint64_t now_ms)
{
    char about[HISTORY_ABOUT_BYTES];
    struct history_spell *s;

    node_text_clean(about, sizeof about, str_of(about_text));
    s = ongoing(h, about);
    if (s && s->cause == cause) {
        s->n_times++;
        node_text_clean(s->text, sizeof s->text, str_of(text));
        return false;
    }
    if (s)
        s->ended_ms = MAX(now_ms, (uint64_t)1);
    if (cause == CAUSE_NONE)
        return s != NULL;
    make_room(h);
    s = &h->spells[h->n++];
    *s = (struct history_spell){ .cause = cause, .began_ms = now_ms, .n_times = 1 };
    memcpy(s->about, about, sizeof about);
    node_text_clean(s->text, sizeof s->text, str_of(text));
    return true;
}

void history_report(const struct history *h, struct node_report *out, uint64_t now_ms,
                    int64_t now_unix_s)
{
    *out = (struct node_report){ .now_unix_s = now_unix_s, .n_spells = h->n };
    memcpy(out->run, h->run, sizeof out->run);
    for (size_t i = 0; i < h->n; i++) {
        const struct history_spell *s = &h->spells[i];
        struct node_spell *o = &out->spells[i];
        char text[HISTORY_ABOUT_BYTES + NODE_SPELL_TEXT_BYTES + 3];

        snprintf(text, sizeof text, "%s: %s", s->about, s->text);
        node_text_clean(o->text, sizeof o->text, str_of(text));
        o->cause = s->cause;
        o->n_times = s->n_times;
        o->ongoing = !s->ended_ms;
        o->began_ago_ms = MIN(now_ms - s->began_ms, NODE_REPORT_AGE_MAX_MS);
        o->lasted_ms = MIN((s->ended_ms ? s->ended_ms : now_ms) - s->began_ms, o->began_ago_ms);
    }
}
