/* See ca_trust.h. */
#include "server/ca_trust.h"

#include "base/log.h"
#include "base/mem.h"
#include "server/endpoint_connect_ca.h"
#include "server/secure.h"
#include "server/server_room.h"

static bool gives_certificates(const struct server *s) {
    return s->options.ca.allow_tls || s->options.ca.authorizer != NULL;
}

void ca_trust(struct server *s) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct indexed_ca_roots roots;
    if (!gives_certificates(s)) {
        return;
    }
    bool ok = ca_roots_now(s, &roots, &arena, &e);
    if (ok) {
        struct str *pems = ARENA_ARRAY(&arena, struct str, roots.roots.len + 1);
        struct secure_auto automatic = {.authorities = pems};
        for (uint32_t i = 0; i < roots.roots.len; i++) {
            pems[automatic.authority_count++] =
                LIST_AT(roots.roots, struct ca_root *, i)->root_cert;
        }
        ok = secure_set_auto(s->secure, &automatic, &e);
    }
    if (!ok) {
        log_at(LOG_ERROR, "agent.server", "Failed to use the CA roots for TLS",
               LOG_S("error", e.text));
    }
    arena_free(&arena);
}

void ca_trust_touched(struct server *s, const struct watch_touched *touched) {
    struct watch_key key;
    for (size_t i = 0; gives_certificates(s) && watch_touched_at(touched, i, &key); i++) {
        if (key.table == WATCH_ALL ||
            (key.table == WATCH_TABLE && str_is(key.name, "connect-ca-roots"))) {
            ca_trust(s);
            return;
        }
    }
}
