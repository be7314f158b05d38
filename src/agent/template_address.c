/* The functions of templates over addresses of interfaces (config.md 1.8): where they come from,
 * how they are ordered and chosen.
 */
#include <arpa/inet.h>

#include "agent/template_list.h"
#include "base/mem.h"
#include "schema/regex.h"

/* ---- order ---- */

/* Below 0: a first. 0: this key does not tell. */
typedef int sort_key(const struct machine_address *a, const struct machine_address *b);

static int by_address(const struct machine_address *a, const struct machine_address *b) {
    return a->v6 == b->v6 ? memcmp(a->bytes, b->bytes, sizeof(a->bytes)) : 0;
}
static int by_default(const struct machine_address *a, const struct machine_address *b) {
    return b->is_default - a->is_default;
}
static int by_name(const struct machine_address *a, const struct machine_address *b) {
    return strcmp(a->name, b->name);
}
static int by_port(const struct machine_address *a, const struct machine_address *b) {
    (void)a;
    (void)b;
    return 0; /* addresses of interfaces have none */
}
static int by_private(const struct machine_address *a, const struct machine_address *b) {
    const char *const *private = machine_rfc(6890);
    return machine_address_in(b, private) - machine_address_in(a, private);
}
/* Larger networks first. */
static int by_size(const struct machine_address *a, const struct machine_address *b) {
    return a->v6 != b->v6 || a->prefix == b->prefix ? 0 : a->prefix < b->prefix ? -1 : 1;
}
static int by_type(const struct machine_address *a, const struct machine_address *b) {
    return a->v6 - b->v6;
}

#define MAX_SORT_KEYS 8

struct order {
    sort_key *keys[MAX_SORT_KEYS];
    bool down[MAX_SORT_KEYS];
    size_t count;
};

static int compare(const struct order *order, const struct machine_address *a,
                   const struct machine_address *b) {
    for (size_t i = 0; i < order->count; i++) {
        int n = order->keys[i](a, b);
        if (n != 0)
            return order->down[i] ? -n : n;
    }
    return 0;
}

/* By insertion: what no key tells apart stays as it is. */
static void sort_list(struct chosen *list, const struct order *order) {
    for (size_t i = 1; i < list->len; i++) {
        struct machine_address one = list->items[i];
        size_t at = i;
        for (; at > 0 && compare(order, &one, &list->items[at - 1]) < 0; at--)
            list->items[at] = list->items[at - 1];
        list->items[at] = one;
    }
}

static bool parse_order(struct template_call *c, struct str text, struct order *out) {
    static const struct {
        const char *name;
        sort_key *key;
    } keys[] = {{"address", by_address}, {"default", by_default}, {"name", by_name},
                {"port", by_port},       {"private", by_private}, {"size", by_size},
                {"type", by_type}};
    struct str rest = text;
    *out = (struct order){0};
    do {
        struct str whole = str_trim(str_cut(&rest, ',')), word = whole;
        bool down = word.len > 0 && word.data[0] == '-';
        if (down || (word.len > 0 && word.data[0] == '+'))
            word = str_sub(word, 1, SIZE_MAX);
        size_t i = 0;
        while (i < COUNT_OF(keys) && !str_eq_fold(word, str_from(keys[i].name)))
            i++;
        if (i == COUNT_OF(keys)) {
            struct str quoted = str_quote(c->arena, whole);
            return error_set(c->e, ERROR_INTERNAL, "unknown sort type: " STR_FMT, STR_ARG(quoted));
        }
        if (out->count == MAX_SORT_KEYS)
            return error_set(c->e, ERROR_INTERNAL, "too many sort types");
        out->down[out->count] = down;
        out->keys[out->count++] = keys[i].key;
    } while (rest.data != NULL);
    return true;
}

static bool call_sort(struct template_call *c, struct template_value *out) {
    struct order order;
    if (!parse_order(c, c->args[0].string, &order))
        return false;
    struct chosen list = copy_list(c, list_of(c)->addresses, list_of(c)->len);
    sort_list(&list, &order);
    return give_list(out, list);
}

/* ---- sources ---- */

enum source { SOURCE_ALL, SOURCE_DEFAULT, SOURCE_PRIVATE, SOURCE_PUBLIC };

static bool is_private(const struct machine_address *a) {
    return machine_address_in(a, machine_rfc(6890));
}

