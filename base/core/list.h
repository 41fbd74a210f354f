#pragma once
/*
 * List: an intrusive doubly linked ring. A head and its members are the same type; a member that is
 * in no list points to itself (list_init), so list_remove is always legal. Not thread-safe.
 */
#include "base/core/macros.h"

#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

#define LIST(name)                                                                                 \
    {                                                                                              \
        &(name), &(name)                                                                           \
    }

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *l)
{
    l->prev = at->prev;
    l->next = at;
    at->prev->next = l;
    at->prev = l;
}

static inline void list_push(struct list *head, struct list *l) /* at the end */
{
    list_insert_before(head, l);
}

static inline void list_push_front(struct list *head, struct list *l)
{
    list_insert_before(head->next, l);
}

static inline void list_remove(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

/* The first member, taken out; NULL when empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *l = head->next;

    if (l == head)
        return NULL;
    head->next = l->next; /* as list_remove does, but so that an analyzer sees head change */
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it fears the next member to be one freed before
    l->next->prev = head;
    list_init(l);
    return l;
}

/* All members move to the end of to; from is empty afterwards. */
static inline void list_move_all(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_first(head, type, member) container_of((head)->next, type, member)

/* The current member may be removed; for lists that callbacks change, list_move_all first. */
#define list_each(it, head, type, member)                                                          \
    for (type *it = container_of((head)->next, type, member),                                      \
              *it##_next = container_of(it->member.next, type, member);                            \
         &it->member != (head);                                                                    \
         it = it##_next, it##_next = container_of(it->member.next, type, member))
