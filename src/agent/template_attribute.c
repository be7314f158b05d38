/* What an address of an interface is told as in templates (config.md 1.8): its texts, fields and
 * attributes, and arithmetic with it.
 */
#include "agent/template_list.h"
#include "base/mem.h"

__extension__ typedef unsigned __int128 u128;

static unsigned bits_of(const struct machine_address *a) {
    return a->v6 ? 128 : 32;
}

/* ---- numbers ---- */

static u128 get_number(const struct machine_address *a) {
    u128 n = 0;
    for (unsigned i = 0; i < bits_of(a) / 8; i++)
        n = n << 8 | a->bytes[i];
    return n;
}

static void set_number(struct machine_address *a, u128 n) {
    for (unsigned i = bits_of(a) / 8; i-- > 0; n >>= 8)
        a->bytes[i] = (uint8_t)n;
}

/* The bits behind the network's part. */
static u128 host_mask(const struct machine_address *a) {
    unsigned host = bits_of(a) - a->prefix;
    return host >= 128 ? ~(u128)0 : (((u128)1 << host) - 1);
}

static struct machine_address moved(const struct machine_address *a, u128 to) {
    struct machine_address out = *a;
    set_number(&out, to);
    return out;
}

static void add_number(struct buf *out, u128 n) {
    char digits[40];
    size_t len = 0;
    do
        digits[len++] = (char)('0' + (int)(n % 10));
    while ((n /= 10) > 0);
    while (len > 0)
        buf_add_char(out, digits[--len]);
}

static bool math_error(struct template_call *c, const struct machine_address *a,
                       struct str message) {
    struct str dump = template_address_dump(a, c->arena);
    return error_set(c->e, ERROR_INTERNAL,
                     "unable to perform an IPMath operation on " STR_FMT ": " STR_FMT,
                     STR_ARG(dump), STR_ARG(message));
}

/* "+5", "-1". *back: subtract. */
static bool read_move(struct template_call *c, const struct machine_address *a,
                      const char *operation, struct str text, uint64_t *n, bool *back) {
    *back = text.len > 0 && text.data[0] == '-';
    if (!*back && (text.len == 0 || text.data[0] != '+'))
        return math_error(
            c, a, str_format(c->arena, "sign (+/-) is required for operation \"%s\"", operation));
    struct str digits = str_sub(text, 1, SIZE_MAX);
    bool number = digits.len > 0;
    for (size_t i = 0; i < digits.len; i++)
        number = number && digits.data[i] >= '0' && digits.data[i] <= '9';
    if (number && str_to_u64(digits, n) && *n <= (a->v6 ? (uint64_t)INT64_MAX : UINT32_MAX))
        return true;
    struct str quoted = str_quote(c->arena, text);
    return math_error(c, a,
                      str_format(c->arena,
                                 "unable to convert " STR_FMT
                                 " to int for operation \"%s\": strconv.ParseInt: parsing " STR_FMT
                                 ": %s",
                                 STR_ARG(quoted), operation, STR_ARG(quoted),
                                 number ? "value out of range" : "invalid syntax"));
}

static bool move_address(struct template_call *c, struct machine_address *a, bool network) {
    uint64_t n;
    bool back;
    if (!read_move(c, a, network ? "network" : "address", c->args[1].string, &n, &back))
        return false;
    if (!network) {
        set_number(a, back ? get_number(a) - n : get_number(a) + n);
        return true;
    }
    u128 mask = host_mask(a), base = get_number(a) & ~mask;
    set_number(a, base | ((back ? (u128)0 - n : (u128)n) & mask));
    return true;
}

static bool call_math(struct template_call *c, struct template_value *out) {
    struct str operation = str_lower(c->arena, c->args[0].string);
    bool network = str_is(operation, "network");
    struct chosen list = copy_list(c, list_of(c)->addresses, list_of(c)->len);
    for (size_t i = 0; i < list.len; i++) {
        struct machine_address *a = &list.items[i];
        if (!network && !str_is(operation, "address")) {
            struct str quoted = str_quote(c->arena, operation);
            return math_error(
                c, a,
                str_format(c->arena, "unsupported math operation: " STR_FMT, STR_ARG(quoted)));
        }
        if (!move_address(c, a, network))
            return false;
    }
    return give_list(out, list);
}

