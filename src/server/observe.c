/* Counters of queries for services, by name and tags (agent.md 6.4). */
#include "base/metrics.h"
#include "server/near.h"

#define OBSERVE_LABELS 4 /* as many as base/metrics.h takes */

static void count(const char *family, const char *kind, const char *what,
                  const struct metric_label *labels) {
    char name[64];
    snprintf(name, sizeof(name), "%s.%s.%s", family, kind, what);
    metric_add(METRIC_COUNTER, name, 1, labels);
}

void observe_service_query(const char *family, const struct service_request *r, uint32_t found) {
    const char *kind = r->connect ? "connect" : "service";
    if (r->ingress && !r->connect && str_is(str_from(family), "health")) {
        kind = "ingress";
    }
    struct metric_label labels[OBSERVE_LABELS + 1] = {{"service", r->service_name}};
    count(family, kind, "query", labels);
    if (found == 0) {
        count(family, kind, "not-found", labels);
    }
    if (r->service_tag.len > 0) {
        labels[1] = (struct metric_label){"tag", r->service_tag};
        count(family, kind, "query-tag", labels);
        labels[1] = (struct metric_label){NULL, STR_NONE};
    }
    if (r->service_tags.len > 0) {
        for (uint32_t i = 0; i < r->service_tags.len && i + 1 < OBSERVE_LABELS; i++) {
            labels[i + 1] = (struct metric_label){"tag", LIST_AT(r->service_tags, struct str, i)};
        }
        count(family, kind, "query-tags", labels);
    }
}
