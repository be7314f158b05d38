/* The one binary, praetor, also installed as consul: joins the rooms. `agent` runs an agent with
 * its interfaces; everything else is the command line's.
 */
#include <string.h>

#include "acl/translate.h"
#include "agent/agent.h"
#include "agent/telemetry_proxy.h"
#include "agent/template.h"
#include "cli/cli.h"
#include "dns/dns.h"
#include "http/http.h"
#include "xds/xds.h"

static int run_agent(int argc, char **argv) {
    static const struct agent_interface *const interfaces[] = {&dns_interface, &http_interface,
                                                               &xds_interface, NULL};
    return agent_main(argc, argv, interfaces);
}

/* ---- hooks of the command line ---- */

static void add_warnings(struct buf *out, const struct list *warnings) {
    for (uint32_t i = 0; i < warnings->len; i++)
        buf_add_format(out, STR_FMT "\n", STR_ARG(LIST_AT(*warnings, struct str, i)));
}

static bool load_files(char *const *paths, size_t count, const char *format, bool dev_mode,
                       const struct config **config, struct buf *warnings, struct error *e) {
    struct config_inputs in;
    config_inputs_init(&in);
    in.config_format = str_from(format);
    in.dev_mode = dev_mode;
    in.paths = LIST_NEW(&in.arena, struct str, count);
    for (size_t i = 0; i < count; i++)
        LIST_AT(in.paths, struct str, i) = str_from(paths[i]);
    struct list list;
    *config = config_load(&in, &list, &in.arena, e);
    add_warnings(warnings, &list);
    config_inputs_free(&in);
    return *config != NULL;
}

static bool validate(char *const *paths, size_t count, const char *format, struct buf *warnings,
                     struct error *e) {
    const struct config *config;
    bool ok = load_files(paths, count, format, false, &config, warnings, e);
    config_release(config);
    return ok;
}

static bool services_from_files(char *const *paths, size_t count, struct cli_service **services,
                                size_t *services_count, struct buf *warnings, struct arena *arena,
                                struct error *e) {
    const struct config *config;
    if (!load_files(paths, count, "", true, &config, warnings, e))
        return false;
    *services_count = config->services.len;
    *services = ARENA_ARRAY(arena, struct cli_service, config->services.len);
    for (uint32_t i = 0; i < config->services.len; i++) {
        const struct service_definition *d =
            &LIST_AT(config->services, struct service_definition, i);
        struct buf json = BUF_INIT;
        config_write_service_json(&json, d);
        (*services)[i] = (struct cli_service){str_copy(arena, d->id), str_copy(arena, d->name),
                                              str_copy(arena, buf_str(&json))};
        buf_free(&json);
    }
    config_release(config);
    return true;
}

static bool expand_address(struct str text, struct str *out, struct arena *arena, struct error *e) {
    struct machine machine = {0};
    if (str_find(text, STR("{{"), 0) >= 0)
        machine_read(&machine, arena);
    return template_expand(text, &machine, out, arena, e);
}

static bool render_template(struct str text, const char *name, const char *type,
                            const struct cli_template_field *fields, size_t count, struct str *out,
                            struct arena *arena, struct error *e) {
    struct template_field *copy = ARENA_ARRAY(arena, struct template_field, count + 1);
    for (size_t i = 0; i < count; i++)
        copy[i] = (struct template_field){fields[i].name, fields[i].is_bool, fields[i].boolean,
                                          fields[i].text};
    struct template_record record = {type, copy, count};
    return template_render(text, name, &record, out, arena, e);
}

int main(int argc, char **argv) {
    static const struct cli_telemetry telemetry = {proxy_telemetry_start, proxy_telemetry_sample,
                                                   proxy_telemetry_dump, proxy_telemetry_stop};
    static const struct cli_hooks hooks = {run_agent,      validate,        services_from_files,
                                           expand_address, render_template, acl_rules_translate,
                                           &telemetry};
    if (argc > 1 && strcmp(argv[1], "agent") == 0)
        return run_agent(argc - 1, argv + 1);
    return cli_main(argc, argv, &hooks);
}