/* ---- attributes ---- */

struct str template_address_string(const struct machine_address *a, struct arena *arena) {
    struct str text = machine_address_text(a, arena);
    return a->prefix == bits_of(a) ? text
                                   : str_format(arena, STR_FMT "/%u", STR_ARG(text), a->prefix);
}

static struct str flags_text(const struct machine_address *a, struct arena *arena) {
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{IFF_UP, "up"},
                 {IFF_BROADCAST, "broadcast"},
                 {IFF_LOOPBACK, "loopback"},
                 {IFF_POINTOPOINT, "pointtopoint"},
                 {IFF_MULTICAST, "multicast"}};
    struct str out = STR("");
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (a->flags & names[i].bit)
            out =
                str_format(arena, STR_FMT "%s%s", STR_ARG(out), out.len ? "|" : "", names[i].name);
    return out.len > 0 ? out : STR("0");
}

static struct str hardware_text(const struct machine_address *a, struct arena *arena) {
    const uint8_t *h = a->hardware;
    return a->has_hardware ? str_format(arena, "%02x:%02x:%02x:%02x:%02x:%02x", h[0], h[1], h[2],
                                        h[3], h[4], h[5])
                           : STR("");
}

struct str template_address_dump(const struct machine_address *a, struct arena *arena) {
    struct str text = template_address_string(a, arena), hardware = hardware_text(a, arena),
               flags = flags_text(a, arena);
    return str_format(arena, STR_FMT " {%u %u %s " STR_FMT " " STR_FMT "}", STR_ARG(text), a->index,
                      a->mtu, a->name, STR_ARG(hardware), STR_ARG(flags));
}

bool template_address_field(const struct machine_address *a, struct str name,
                            struct template_value *out, struct arena *arena) {
    if (str_is(name, "Name"))
        return give_string(out, str_copy(arena, str_from(a->name)));
    if (str_is(name, "SockAddr"))
        return give_string(out, template_address_string(a, arena));
    if (str_is(name, "String"))
        return give_string(out, template_address_dump(a, arena));
    if (str_is(name, "Flags"))
        return give_string(out, flags_text(a, arena));
    if (str_is(name, "HardwareAddr"))
        return give_string(out, hardware_text(a, arena));
    if (str_is(name, "Index") || str_is(name, "MTU")) {
        *out = (struct template_value){.kind = TEMPLATE_INT,
                                       .integer = str_is(name, "MTU") ? a->mtu : a->index};
        return true;
    }
    if (!str_is(name, "Interface")) /* the same again, with fewer fields */
        return false;
    *out = (struct template_value){.kind = TEMPLATE_ADDRESS, .addresses = a};
    return true;
}

static void add_digits(struct buf *out, const struct machine_address *a, const char *what) {
    for (unsigned i = 0; i < bits_of(a) / 8; i++) {
        if (strcmp(what, "hex") == 0)
            buf_add_format(out, "%02x", a->bytes[i]);
        else if (strcmp(what, "octets") == 0)
            buf_add_format(out, "%s%u", i ? " " : "", a->bytes[i]);
        else
            for (unsigned bit = 0x80; bit > 0; bit >>= 1)
                buf_add_char(out, a->bytes[i] & bit ? '1' : '0');
    }
}

static void add_size(struct buf *out, const struct machine_address *a) {
    unsigned host = bits_of(a) - a->prefix;
    if (host >= 128)
        buf_add_text(out, "340282366920938463463374607431768211456");
    else
        add_number(out, (u128)1 << host);
}

static void add_address(struct buf *out, const struct machine_address *a, u128 number,
                        struct arena *arena) {
    struct machine_address other = moved(a, number);
    buf_add_str(out, machine_address_text(&other, arena));
}

