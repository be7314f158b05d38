/* Joining: the addresses as they are given, names resolved first (gossip.md 12.7). See
 * gossip_driver_room.h.
 */
#include "base/mem.h"
#include "net/resolve.h"
#include "server/gossip_driver_room.h"

/* One address as it was given, and what became of it. */
struct join_part {
    struct gossip_join *join;
    struct str text; /* as given */
    struct str name; /* of the node, before the slash */
    uint16_t port;
    struct resolve *resolve;
    struct gossip_target *targets;
    size_t count;
};

struct gossip_join {
    struct gossip_join *next, *previous;
    struct gossip_driver *driver;
    struct gossip_command *command;
    struct arena arena;
    struct join_part *parts;
    size_t count, waiting;
};

static void join_unlink(struct gossip_join *j) {
    if (j->previous != NULL)
        j->previous->next = j->next;
    else
        j->driver->joins = j->next;
    if (j->next != NULL)
        j->next->previous = j->previous;
}

static void join_free(struct gossip_join *j) {
    struct arena arena = j->arena;
    arena_free(&arena);
}

/* All names have their addresses, or a reason why not. */
static void join_go(struct gossip_join *j) {
    struct gossip_driver *d = j->driver;
    size_t len = 0;
    for (size_t i = 0; i < j->count; i++)
        len += j->parts[i].count;
    struct gossip_target *targets = ARENA_ARRAY(&j->arena, struct gossip_target, len + 1);
    len = 0;
    for (size_t i = 0; i < j->count; i++) {
        for (size_t k = 0; k < j->parts[i].count; k++)
            targets[len++] = j->parts[i].targets[k];
    }
    struct gossip_event event = {.kind = GOSSIP_EVENT_JOIN,
                                 .join = {.targets = targets, .len = len}};
    join_unlink(j);
    gossip_command_run(d, j->command, &event);
    join_free(j);
}

static void part_failed(struct join_part *p, struct str why) {
    struct arena *arena = &p->join->arena;
    p->targets = ARENA_NEW(arena, struct gossip_target);
    p->targets->failed = str_format(arena, "Failed to resolve " STR_FMT ": " STR_FMT,
                                    STR_ARG(p->text), STR_ARG(why));
    p->count = 1;
}

static void on_resolved(void *owner, const struct resolved_address *addresses, size_t count,
                        const struct error *e) {
    struct join_part *p = owner;
    struct gossip_join *j = p->join;
    p->resolve = NULL;
    if (count == 0) {
        part_failed(p, e->text);
    } else {
        p->targets = ARENA_ARRAY(&j->arena, struct gossip_target, count);
        p->count = count;
        for (size_t i = 0; i < count; i++) {
            p->targets[i].name = p->name;
            gossip_address_set(&p->targets[i].address, str_of(addresses[i].ip, addresses[i].len),
                               p->port);
        }
    }
    if (--j->waiting == 0)
        join_go(j);
}

static bool no_such_host(struct str text, struct error *e) {
    return error_set(e, ERROR_IO, "lookup " STR_FMT ": no such host", STR_ARG(text));
}

static bool read_port(struct str text, uint16_t *port, struct error *e) {
    uint64_t number = 0;
    bool digits = text.len > 0;
    for (size_t i = 0; i < text.len; i++)
        digits &= text.data[i] >= '0' && text.data[i] <= '9';
    if (!digits || !str_to_u64(text, &number) || number > UINT16_MAX)
        return error_set(e, ERROR_IO, "strconv.ParseUint: parsing " STR_FMT ": %s",
                         STR_ARG(str_quote(e->arena, text)),
                         digits ? "value out of range" : "invalid syntax");
    *port = (uint16_t)number;
    return true;
}

/* "host", "host:port", "[ip]", "[ip]:port", a bare IPv6 address. */
static bool host_split(struct str text, struct str *host, uint16_t *port, struct error *e) {
    ptrdiff_t first = str_find_char(text, ':');
    struct str whole = text;
    *host = text;
    if (text.len > 0 && text.data[0] == '[') {
        ptrdiff_t end = str_find_char(text, ']');
        if (end < 0)
            return error_set(e, ERROR_IO, "address " STR_FMT ": missing ']' in address",
                             STR_ARG(text));
        *host = str_sub(text, 1, (size_t)end - 1);
        text = str_sub(text, (size_t)end + 1, text.len);
        if (text.len == 0)
            return true;
        if (text.data[0] != ':')
            return no_such_host(whole, e);
        text = str_sub(text, 1, text.len);
    } else if (first >= 0 && str_find(text, STR(":"), (size_t)first + 1) < 0) {
        *host = str_sub(text, 0, (size_t)first);
        text = str_sub(text, (size_t)first + 1, text.len);
    } else {
        return true;
    }
    return read_port(text, port, e);
}

static void part_start(struct join_part *p, struct str text, struct loop *core) {
    struct gossip_join *j = p->join;
    struct gossip_address address;
    struct error e = ERROR_IN(&j->arena);
    struct str host;
    p->text = str_copy(&j->arena, text);
    p->port = gossip_driver_port(j->driver);
    struct str rest = p->text;
    ptrdiff_t slash = str_find_char(rest, '/');
    if (slash >= 0) {
        p->name = str_sub(rest, 0, (size_t)slash);
        rest = str_sub(rest, (size_t)slash + 1, rest.len);
    }
    if (slash == 0) {
        part_failed(p, STR("empty node name provided"));
    } else if (!host_split(rest, &host, &p->port, &e) ||
               (host.len == 0 && !no_such_host(host, &e))) {
        part_failed(p, e.text);
    } else if (gossip_address_parse_ip(&address, host, p->port)) {
        p->targets = ARENA_NEW(&j->arena, struct gossip_target);
        *p->targets = (struct gossip_target){.name = p->name, .address = address};
        p->count = 1;
    } else {
        p->resolve = resolve_start(core, host, on_resolved, p);
        j->waiting++;
    }
}

void gossip_driver_join(struct gossip_driver *d, const struct str *addresses, size_t count,
                        gossip_join_done *done, void *owner) {
    struct gossip_command *c = gossip_command_new(d, GOSSIP_ACTION_JOINED, owner);
    c->join = done;
    struct arena arena = ARENA_INIT;
    struct gossip_join *j = ARENA_NEW(&arena, struct gossip_join);
    j->arena = arena;
    j->driver = d;
    j->command = c;
    j->count = count;
    j->parts = ARENA_ARRAY(&j->arena, struct join_part, count + 1);
    j->next = d->joins;
    if (j->next != NULL)
        j->next->previous = j;
    d->joins = j;
    j->waiting = 1; /* until all have begun */
    for (size_t i = 0; i < count && !d->stopping; i++) {
        j->parts[i].join = j;
        part_start(&j->parts[i], addresses[i], d->core);
    }
    if (--j->waiting == 0)
        join_go(j);
}

void gossip_joins_cancel(struct gossip_driver *d) {
    while (d->joins != NULL) {
        struct gossip_join *j = d->joins;
        for (size_t i = 0; i < j->count; i++) {
            if (j->parts[i].resolve != NULL)
                resolve_cancel(j->parts[i].resolve);
        }
        join_unlink(j); /* its command is answered with the others */
        join_free(j);
    }
}
