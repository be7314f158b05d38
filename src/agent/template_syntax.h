/* What the parts of the templates share: values, tokens, the syntax tree, functions. Only for
 * agent/template*.c.
 */
#ifndef PRAETOR_AGENT_TEMPLATE_SYNTAX_H
#define PRAETOR_AGENT_TEMPLATE_SYNTAX_H

#include "agent/template.h"
#include "base/buf.h"

#define TEMPLATE_MAX_BYTES 65536       /* of a template */
#define TEMPLATE_MAX_DEPTH 64          /* of parentheses and blocks */
#define TEMPLATE_MAX_STEPS 20000       /* nodes evaluated */
#define TEMPLATE_MAX_MADE (8u << 20)   /* bytes of strings and lists that functions give */
#define TEMPLATE_MAX_ARGS 64           /* of one command */
#define TEMPLATE_MAX_VARIABLES 256     /* in force at a time */
#define TEMPLATE_MAX_OUTPUT (1u << 20) /* bytes */
#define TEMPLATE_MAX_DEFINITIONS 256
#define TEMPLATE_MAX_NESTED 256 /* bodies that are carried out, within each other */

/* ---- values ---- */

enum template_kind {
    TEMPLATE_NIL,
    TEMPLATE_BOOL,
    TEMPLATE_INT,
    TEMPLATE_FLOAT,
    TEMPLATE_STRING,
    TEMPLATE_LIST, /* of addresses */
    TEMPLATE_ADDRESS,
    TEMPLATE_RECORD,
};

struct template_value {
    enum template_kind kind;
    bool boolean;
    int64_t integer;
    double number;
    struct str string;
    const struct machine_address *addresses; /* LIST: len of them; ADDRESS: one */
    size_t len;
    const struct template_record *record;
};

/* "string", "sockaddr.IfAddrs" */
const char *template_type_name(const struct template_value *v);
/* As the action {{ v }} prints it. */
void template_print(struct buf *out, const struct template_value *v);
/* printf, with the verbs v s q d x t c and + - 0, width and precision. */
void template_format(struct buf *out, struct str format, const struct template_value *args,
                     size_t count, struct arena *arena);
/* print and println */
void template_print_all(struct buf *out, const struct template_value *args, size_t count,
                        bool line);

void template_add_rune(struct buf *out, uint32_t rune); /* as UTF-8 */

/* ---- functions ---- */

struct template_call {
    const struct machine *machine;
    struct template_value *args;
    size_t count;
    struct arena *arena;
    struct error *e; /* what stands behind "error calling NAME: " */
};

/* params: a letter for each argument: s string, u unsigned, i integer, l list, a anything; a '*' at
 * the end: any number more of what precedes it. */
struct template_function {
    const char *name;
    const char *params;
    bool (*call)(struct template_call *c, struct template_value *out);
};
/* NULL: there is none. */
static inline const struct template_function *
template_function_named(const struct template_function *all, size_t count, struct str name) {
    for (size_t i = 0; i < count; i++)
        if (str_is(name, all[i].name))
            return &all[i];
    return NULL;
}
const struct template_function *template_builtin(struct str name);
const struct template_function *template_address_function(struct str name);
/* Those of attributes and arithmetic; template_address_function knows them too. */
const struct template_function *template_attribute_function(struct str name);

/* A field of an address: "Name". False: it has none such. */
bool template_address_field(const struct machine_address *a, struct str name,
                            struct template_value *out, struct arena *arena);
/* "127.0.0.1/8", "::1" */
struct str template_address_string(const struct machine_address *a, struct arena *arena);
/* "127.0.0.1/8 {1 65536 lo  up|loopback}" */
struct str template_address_dump(const struct machine_address *a, struct arena *arena);

/* ---- tokens ---- */

enum template_token_type {
    TOKEN_ERROR, /* text: what is wrong; the last token */
    TOKEN_EOF,
    TOKEN_TEXT,
    TOKEN_LEFT,
    TOKEN_RIGHT,
    TOKEN_SPACE,
    TOKEN_IDENTIFIER,
    TOKEN_KEYWORD,
    TOKEN_BOOL,
    TOKEN_NIL,
    TOKEN_DOT,
    TOKEN_FIELD,    /* .Name */
    TOKEN_VARIABLE, /* $ or $name */
    TOKEN_NUMBER,
    TOKEN_CHAR,
    TOKEN_STRING, /* with its quotes */
    TOKEN_RAW,    /* the same */
    TOKEN_PIPE,
    TOKEN_LPAREN,
    TOKEN_RPAREN,
    TOKEN_DECLARE, /* := */
    TOKEN_ASSIGN,
    TOKEN_SIGN, /* any other */
};

struct template_token {
    enum template_token_type type;
    struct str text;
    size_t position;
};

struct template_tokens {
    struct template_token *items;
    size_t len, cap;
};
/* The last one is TOKEN_EOF or TOKEN_ERROR. */
void template_scan(struct str text, struct template_tokens *out, struct arena *arena);

/* ---- syntax ---- */

enum template_node_type {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_RANGE,
    NODE_WITH,
    NODE_TEMPLATE, /* another one, by its name */
    /* operands */
    NODE_VALUE, /* a literal */
    NODE_DOT,
    NODE_VARIABLE,
    NODE_FUNCTION,
    NODE_PIPE, /* in parentheses */
};

struct template_command {
    struct template_node *args;
    size_t count;
};

struct template_pipe {
    struct str variables[2]; /* declared or assigned, "$x" */
    size_t variable_count;
    bool assign;
    struct template_command *commands;
    size_t count;
};

struct template_body {
    struct template_node *nodes;
    size_t len, cap;
};

struct template_node {
    enum template_node_type type;
    size_t position;
    struct str text;             /* NODE_TEXT: itself; NODE_TEMPLATE: the name; operands: as
                                  * written, without fields */
    struct template_value value; /* NODE_VALUE */
    const struct template_function *function;
    struct template_pipe *pipe; /* NODE_PIPE, actions and blocks; of a template perhaps NULL */
    struct str *fields;         /* behind a dot, variable or parenthesis */
    size_t field_count;
    struct template_body body, otherwise; /* blocks */
};

/* Which functions a template may call besides those that every one has; NULL: none. */
typedef const struct template_function *template_functions(struct str name);
/* A text is a template itself, and may define others. */
struct template_set {
    struct {
        struct str name;
        struct template_body body;
    } items[TEMPLATE_MAX_DEFINITIONS];
    size_t len;
};
const struct template_body *template_named(const struct template_set *set, struct str name);
/* False with the text behind "template: NAME:". */
bool template_parse(struct str text, const char *name, template_functions *functions,
                    struct template_set *out, struct arena *arena, struct error *e);

#endif
