/* The tables of the configuration's keys, and what works on them: decoding (types and unknown
 * keys), merging, and filling structs. Only for agent/config*.c.
 */
#ifndef PRAETOR_AGENT_CONFIG_TABLE_H
#define PRAETOR_AGENT_CONFIG_TABLE_H

#include "agent/config.h"
#include "codec/value.h"

enum config_type {
    CONFIG_STR,
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_UINT,
    CONFIG_UINT32,
    CONFIG_UINT64,
    CONFIG_FLOAT,
    CONFIG_DUR,       /* a string in files, nanoseconds when filled in */
    CONFIG_STRS,      /* list of str */
    CONFIG_MAP,       /* map str to str */
    CONFIG_LISTS,     /* map str to list of str */
    CONFIG_BLOCK,     /* a nested table */
    CONFIG_BLOCKS,    /* list of nested tables */
    CONFIG_BLOCK_MAP, /* map str to nested table */
    CONFIG_FREE,      /* map str to anything */
    CONFIG_FREES,     /* list of maps str to anything */
};

enum config_key_flag {
    KEY_ENTERPRISE = 1 << 0, /* warned about, config.md 2.4 */
    KEY_LATER = 1 << 1,      /* of what is not built yet: named in the warning at start */
    KEY_WHOLE = 1 << 2,      /* a block that a later source replaces as a whole */
    KEY_POINTER =
        1 << 3, /* CONFIG_BLOCK: the struct has a pointer; CONFIG_BLOCKS: items are pointers */
    KEY_TWICE = 1 << 4, /* CONFIG_BLOCK: may sit in two lists of one element, as those above may */
};

#define CONFIG_NOWHERE ((ptrdiff_t)-1)

struct config_block;
struct config_key {
    const char *name; /* canonical */
    enum config_type type;
    ptrdiff_t offset; /* CONFIG_NOWHERE: read by code, or of no effect */
    unsigned flags;
    const struct config_block *block;
};

struct config_alias {
    const char *alias, *name;
};

struct config_block {
    const struct config_key *keys;
    size_t count;
    size_t size;                /* of the struct that is filled */
    void (*init)(void *object); /* defaults before filling; NULL: none */
    const struct config_alias *aliases;
    size_t alias_count;
    bool is_check; /* durations are named check[ID].key */
};

extern const struct config_block config_root;
extern const struct config_block config_service_block;
extern const struct config_block config_check_block;

/* Lists of errors or warnings, in an arena. */
struct texts {
    struct arena *arena;
    struct str *items;
    size_t len, cap;
};
void texts_add(struct texts *t, struct str text);
void texts_addf(struct texts *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "2 errors occurred:\n\t* a\n\t* b\n\n" */
struct str texts_multi(const struct texts *t, struct arena *arena);

/* Brings a tree as read into canonical form: known keys under their names, values of the right
 * type, one-element lists unwrapped (config.md 1.4). On error the whole text behind "failed to
 * parse NAME: ". warnings: Enterprise and removed keys. */
bool config_decode(const struct value *raw, struct value *out, struct texts *warnings,
                   struct arena *arena, struct error *e);
/* later over earlier, both canonical; the result is in *earlier. */
void config_merge(const struct config_block *block, struct value *earlier,
                  const struct value *later, struct arena *arena);
/* A canonical tree into a struct; keys that are not set leave what is there. Bad durations go to
 * `errors`, and discard what it held (config.md 2.1). `path` is in front of key names. */
void config_fill(const struct config_block *block, const struct value *tree, void *object,
                 struct str path, struct texts *errors, struct arena *arena);

const struct config_key *config_key_find(const struct config_block *block, struct str name);
/* The value at "ports.http", or NULL. */
const struct value *config_get(const struct value *tree, const char *path);
struct str config_get_str(const struct value *tree, const char *path);
int64_t config_get_int(const struct value *tree, const char *path);
bool config_get_bool(const struct value *tree, const char *path, bool otherwise);

/* Keys marked KEY_LATER that the tree sets to something of effect: their paths are added. */
void config_later_keys(const struct config_block *block, const struct value *tree, struct str path,
                       struct texts *out);

/* The texts of the built-in sources, in HCL. */
extern const char config_source_default[], config_source_dev[], config_source_fixed[],
    config_source_fixed_dev[];

/* ---- building and validating ---- */

struct config_builder {
    struct config *c;
    struct arena *arena; /* of c */
    struct value tree;
    struct texts errors; /* class A */
    struct texts warnings;
    struct error *e;
};

/* config_address.c. Templates and address lists (config.md 1.8). Each returns false with the error
 * set. */
bool address_expand(struct str text, struct str *out, struct arena *arena, struct error *e);
bool address_is_ip(struct str text, bool *v6);
bool address_is_any(struct str ip);
bool address_is_ipv4(struct str ip);
bool address_is_ipv6(struct str ip);
/* The only private IPv4 or public IPv6 address of this machine; the error is config.md 1.8's. */
bool address_detect(bool v6, struct str *out, struct arena *arena, struct error *e);
bool cidr_parse(struct str text);

/* config_build.c, config_definitions.c, config_validate.c: the phases of config.md 2. */
bool config_build(struct config_builder *b);
void config_build_definitions(struct config_builder *b);
bool config_build_addresses(struct config_builder *b);
/* config_rest.c: what is looked at last and in an order of its own, all of it errors of class A. */
void config_build_rest(struct config_builder *b);
bool config_validate(struct config_builder *b);
/* config_auto.c: auto_encrypt, auto_config, connect.ca_config. */
void config_build_auto(struct config_builder *b);
bool config_validate_auto(struct config_builder *b);
bool config_validate_ca(struct config_builder *b);

#endif