static struct chosen source_list(struct template_call *c, enum source source) {
    const struct machine *m = c->machine;
    struct chosen list = chosen_new(c, m->len);
    for (size_t i = 0; i < m->len; i++) {
        const struct machine_address *a = &m->addresses[i];
        bool usable = (a->flags & IFF_UP) && machine_address_forwardable(a);
        bool wanted = source == SOURCE_ALL ? true
                      : source == SOURCE_DEFAULT
                          ? a->is_default
                          : usable && is_private(a) == (source == SOURCE_PRIVATE);
        if (wanted)
            list.items[list.len++] = *a;
    }
    static const struct order order = {{by_default, by_type, by_size}, {false}, 3};
    if (source == SOURCE_PRIVATE || source == SOURCE_PUBLIC)
        sort_list(&list, &order);
    return list;
}

static bool call_all(struct template_call *c, struct template_value *out) {
    return give_list(out, source_list(c, SOURCE_ALL));
}
static bool call_default(struct template_call *c, struct template_value *out) {
    if (!c->machine->has_default)
        return error_set(c->e, ERROR_INTERNAL, "No default interface found");
    return give_list(out, source_list(c, SOURCE_DEFAULT));
}
static bool call_private(struct template_call *c, struct template_value *out) {
    return give_list(out, source_list(c, SOURCE_PRIVATE));
}
static bool call_public(struct template_call *c, struct template_value *out) {
    return give_list(out, source_list(c, SOURCE_PUBLIC));
}

static struct str join_addresses(struct template_call *c, const struct chosen *list) {
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < list->len; i++) {
        if (i > 0)
            buf_add_char(&text, ' ');
        buf_add_str(&text, machine_address_text(&list->items[i], c->arena));
    }
    struct str out = str_copy(c->arena, text.len > 0 ? buf_str(&text) : STR(""));
    buf_free(&text);
    return out;
}

static struct str first_address(struct template_call *c, const struct chosen *list) {
    return list->len > 0 ? machine_address_text(&list->items[0], c->arena) : STR("");
}

static bool call_private_ip(struct template_call *c, struct template_value *out) {
    struct chosen list = source_list(c, SOURCE_PRIVATE);
    return give_string(out, first_address(c, &list));
}
static bool call_public_ip(struct template_call *c, struct template_value *out) {
    struct chosen list = source_list(c, SOURCE_PUBLIC);
    return give_string(out, first_address(c, &list));
}

static const struct order by_type_and_size = {{by_type, by_size}, {false}, 2};

/* Of any interface, also of those that are down. */
static bool give_ips(struct template_call *c, struct template_value *out, bool private) {
    struct chosen list = chosen_new(c, c->machine->len);
    for (size_t i = 0; i < c->machine->len; i++) {
        const struct machine_address *a = &c->machine->addresses[i];
        if (machine_address_forwardable(a) && is_private(a) == private)
            list.items[list.len++] = *a;
    }
    sort_list(&list, &by_type_and_size);
    return give_string(out, join_addresses(c, &list));
}
static bool call_private_ips(struct template_call *c, struct template_value *out) {
    return give_ips(c, out, true);
}
static bool call_public_ips(struct template_call *c, struct template_value *out) {
    return give_ips(c, out, false);
}

/* ---- selection ---- */

static struct regex *compile(struct template_call *c, struct str pattern, const char *what) {
    struct error own = ERROR_IN(c->arena);
    struct regex *re = regex_compile(pattern, &own);
    if (re == NULL) {
        struct str quoted = str_quote(c->arena, pattern);
        error_set(c->e, ERROR_INTERNAL, "Unable to compile %s regexp " STR_FMT ": " STR_FMT, what,
                  STR_ARG(quoted), STR_ARG(own.text));
    }
    return re;
}

static bool interface_list(struct template_call *c, struct chosen *list) {
    struct regex *re = compile(c, c->args[0].string, "name");
    if (re == NULL)
        return false;
    *list = chosen_new(c, c->machine->len);
    for (size_t i = 0; i < c->machine->len; i++)
        if (regex_search(re, str_from(c->machine->addresses[i].name)))
            list->items[list->len++] = c->machine->addresses[i];
    regex_free(re);
    sort_list(list, &by_type_and_size);
    return true;
}

static bool call_interface_ip(struct template_call *c, struct template_value *out) {
    struct chosen list;
    if (!interface_list(c, &list))
        return false;
    size_t len = 0;
    for (size_t i = 0; i < list.len; i++)
        if (machine_address_forwardable(&list.items[i]))
            list.items[len++] = list.items[i];
    list.len = len;
    return give_string(out, first_address(c, &list));
}

static bool call_interface_ips(struct template_call *c, struct template_value *out) {
    struct chosen list;
    return interface_list(c, &list) && give_string(out, join_addresses(c, &list));
}

