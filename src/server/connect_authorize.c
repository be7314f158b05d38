/* See connect_authorize.h. */
#include "server/connect_authorize.h"

#include "schema/intention_rules.h"

bool connect_source(struct str uri, struct spiffe_id *out, struct arena *arena, struct error *e) {
    struct error unread = ERROR_IN(arena);
    if (!spiffe_parse(uri, out, arena, &unread))
        return error_set(e, ERROR_BAD_REQUEST,
                         "Bad request: ClientCertURI not a valid Connect identifier");
    return out->kind == SPIFFE_SERVICE ||
           error_set(e, ERROR_BAD_REQUEST,
                     "Bad request: ClientCertURI not a valid Service identifier");
}

struct intention_query_request *connect_question(struct str target, struct str token,
                                                 struct arena *arena) {
    struct intention_query_request *q = ARENA_NEW(arena, struct intention_query_request);
    q->match = ARENA_NEW(arena, struct intention_query_match);
    q->match->type = STR("destination");
    q->match->entries = LIST_NEW(arena, struct intention_match_entry, 1);
    LIST_AT(q->match->entries, struct intention_match_entry, 0) =
        (struct intention_match_entry){.name_space = STR(INTENTION_NAMESPACE), .name = target};
    q->options.token = token;
    return q;
}

struct connect_verdict connect_decide(const struct indexed_intention_matches *found,
                                      const struct spiffe_id *source, bool controlled,
                                      bool default_allow, struct arena *arena) {
    const struct list *matches = &found->matches;
    const struct intention *x = matches->len == 0
                                    ? NULL
                                    : intention_deciding(&LIST_AT(*matches, struct list, 0),
                                                         source->namespace, source->name);
    if (x != NULL)
        return (struct connect_verdict){intention_allows(x),
                                        str_format(arena, "Matched intention: " STR_FMT,
                                                   STR_ARG(intention_describe(x, arena)))};
    if (controlled)
        return (struct connect_verdict){default_allow, STR("Default behavior configured by ACLs")};
    return (struct connect_verdict){true, STR("ACLs disabled, access is allowed by default")};
}
