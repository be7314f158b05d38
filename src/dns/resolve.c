/* Host names that stand where an address should be (dns.md 8): looked up here when they are in our
 * domain, and asked of the recursors otherwise.
 */
#include "base/log.h"
#include "dns/query.h"

static void finish(struct dns_resolve *r) {
    r->finished = true;
    r->done(r->lookup);
}

static struct str text_of(struct dns_resolve *r) {
    return dns_name_text(r->name, &r->lookup->query->arena);
}

/* ---- in our domain ---- */

static void child_done(struct dns_lookup *child) {
    struct dns_resolve *r = child->owner;
    r->records = child->sections[DNS_ANSWER];
    finish(r);
}

static void look_up(struct dns_resolve *r) {
    struct dns_lookup *parent = r->lookup;
    struct dns_query *q = parent->query;
    if (parent->depth < 1) {
        log_at(LOG_ERROR, "agent.dns",
               "Infinite recursion detected for name, won't perform any CNAME resolution.",
               LOG_S("name", text_of(r)));
        finish(r);
        return;
    }
    struct dns_question question = {r->name, DNS_TYPE_ANY, DNS_CLASS_IN};
    struct dns_lookup *child = arena_alloc(&q->arena, sizeof(*child));
    dns_lookup_init(child, q, &question);
    child->transport = DNS_UDP; /* and no EDNS, whatever the client's query is */
    child->depth = parent->depth - 1;
    child->done = child_done;
    child->owner = r;
    dns_lookup_start(child);
}

/* ---- elsewhere ---- */

static void ask_next(struct dns_resolve *r);

static void exchange_done(struct dns_exchange *x) {
    struct dns_resolve *r = x->owner;
    r->exchange = NULL;
    if (!x->ok) {
        log_at(LOG_ERROR, "agent.dns", "cname recurse failed for name", LOG_S("name", text_of(r)),
               LOG_S("error", x->error));
        r->recursor++;
        ask_next(r);
        return;
    }
    struct arena *arena = &r->lookup->query->arena;
    log_at(LOG_DEBUG, "agent.dns", "cname recurse RTT for name", LOG_S("name", text_of(r)),
           LOG_S("rtt", duration_format(arena, time_now_monotonic() - x->started)));
    r->records = x->reply.sections[DNS_ANSWER]; /* of any rcode */
    finish(r);
}

static void ask_next(struct dns_resolve *r) {
    struct dns_query *q = r->lookup->query;
    if (r->recursor >= q->settings->recursor_count) {
        log_at(LOG_ERROR, "agent.dns", "all resolvers failed for name", LOG_S("name", text_of(r)));
        finish(r);
        return;
    }
    struct dns_exchange *x = ARENA_NEW(&q->arena, struct dns_exchange);
    struct buf message = BUF_INIT;
    struct dns_writer writer;
    x->worker = q->worker;
    x->recursor = &q->settings->recursors[r->recursor];
    x->transport = DNS_UDP;
    x->question = (struct dns_question){r->name, DNS_TYPE_A, DNS_CLASS_IN};
    x->id = (uint16_t)prng_next(&q->worker->random);
    x->size = 512;
    x->timeout = q->settings->recursor_timeout;
    x->arena = &q->arena;
    x->done = exchange_done;
    x->owner = r;
    dns_writer_init(&writer, &message, NULL, x->id, DNS_RD);
    dns_write_question(&writer, &x->question);
    dns_writer_end(&writer);
    x->message = str_copy(&q->arena, buf_str(&message));
    buf_free(&message);
    r->exchange = x;
    q->worker->exchange(x);
}

static bool is_ours(const struct dns_site *site, struct str name) {
    return (name.len > site->domain.len && dns_name_is_below(name, site->domain)) ||
           (site->alt_domain.data != NULL && name.len > site->alt_domain.len &&
            dns_name_is_below(name, site->alt_domain));
}

void dns_resolve_start(struct dns_lookup *l, struct str name, void (*done)(struct dns_lookup *l)) {
    struct dns_query *q = l->query;
    l->resolve = (struct dns_resolve){.lookup = l, .name = name, .done = done};
    if (q->resolves++ >= DNS_RESOLVES_MAX) {
        finish(&l->resolve);
    } else if (is_ours(q->worker->site, name)) {
        look_up(&l->resolve);
    } else if (q->settings->recursor_count == 0) {
        finish(&l->resolve);
    } else {
        ask_next(&l->resolve);
    }
}