/* One condition of a selector. False: it does not read. */
struct condition {
    const char *const *networks;
    struct network network;
    bool v4, v6;
    uint64_t size;
    struct str flag;
};

static bool read_type(struct template_call *c, struct str text, struct condition *out) {
    struct str name = str_lower(c->arena, text);
    bool ip = str_is(name, "ip");
    out->v4 = ip || str_is(name, "ipv4");
    out->v6 = ip || str_is(name, "ipv6");
    if (out->v4 || out->v6 || str_is(name, "unix"))
        return true;
    struct str quoted = str_quote(c->arena, text);
    return error_set(c->e, ERROR_INTERNAL, "unsupported type " STR_FMT " " STR_FMT, STR_ARG(quoted),
                     STR_ARG(quoted));
}

static bool match_type(const struct condition *k, const struct machine_address *a) {
    return a->v6 ? k->v6 : k->v4;
}

static bool read_rfc(struct template_call *c, struct str text, struct condition *out) {
    uint64_t number = 0;
    struct str quoted = str_quote(c->arena, text);
    if (!str_to_u64(text, &number))
        return error_set(c->e, ERROR_INTERNAL,
                         "unable to lookup RFC number " STR_FMT
                         ": unable to parse RFC number " STR_FMT
                         ": strconv.ParseUint: parsing " STR_FMT ": invalid syntax",
                         STR_ARG(quoted), STR_ARG(quoted), STR_ARG(quoted));
    out->networks = machine_rfc(number);
    return out->networks != NULL ||
           error_set(c->e, ERROR_INTERNAL,
                     "unable to lookup RFC number " STR_FMT ": unsupported RFC %llu",
                     STR_ARG(quoted), (unsigned long long)number);
}

static bool match_rfc(const struct condition *k, const struct machine_address *a) {
    return machine_address_in(a, k->networks);
}

static bool read_network(struct template_call *c, struct str text, struct condition *out) {
    struct str whole = text;
    if (str_find_char(text, '/') < 0)
        whole = str_format(c->arena, STR_FMT "/%d", STR_ARG(text),
                           str_find_char(text, ':') < 0 ? 32 : 128);
    if (network_parse(whole, &out->network))
        return true;
    struct str quoted = str_quote(c->arena, text);
    return error_set(c->e, ERROR_INTERNAL,
                     "unable to create an IP address from " STR_FMT ": invalid IPAddr " STR_FMT,
                     STR_ARG(quoted), STR_ARG(text));
}

/* Its whole network must lie inside. */
static bool match_network(const struct condition *k, const struct machine_address *a) {
    return a->prefix >= k->network.prefix && network_has(&k->network, a);
}

static bool read_size(struct template_call *c, struct str text, struct condition *out) {
    if (str_to_u64(text, &out->size))
        return true;
    struct str quoted = str_quote(c->arena, text);
    return error_set(c->e, ERROR_INTERNAL,
                     "invalid exclude size argument (" STR_FMT
                     "): strconv.ParseUint: parsing " STR_FMT ": invalid syntax",
                     STR_ARG(quoted), STR_ARG(quoted));
}

static bool match_size(const struct condition *k, const struct machine_address *a) {
    return a->prefix == k->size;
}

static bool is_multicast(const struct machine_address *a) {
    return a->v6 ? a->bytes[0] == 0xFF : (a->bytes[0] & 0xF0) == 0xE0;
}

static bool is_link_local(const struct machine_address *a) {
    static const char *const networks[] = {"169.254.0.0/16", "fe80::/10", NULL};
    return machine_address_in(a, networks);
}

static bool is_global_unicast(const struct machine_address *a) {
    static const char *const others[] = {
        "0.0.0.0/32", "255.255.255.255/32", "127.0.0.0/8", "::/128", "::1/128", NULL};
    return !machine_address_in(a, others) && !is_multicast(a) && !is_link_local(a);
}

