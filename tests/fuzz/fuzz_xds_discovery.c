/* Requests of discovery, one after the other on a stream, and questions whether connections may be,
 * of any bytes: no crash, no leak; who ends the stream says why. What was understood of a question
 * is written and understood again.
 */
#include <stdint.h>

#include "base/mem.h"
#include "codec/protobuf.h"
#include "xds/ads.h"

/* A gateway without anything: it has answers, and they are empty. */
static struct proxy_snapshot *snapshot_new(void) {
    struct proxy_snapshot *s = MEM_NEW(struct proxy_snapshot);
    struct node_service *service = ARENA_NEW(&s->arena, struct node_service);
    s->references = 1;
    service->kind = STR("mesh-gateway");
    service->service = STR("mesh");
    s->service = service;
    s->roots = ARENA_NEW(&s->arena, struct indexed_ca_roots);
    s->datacenter = STR("dc1");
    return s;
}

static void drain(struct ads *a, struct arena *arena) {
    for (;;) {
        struct buf out = BUF_INIT;
        struct trees warnings;
        enum ads_action action = ads_next(a, true, &out, &warnings, arena);
        if (action == ADS_AUTHORIZE)
            ads_authorized(a, NULL, true);
        ASSERT((action == ADS_SEND) == (out.len > 0));
        ASSERT(action != ADS_END || a->text.len > 0);
        buf_free(&out);
        if (action == ADS_WAIT || action == ADS_END)
            return;
    }
}

static void discover(struct str bytes, struct arena *arena) {
    struct ads a;
    ads_init(&a, STR("token"));
    ads_snapshot(&a, snapshot_new());
    for (struct str rest = bytes; rest.data != NULL;) {
        ads_request(&a, str_cut(&rest, '\n'));
        drain(&a, arena);
    }
    ads_request(&a, bytes);
    drain(&a, arena);
    ads_free(&a);
}

static void question(struct str bytes, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct check_request r, again;
    struct buf out = BUF_INIT;
    if (!proto_decode(bytes, &check_request_proto, &r, arena, &e)) {
        ASSERT(e.text.len > 0);
        return;
    }
    proto_encode(&out, &check_request_proto, &r);
    bool ok = proto_decode(buf_str(&out), &check_request_proto, &again, arena, &e);
    ASSERT(ok && (r.attributes == NULL) == (again.attributes == NULL));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    discover(str_of(data, size), &arena);
    question(str_of(data, size), &arena);
    arena_free(&arena);
    return 0;
}
