/* What the servers said of the services that central configuration is for (central.h), kept by the
 * services' IDs: with it an agent begins that has no server yet, after a restart or a reload
 * (agent.md 4.7). It outlives a registration that has no use for it, and goes with the service.
 */
#include "agent/local_state.h"
#include "base/mem.h"
#include "schema/requests_config.h"

static void known_free(struct buf *known) {
    if (known == NULL)
        return;
    buf_free(known);
    mem_free(known);
}

void central_remember(struct local *l, struct str id,
                      const struct service_config_response *answer) {
    struct buf *known = MEM_NEW(struct buf);
    schema_encode(known, &service_config_response_shape, answer);
    struct buf *had = map_put(&l->central, id, known);
    /* Answers that say nothing new come every ten minutes. */
    if (had == NULL || !str_eq(buf_str(had), buf_str(known)))
        file_store_central(l, id, answer);
    known_free(had);
}

const struct service_config_response *central_remembered(const struct local *l, struct str id,
                                                         struct arena *arena) {
    const struct buf *known = map_get(&l->central, id);
    struct service_config_response *out = ARENA_NEW(arena, struct service_config_response);
    struct error e = ERROR_IN(arena);
    return known != NULL && schema_decode_bytes(buf_str(known), &service_config_response_shape, out,
                                                arena, &e)
               ? out
               : NULL;
}

void central_forget(struct local *l, struct str id) {
    if (map_get(&l->central, id) == NULL)
        return;
    file_remove_central(l, id);
    known_free(map_remove(&l->central, id));
}

void central_forget_gone(struct local *l) {
    struct str id;
    for (size_t i = 0; map_next(&l->central, &i, &id, NULL);)
        if (local_service_find(l, id) == NULL)
            central_forget(l, id);
}

void central_free(struct local *l) {
    void *value;
    for (size_t i = 0; map_next(&l->central, &i, NULL, &value);)
        known_free(value);
    map_free(&l->central);
}