static bool has_flag(const char *flag, const struct machine_address *a, bool *known) {
    static const struct {
        const char *name;
        unsigned bit;
    } bits[] = {{"broadcast", IFF_BROADCAST},
                {"loopback", IFF_LOOPBACK},
                {"point-to-point", IFF_POINTOPOINT},
                {"up", IFF_UP}};
    static const char *const link_multicast[] = {"224.0.0.0/24", "ff02::/16", NULL};
    static const char *const own_multicast[] = {"ff01::/16", NULL};
    *known = true;
    for (size_t i = 0; i < COUNT_OF(bits); i++)
        if (strcmp(flag, bits[i].name) == 0)
            return a->flags & bits[i].bit;
    if (strcmp(flag, "down") == 0) /* as the peer has it */
        return true;
    if (strcmp(flag, "forwardable") == 0)
        return machine_address_forwardable(a);
    if (strcmp(flag, "global unicast") == 0)
        return is_global_unicast(a);
    if (strcmp(flag, "interface-local multicast") == 0)
        return machine_address_in(a, own_multicast);
    if (strcmp(flag, "link-local multicast") == 0)
        return machine_address_in(a, link_multicast);
    if (strcmp(flag, "link-local unicast") == 0)
        return is_link_local(a);
    if (strcmp(flag, "multicast") == 0)
        return (a->flags & IFF_MULTICAST) || is_multicast(a);
    if (strcmp(flag, "unspecified") == 0)
        return machine_address_in(a, (const char *const[]){"0.0.0.0/32", "::/128", NULL});
    *known = false;
    return false;
}

static bool read_flag(struct template_call *c, struct str text, struct condition *out) {
    struct machine_address none = {0};
    bool known;
    out->flag = str_lower(c->arena, text);
    has_flag(out->flag.len > 0 ? out->flag.data : "", &none, &known);
    struct str quoted = str_quote(c->arena, out->flag);
    return known ||
           error_set(c->e, ERROR_INTERNAL, "Unknown interface flag: " STR_FMT, STR_ARG(quoted));
}

static bool match_flag(const struct condition *k, const struct machine_address *a) {
    bool known;
    return has_flag(k->flag.len > 0 ? k->flag.data : "", a, &known);
}

/* Selectors whose argument is conditions with '|' between them. */
enum joining {
    JOIN_NONE, /* there is one condition, whatever it holds */
    JOIN_ALL,  /* include those that meet all of them; exclude just those */
    JOIN_ANY,  /* include those that meet one; exclude only what fails none, as the peer has it */
    JOIN_EACH, /* what each condition gives, one after the other */
};

static const struct selector {
    const char *name;
    bool (*read)(struct template_call *c, struct str text, struct condition *out);
    bool (*match)(const struct condition *k, const struct machine_address *a);
    enum joining joining;
} selectors[] = {
    {"flag", read_flag, match_flag, JOIN_ALL},           {"flags", read_flag, match_flag, JOIN_ALL},
    {"network", read_network, match_network, JOIN_EACH}, {"rfc", read_rfc, match_rfc, JOIN_EACH},
    {"size", read_size, match_size, JOIN_NONE},          {"type", read_type, match_type, JOIN_ANY},
};

#define MAX_CONDITIONS 64

struct conditions {
    struct condition items[MAX_CONDITIONS];
    size_t len;
};

static bool read_conditions(struct template_call *c, const struct selector *s,
                            struct conditions *out) {
    struct str rest = c->args[1].string;
    out->len = 0;
    do {
        struct str text = rest;
        if (s->joining == JOIN_NONE)
            rest = STR_NONE;
        else
            text = str_cut(&rest, '|');
        if (out->len == MAX_CONDITIONS)
            return error_set(c->e, ERROR_INTERNAL, "too many conditions");
        out->items[out->len] = (struct condition){0};
        if (!s->read(c, text, &out->items[out->len++]))
            return false;
    } while (rest.data != NULL);
    return true;
}

static bool is_wanted(const struct selector *s, const struct conditions *k,
                      const struct machine_address *a, bool include) {
    size_t met = 0;
    for (size_t i = 0; i < k->len; i++)
        met += s->match(&k->items[i], a);
    if (!include)
        return met < k->len;
    return s->joining == JOIN_ANY ? met > 0 : met == k->len;
}

static bool select_conditions(struct template_call *c, const struct selector *s, bool include,
                              struct template_value *out) {
    const struct template_value *given = list_of(c);
    struct conditions k;
    if (!read_conditions(c, s, &k))
        return false;
    struct chosen list = chosen_new(c, given->len * (s->joining == JOIN_EACH ? k.len : 1));
    if (s->joining != JOIN_EACH) {
        for (size_t i = 0; i < given->len; i++)
            if (is_wanted(s, &k, &given->addresses[i], include))
                list.items[list.len++] = given->addresses[i];
        return give_list(out, list);
    }
    for (size_t j = 0; j < k.len; j++)
        for (size_t i = 0; i < given->len; i++)
            if (s->match(&k.items[j], &given->addresses[i]) == include)
                list.items[list.len++] = given->addresses[i];
    return give_list(out, list);
}

/* Of what the expression of these selectors is asked. */
static struct str expression_subject(struct str selector, const struct machine_address *a,
                                     struct arena *arena) {
    if (str_is(selector, "name"))
        return str_from(a->name);
    if (str_is(selector, "port"))
        return STR("0");
    return template_address_string(a, arena);
}

