/* Questions about names that are not ours, passed on to the recursors in their order (dns.md 11).
 * The ID upstream is one of our own, from a socket of its own, and the reply must repeat the
 * question: the peer is content with the client's ID (dns.md 15).
 */
#include "base/log.h"
#include "dns/query.h"

/* The client's message with another ID, uncompressed. */
static struct str upstream_message(struct dns_query *q, uint16_t id) {
    const struct dns_message *m = &q->request;
    struct buf out = BUF_INIT;
    struct dns_writer w;
    dns_writer_init(&w, &out, NULL, id, m->header.flags);
    dns_write_question(&w, &m->question);
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < m->sections[s].len; i++) {
            dns_write_record(&w, (enum dns_section)s, &m->sections[s].items[i]);
        }
    }
    struct str message = STR_NONE;
    if (dns_writer_end(&w)) {
        message = str_copy(&q->arena, buf_str(&out));
    }
    buf_free(&out);
    return message;
}

static const char *rcode_text(unsigned rcode) {
    static const char *const texts[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                        "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                        "NXRRSET", "NOTAUTH", "NOTZONE"};
    return rcode < sizeof(texts) / sizeof(texts[0]) ? texts[rcode] : "RESERVED";
}

static void ask_next(struct dns_query *q);

static void exchange_done(struct dns_exchange *x) {
    struct dns_query *q = x->owner;
    q->exchange = NULL;
    if (!x->ok) {
        log_at(LOG_ERROR, "agent.dns", "recurse failed", LOG_S("error", x->error));
        q->recursor++;
        ask_next(q);
        return;
    }
    struct str rtt = duration_format(&q->arena, time_now_monotonic() - x->started);
    struct str question = dns_question_text(&q->request.question, &q->arena);
    unsigned rcode = x->reply.header.flags & DNS_RCODE_MASK;
    if (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) {
        log_at(LOG_DEBUG, "agent.dns", "recurse failed for question", LOG_S("question", question),
               LOG_S("rtt", rtt), LOG_S("recursor", x->recursor->text),
               LOG_C("rcode", rcode_text(rcode)));
        q->recursor++;
        ask_next(q);
        return;
    }
    log_at(LOG_DEBUG, "agent.dns", "recurse succeeded for question", LOG_S("question", question),
           LOG_S("rtt", rtt), LOG_S("recursor", x->recursor->text));
    dns_query_finish_forwarded(q, &x->reply);
}

static void ask_next(struct dns_query *q) {
    if (q->recursor >= q->settings->recursor_count) {
        log_at(LOG_ERROR, "agent.dns", "all resolvers failed for question from client",
               LOG_S("question", dns_question_text(&q->request.question, &q->arena)),
               LOG_S("client", dns_client_text(q)),
               LOG_C("client_network", q->transport == DNS_TCP ? "tcp" : "udp"));
        dns_query_finish_unresolved(q);
        return;
    }
    struct dns_exchange *x = ARENA_NEW(&q->arena, struct dns_exchange);
    x->worker = q->worker;
    x->recursor = &q->settings->recursors[q->recursor];
    x->transport = q->transport;
    x->question = q->request.question;
    x->id = (uint16_t)prng_next(&q->worker->random);
    x->size = q->has_edns && q->edns.size > 512 ? q->edns.size : 512;
    x->timeout = q->settings->recursor_timeout;
    x->arena = &q->arena;
    x->done = exchange_done;
    x->owner = q;
    x->message = upstream_message(q, x->id);
    if (x->message.data == NULL) {
        dns_query_finish_unresolved(q);
        return;
    }
    q->exchange = x;
    q->worker->exchange(x);
}

void dns_forward_start(struct dns_query *q) {
    if (q->settings->recursor_count > 0) {
        q->served |= SERVED_FORWARDED;
    }
    ask_next(q);
}
