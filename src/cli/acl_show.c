/* Printing of tokens, policies, roles, binding rules and auth methods, as text or JSON (acl.md
 * 17.3). What is particular to one kind is in its file. See acl.h.
 */
#include "cli/acl.h"
#include "codec/base64.h"
#include "codec/json.h"

/* ---- lines ---- */

void acl_show_line(struct acl_text *t, const char *label, struct str value) {
    buf_add_format(&t->out, "%s%-*s", t->indent, t->width, label);
    buf_add_str(&t->out, value);
    buf_add_char(&t->out, '\n');
}

void acl_show_some(struct acl_text *t, const char *label, struct str value) {
    if (value.len > 0)
        acl_show_line(t, label, value);
}

static struct str hex_of(struct str base64, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct buf text = BUF_INIT;
    struct str bytes;
    if (!base64_decode(base64, &bytes, arena, &e))
        return base64;
    for (size_t i = 0; i < bytes.len; i++)
        buf_add_format(&text, "%02x", (unsigned char)bytes.data[i]);
    struct str out = text.len > 0 ? str_copy(arena, buf_str(&text)) : STR("");
    buf_free(&text);
    return out;
}

void acl_show_meta(struct acl_text *t, const struct value *v) {
    if (!t->meta)
        return;
    acl_show_line(t, "Create Index:",
                  str_format(t->arena, "%llu", (unsigned long long)value_u64(v, "CreateIndex")));
    acl_show_line(t, "Modify Index:",
                  str_format(t->arena, "%llu", (unsigned long long)value_u64(v, "ModifyIndex")));
}

void acl_show_hashed_meta(struct acl_text *t, const struct value *v) {
    if (t->meta)
        acl_show_line(t, "Hash:", hex_of(value_str(v, "Hash"), t->arena));
    acl_show_meta(t, v);
}

/* The texts of a list, with ", " between. */
static struct str joined(const struct value *list, struct arena *arena) {
    struct str out = STR("");
    for (size_t i = 0; list != NULL && i < value_len(list); i++) {
        const struct value *item = &list->list.items[i];
        struct str text = item->kind == VALUE_STRING ? item->string : STR("");
        out =
            str_format(arena, STR_FMT "%s" STR_FMT, STR_ARG(out), i > 0 ? ", " : "", STR_ARG(text));
    }
    return out;
}

void acl_show_datacenters(struct acl_text *t, const struct value *v) {
    acl_show_line(t, "Datacenters:", joined(value_get(v, "Datacenters"), t->arena));
}

/* ---- links ---- */

static void show_link(struct acl_text *t, const struct value *v) {
    buf_add_format(&t->out, STR_FMT " - " STR_FMT, STR_ARG(value_str(v, "ID")),
                   STR_ARG(value_str(v, "Name")));
}

static void show_service(struct acl_text *t, const struct value *v) {
    const struct value *datacenters = value_get(v, "Datacenters");
    bool all = datacenters == NULL || value_len(datacenters) == 0;
    buf_add_format(&t->out, STR_FMT " (Datacenters: " STR_FMT ")",
                   STR_ARG(value_str(v, "ServiceName")),
                   STR_ARG(all ? STR("all") : joined(datacenters, t->arena)));
}

static void show_node(struct acl_text *t, const struct value *v) {
    buf_add_format(&t->out, STR_FMT " (Datacenter: " STR_FMT ")", STR_ARG(value_str(v, "NodeName")),
                   STR_ARG(value_str(v, "Datacenter")));
}

static void show_section(struct acl_text *t, const char *title, const struct value *list,
                         void (*show)(struct acl_text *t, const struct value *v)) {
    if (list == NULL || value_len(list) == 0)
        return;
    buf_add_format(&t->out, "%s%s\n", t->indent, title);
    for (size_t i = 0; i < value_len(list); i++) {
        buf_add_format(&t->out, "%s   ", t->indent);
        show(t, &list->list.items[i]);
        buf_add_char(&t->out, '\n');
    }
}

void acl_show_links(struct acl_text *t, const struct value *v) {
    show_section(t, "Policies:", value_get(v, "Policies"), show_link);
    show_section(t, "Roles:", value_get(v, "Roles"), show_link);
    show_section(t, "Service Identities:", value_get(v, "ServiceIdentities"), show_service);
    show_section(t, "Node Identities:", value_get(v, "NodeIdentities"), show_node);
}

/* ---- objects ---- */

static int print_json(struct acl *a, const struct shape_field *shape, const struct value *v,
                      bool is_list) {
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, true);
    if (is_list)
        shape_write_list(&w, v, shape);
    else
        shape_write(&w, v, shape);
    cli_out_bytes(a->cli, buf_str(&out));
    buf_free(&out);
    return CLI_OK;
}

static int print_text(struct acl *a, const struct acl_view *view, const struct value *items,
                      size_t count, bool listed) {
    struct acl_text t = {.indent = listed && view->title != NULL ? "   " : "",
                         .width = view->width,
                         .listed = listed,
                         .meta = a->options->meta,
                         .arena = a->arena};
    for (size_t i = 0; i < count; i++) {
        if (listed && view->title != NULL)
            buf_add_format(&t.out, STR_FMT ":\n", STR_ARG(value_str(&items[i], view->title)));
        else if (i > 0)
            buf_add_char(&t.out, '\n');
        view->show(&t, &items[i]);
    }
    if (count > 0)
        cli_out_bytes(a->cli, buf_str(&t.out));
    buf_free(&t.out);
    return CLI_OK;
}

static int print(struct acl *a, const struct acl_view *view, const struct value *v, bool is_list) {
    struct str format = a->options->format;
    if (str_is(format, "json"))
        return print_json(a, view->shape, v, is_list);
    if (!str_is(format, "pretty"))
        return cli_fail(a->cli, "Unknown format: " STR_FMT, STR_ARG(format));
    if (is_list)
        return print_text(a, view, v->list.items, value_len(v), true);
    return print_text(a, view, v, 1, false);
}

int acl_print(struct acl *a, const struct acl_view *view, const struct value *v) {
    return print(a, view, v, false);
}

int acl_print_list(struct acl *a, const struct acl_view *view, const struct value *list) {
    return print(a, view, list, true);
}