static bool select_expression(struct template_call *c, struct str selector, bool include,
                              struct template_value *out) {
    const struct template_value *given = list_of(c);
    struct regex *re = compile(c, c->args[1].string, str_terminated(c->arena, selector));
    if (re == NULL)
        return false;
    struct chosen list = chosen_new(c, given->len);
    for (size_t i = 0; i < given->len; i++) {
        struct str subject = expression_subject(selector, &given->addresses[i], c->arena);
        if (regex_search(re, subject) == include)
            list.items[list.len++] = given->addresses[i];
    }
    regex_free(re);
    return give_list(out, list);
}

static bool call_select(struct template_call *c, bool include, struct template_value *out) {
    struct str selector = str_lower(c->arena, c->args[0].string);
    for (size_t i = 0; i < COUNT_OF(selectors); i++)
        if (str_is(selector, selectors[i].name))
            return select_conditions(c, &selectors[i], include, out);
    if (str_is(selector, "address") || str_is(selector, "name") || str_is(selector, "port"))
        return select_expression(c, selector, include, out);
    struct str quoted = str_quote(c->arena, c->args[0].string);
    return error_set(c->e, ERROR_INTERNAL, "invalid %s selector " STR_FMT,
                     include ? "include" : "exclude", STR_ARG(quoted));
}
static bool call_include(struct template_call *c, struct template_value *out) {
    return call_select(c, true, out);
}
static bool call_exclude(struct template_call *c, struct template_value *out) {
    return call_select(c, false, out);
}

static bool call_limit(struct template_call *c, struct template_value *out) {
    *out = *list_of(c);
    if ((uint64_t)c->args[0].integer < out->len)
        out->len = (size_t)c->args[0].integer;
    return true;
}

/* From the end when negative. */
static bool call_offset(struct template_call *c, struct template_value *out) {
    int64_t offset = c->args[0].integer;
    uint64_t size = offset < 0 ? 0 - (uint64_t)offset : (uint64_t)offset;
    *out = *list_of(c);
    if (size > out->len)
        return error_set(c->e, ERROR_INTERNAL,
                         "unable to seek past the end of the interface array: offset (%llu) "
                         "exceeds the number of interfaces (%zu)",
                         (unsigned long long)size, out->len);
    size_t skipped = offset < 0 ? out->len - (size_t)size : (size_t)size;
    if (out->len > 0)
        out->addresses += skipped;
    out->len -= skipped;
    return true;
}

static bool call_unique(struct template_call *c, struct template_value *out) {
    struct str what = str_lower(c->arena, c->args[0].string);
    bool name = str_is(what, "name");
    if (!name && !str_is(what, "address")) {
        struct str quoted = str_quote(c->arena, c->args[0].string);
        return error_set(c->e, ERROR_INTERNAL, "unsupported unique constraint " STR_FMT,
                         STR_ARG(quoted));
    }
    const struct template_value *given = list_of(c);
    struct chosen list = chosen_new(c, given->len);
    for (size_t i = 0; i < given->len; i++) {
        const struct machine_address *a = &given->addresses[i];
        bool seen = false;
        for (size_t j = 0; j < list.len && !seen; j++) {
            const struct machine_address *b = &list.items[j];
            seen = name ? strcmp(a->name, b->name) == 0
                        : a->v6 == b->v6 && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
        }
        if (!seen)
            list.items[list.len++] = *a;
    }
    return give_list(out, list);
}

const struct template_function *template_address_function(struct str name) {
    static const struct template_function functions[] = {
        {"GetAllInterfaces", "", call_all},
        {"GetDefaultInterfaces", "", call_default},
        {"GetPrivateInterfaces", "", call_private},
        {"GetPublicInterfaces", "", call_public},
        {"GetPrivateIP", "", call_private_ip},
        {"GetPrivateIPs", "", call_private_ips},
        {"GetPublicIP", "", call_public_ip},
        {"GetPublicIPs", "", call_public_ips},
        {"GetInterfaceIP", "s", call_interface_ip},
        {"GetInterfaceIPs", "s", call_interface_ips},
        {"sort", "sl", call_sort},
        {"include", "ssl", call_include},
        {"exclude", "ssl", call_exclude},
        {"limit", "ul", call_limit},
        {"offset", "il", call_offset},
        {"unique", "sl", call_unique},
    };
    const struct template_function *found =
        template_function_named(functions, COUNT_OF(functions), name);
    return found != NULL ? found : template_attribute_function(name);
}