/* First and last address that a host may have: in IPv4 not those of the network itself. */
static u128 usable(const struct machine_address *a, bool last) {
    u128 mask = host_mask(a), base = get_number(a) & ~mask;
    bool reserved = !a->v6 && a->prefix < 31;
    return last ? (base | mask) - reserved : base + reserved;
}

/* False: there is no such attribute. */
static bool add_attribute(struct buf *out, const struct machine_address *a, const char *name,
                          struct arena *arena) {
    u128 mask = host_mask(a), number = get_number(a);
    if (strcmp(name, "address") == 0 || strcmp(name, "host") == 0)
        buf_add_str(out, machine_address_text(a, arena));
    else if (strcmp(name, "string") == 0)
        buf_add_str(out, template_address_string(a, arena));
    else if (strcmp(name, "type") == 0)
        buf_add_text(out, a->v6 ? "IPv6" : "IPv4");
    else if (strcmp(name, "name") == 0)
        buf_add_text(out, a->name);
    else if (strcmp(name, "flags") == 0)
        buf_add_str(out, flags_text(a, arena));
    else if (strcmp(name, "hex") == 0 || strcmp(name, "octets") == 0 || strcmp(name, "binary") == 0)
        add_digits(out, a, name);
    else if (strcmp(name, "mask_bits") == 0)
        buf_add_u64(out, a->prefix);
    else if (strcmp(name, "netmask") == 0)
        add_address(out, a, ~mask, arena);
    else if (strcmp(name, "network") == 0)
        add_address(out, a, number & ~mask, arena);
    else if (strcmp(name, "first_usable") == 0)
        add_address(out, a, usable(a, false), arena);
    else if (strcmp(name, "last_usable") == 0)
        add_address(out, a, usable(a, true), arena);
    else if (strcmp(name, "port") == 0)
        buf_add_text(out, "0");
    else if (strcmp(name, "size") == 0)
        add_size(out, a);
    else if (strcmp(name, "broadcast") == 0 && !a->v6)
        add_address(out, a, number | mask, arena);
    else if (strcmp(name, "uint32") == 0 ? !a->v6 : strcmp(name, "uint128") == 0 && a->v6)
        add_number(out, number);
    else
        return false;
    return true;
}

static bool join_attribute(struct template_call *c, struct str attribute, struct str separator,
                           const struct machine_address *items, size_t len,
                           struct template_value *out) {
    struct str name = str_lower(c->arena, attribute);
    const char *word = str_terminated(c->arena, name);
    struct buf text = BUF_INIT;
    bool known = true;
    for (size_t i = 0; i < len && known && text.len <= TEMPLATE_MAX_MADE; i++) {
        if (i > 0)
            buf_add_str(&text, separator);
        known = add_attribute(&text, &items[i], word, c->arena);
    }
    give_string(out, str_copy(c->arena, text.len > 0 ? buf_str(&text) : STR("")));
    buf_free(&text);
    struct str quoted = str_quote(c->arena, attribute);
    return known ||
           error_set(c->e, ERROR_INTERNAL, "unsupported attribute name " STR_FMT, STR_ARG(quoted));
}

static bool call_join(struct template_call *c, struct template_value *out) {
    return join_attribute(c, c->args[0].string, c->args[1].string, list_of(c)->addresses,
                          list_of(c)->len, out);
}

/* Of the first one. */
static bool call_attr(struct template_call *c, struct template_value *out) {
    const struct template_value *of = &c->args[1];
    if (of->kind == TEMPLATE_LIST || of->kind == TEMPLATE_ADDRESS)
        return join_attribute(c, c->args[0].string, STR(""), of->addresses,
                              of->kind == TEMPLATE_ADDRESS || of->len > 0, out);
    struct buf text = BUF_INIT;
    template_print(&text, of);
    error_set(c->e, ERROR_INTERNAL, "unable to obtain attribute name from type %s (" STR_FMT ")",
              template_type_name(of), STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

const struct template_function *template_attribute_function(struct str name) {
    static const struct template_function functions[] = {
        {"math", "ssl", call_math},
        {"attr", "sa", call_attr},
        {"join", "ssl", call_join},
    };
    return template_function_named(functions, COUNT_OF(functions), name);
}
