/* Pieces of messages that several resources are made of: addresses, TLS, where more is found. */
#include "xds/room.h"

struct value xds_address(struct arena *arena, struct str address, int64_t port) {
    return TREE(arena, {"socket_address", TREE(arena, {"address", tree_text(address)},
                                               {"port_value", tree_number(port)})});
}

static struct value inline_text(struct arena *arena, struct str text) {
    return TREE(arena, {"inline_string", tree_text(text)});
}

/* The certificate of the leaf, and all roots: a proxy trusts whom any of them vouches for. */
struct value xds_common_tls(struct xds_maker *m, const struct issued_cert *leaf) {
    const struct list *roots = &m->snapshot->roots->roots;
    struct buf pem = BUF_INIT;
    for (uint32_t i = 0; i < roots->len; i++) {
        const struct ca_root *root = LIST_AT(*roots, struct ca_root *, i);
        if (root != NULL)
            buf_add_str(&pem, root->root_cert);
    }
    struct str all = str_copy(m->arena, buf_str(&pem));
    buf_free(&pem);
    struct value certificate =
        TREE(m->arena, {"certificate_chain", inline_text(m->arena, leaf->cert_pem)},
             {"private_key", inline_text(m->arena, leaf->private_key_pem)});
    return TREE(m->arena, {"tls_params", tree_empty()},
                {"tls_certificates", TREES(m->arena, certificate)},
                {"validation_context", TREE(m->arena, {"trusted_ca", inline_text(m->arena, all)})});
}

struct value xds_downstream_tls(struct xds_maker *m, const struct issued_cert *leaf, bool require) {
    return TREE(m->arena, {"common_tls_context", xds_common_tls(m, leaf)},
                {"require_client_certificate", tree_bool(require)});
}

/* From the stream that this came over. */
struct value xds_ads(struct arena *arena) {
    return TREE(arena, {"ads", tree_empty()});
}

struct value xds_static_assignment(struct arena *arena, struct str name, struct str address,
                                   int64_t port) {
    struct value endpoint =
        TREE(arena, {"endpoint", TREE(arena, {"address", xds_address(arena, address, port)})});
    return TREE(arena, {"cluster_name", tree_text(name)},
                {"endpoints", TREES(arena, TREE(arena, {"lb_endpoints", TREES(arena, endpoint)}))});
}
