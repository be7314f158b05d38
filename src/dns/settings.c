/* The site and the settings from the agent's configuration. */
#include "dns/settings.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/dns.h"
#include "dns/dns.h"

bool dns_site_init(struct dns_site *site, const struct dns_options *options, struct error *e) {
    *site = (struct dns_site){.arena = ARENA_INIT};
    struct arena *a = &site->arena;
    const struct config_dns *config = options->settings;
    struct str domain = dns_name_from_text(config->domain, a);
    if (domain.data == NULL) {
        return error_set(e, ERROR_INTERNAL, "invalid domain: " STR_FMT, STR_ARG(config->domain));
    }
    site->domain = dns_name_lower(domain, a);
    if (config->alt_domain.len > 0) {
        struct str alt = dns_name_from_text(config->alt_domain, a);
        if (alt.data == NULL) {
            return error_set(e, ERROR_INTERNAL, "invalid alt_domain: " STR_FMT,
                             STR_ARG(config->alt_domain));
        }
        site->alt_domain = dns_name_lower(alt, a);
    }
    site->ns_name = dns_name_join(STR("\2ns\0"), site->domain, a);
    site->hostmaster = dns_name_join(STR("\12hostmaster\0"), site->domain, a);
    if (site->ns_name.data == NULL || site->hostmaster.data == NULL) {
        return error_set(e, ERROR_INTERNAL, "domain too long: " STR_FMT, STR_ARG(config->domain));
    }
    site->node_name = str_copy(a, options->node_name);
    site->datacenter = str_copy(a, options->datacenter);
    site->translate_wan_addrs = options->translate_wan_addrs;
    return true;
}

/* Whole seconds, rounded down; what is negative is none. */
static uint32_t seconds(int64_t ns) {
    int64_t s = ns / SECOND;
    return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static uint32_t u32(int64_t n) {
    return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static bool set_recursors(struct dns_settings *s, const struct config_dns *config,
                          struct error *e) {
    s->recursors = ARENA_ARRAY(&s->arena, struct dns_recursor, config->recursors.len);
    for (uint32_t i = 0; i < config->recursors.len; i++) {
        struct str text = LIST_AT(config->recursors, struct str, i);
        struct dns_recursor *r = &s->recursors[s->recursor_count++];
        r->text = str_copy(&s->arena, text);
        if (!dns_recursor_parse(text, &r->address, e)) {
            return error_prefix(e, "Invalid recursor address: ");
        }
    }
    return true;
}

static int by_name(const void *a, const void *b) {
    return str_compare(((const struct dns_ttl_rule *)a)->name,
                       ((const struct dns_ttl_rule *)b)->name);
}

static int by_length(const void *a, const void *b) {
    size_t x = ((const struct dns_ttl_rule *)a)->name.len;
    size_t y = ((const struct dns_ttl_rule *)b)->name.len;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void set_service_ttls(struct dns_settings *s, const struct config_dns *config) {
    const struct list *list = &config->service_ttl;
    s->exact_ttls = ARENA_ARRAY(&s->arena, struct dns_ttl_rule, list->len);
    s->prefix_ttls = ARENA_ARRAY(&s->arena, struct dns_ttl_rule, list->len);
    for (uint32_t i = 0; i < list->len; i++) {
        const struct config_service_ttl *t = &LIST_AT(*list, struct config_service_ttl, i);
        struct dns_ttl_rule rule = {str_copy(&s->arena, t->name), seconds(t->ttl)};
        if (str_has_suffix(rule.name, STR("*"))) {
            rule.name.len--;
            s->prefix_ttls[s->prefix_ttl_count++] = rule;
        } else {
            s->exact_ttls[s->exact_ttl_count++] = rule;
        }
    }
    qsort(s->exact_ttls, s->exact_ttl_count, sizeof(*s->exact_ttls), by_name);
    qsort(s->prefix_ttls, s->prefix_ttl_count, sizeof(*s->prefix_ttls), by_length);
}

struct dns_settings *dns_settings_new(const struct config_dns *config, struct error *e) {
    struct dns_settings *s = MEM_NEW(struct dns_settings);
    s->references = 1;
    s->allow_stale = config->allow_stale;
    s->only_passing = config->only_passing;
    s->compress = !config->disable_compression;
    s->enable_truncate = config->enable_truncate;
    s->node_meta_txt = config->node_meta_txt;
    s->use_cache = config->use_cache;
    s->a_record_limit = u32(config->a_record_limit);
    s->udp_answer_limit = u32(config->udp_answer_limit);
    s->node_ttl = seconds(config->node_ttl);
    s->max_stale = config->max_stale;
    s->cache_max_age = config->cache_max_age;
    s->recursor_timeout = config->recursor_timeout > 0 ? config->recursor_timeout : 2 * SECOND;
    s->soa_refresh = u32(config->soa.refresh);
    s->soa_retry = u32(config->soa.retry);
    s->soa_expire = u32(config->soa.expire);
    s->soa_min_ttl = u32(config->soa.min_ttl);
    set_service_ttls(s, config);
    if (!set_recursors(s, config, e)) {
        dns_settings_release(s);
        return NULL;
    }
    return s;
}

struct dns_settings *dns_settings_hold(struct dns_settings *s) {
    s->references++;
    return s;
}

void dns_settings_release(struct dns_settings *s) {
    if (s != NULL && --s->references == 0) {
        arena_free(&s->arena);
        mem_free(s);
    }
}

uint32_t dns_settings_service_ttl(const struct dns_settings *s, struct str service) {
    if (s->exact_ttl_count > 0) {
        struct dns_ttl_rule key = {service, 0};
        const struct dns_ttl_rule *rule =
            bsearch(&key, s->exact_ttls, s->exact_ttl_count, sizeof(key), by_name);
        if (rule != NULL) {
            return rule->seconds;
        }
    }
    for (size_t i = 0; i < s->prefix_ttl_count; i++) {
        if (str_has_prefix(service, s->prefix_ttls[i].name)) {
            return s->prefix_ttls[i].seconds;
        }
    }
    return 0;
}
