/* What the parts of the HCL reader share: tokens, the scanner, and the syntax tree; and the tree
 * for whoever decodes it otherwise than into free-form values (acl/rules.c).
 */
#ifndef PRAETOR_CODEC_HCL_SYNTAX_H
#define PRAETOR_CODEC_HCL_SYNTAX_H

#include "base/error.h"
#include "codec/hcl.h"

enum hcl_token_type {
    HCL_ILLEGAL,
    HCL_EOF,
    HCL_COMMENT,
    HCL_IDENT,
    HCL_NUMBER,
    HCL_FLOAT,
    HCL_BOOL,
    HCL_STRING,
    HCL_HEREDOC,
    HCL_LBRACK,
    HCL_LBRACE,
    HCL_COMMA,
    HCL_PERIOD,
    HCL_RBRACK,
    HCL_RBRACE,
    HCL_ASSIGN,
    HCL_ADD,
    HCL_SUB,
    HCL_NULL,  /* only in the JSON dialect */
    HCL_COLON, /* the same */
};

struct hcl_token {
    enum hcl_token_type type;
    struct str text; /* as written, with quotes */
    size_t position;
    size_t line; /* counted from 1 where comments are kept, else 0 */
    bool plain;  /* a string in which "${" is nothing special: of the JSON dialect */
    bool null;   /* JSON's null, which is read as "" and written as nothing */
};

/* Comments of one line, or of lines that follow each other, as they were written. */
struct hcl_comments {
    struct str *texts;
    size_t len, cap;
    size_t position;
    size_t line;   /* of the start of the last one */
    bool attached; /* to an item or an element of a list */
    struct hcl_comments *next;
};

struct hcl_scanner {
    struct str text;
    size_t at;
    struct arena *arena;
    /* The newest error: the peer goes on scanning, and reports the last one if the text was wrong
     * at all. NULL: none. */
    const char *error;
    size_t error_position;
    /* How often something was read at the end of the text: the peer counts a column for each. */
    size_t past;
};

/* A literal, an object or a list. Comments and lines are as in struct hcl_item; of comments only
 * literals in lists have any. */
struct hcl_node {
    enum { HCL_NODE_LITERAL, HCL_NODE_OBJECT, HCL_NODE_LIST } kind;
    size_t position;
    size_t end;             /* object: of its closing brace */
    struct hcl_token token; /* literal */
    struct hcl_comments *lead, *behind;
    size_t line;
    struct hcl_item *items;  /* object */
    struct hcl_node **nodes; /* list */
    size_t len, cap;
};
struct hcl_item {
    struct str *keys;    /* unquoted */
    struct str *written; /* the same as they stand in the text */
    size_t *places;      /* of the keys in the text; NULL in the JSON dialect */
    size_t key_count;
    bool assigned; /* by "=" or ":" */
    struct hcl_node *value;
    /* Comments above it and behind it; NULL: none. And the line of the first key; 0 in the JSON
     * dialect. All that only where comments are kept. */
    struct hcl_comments *lead, *behind;
    size_t line;
};

void hcl_scan_init(struct hcl_scanner *s, struct str text, struct arena *arena);
struct hcl_token hcl_scan(struct hcl_scanner *s);
/* The tokens of HCL's JSON dialect, whose errors are the same but for those of numbers and signs.
 */
struct hcl_token hcl_scan_json(struct hcl_scanner *s);
const char *hcl_token_name(enum hcl_token_type type);
/* "LINE:COL" of an offset, which may lie behind the end; both start at 1, columns count code
 * points.
 */
struct str hcl_place(struct arena *arena, struct str text, size_t position);
/* The text of a STRING token without quotes and escapes; false when an escape stands for no
 * character. */
bool hcl_unquote(const struct hcl_token *token, struct arena *arena, struct str *out);
struct str hcl_heredoc_value(struct str text, struct arena *arena);

/* Gathers comments for a parser (hcl_comments.c): which of them may belong to what stands behind or
 * before them. A text's lines are counted from 1. */
struct hcl_gatherer {
    struct arena *arena;
    struct str text;
    size_t counted_to, line; /* the line of that position */
    size_t token_line;       /* of the newest token; 0: none yet */
    struct hcl_comments *first, *last;
    struct hcl_comments *lead, *behind; /* waiting for an item */
};
void hcl_gather_init(struct hcl_gatherer *g, struct str text, struct arena *arena);
/* The next token that is no comment. */
struct hcl_token hcl_gather_scan(struct hcl_gatherer *g, struct hcl_scanner *s);
/* Hands over what waits; NULL: nothing. */
struct hcl_comments *hcl_gather_take(struct hcl_comments **waiting);

void hcl_object_add(struct hcl_node *object, struct hcl_item item, struct arena *arena);
void hcl_list_add(struct hcl_node *list, struct hcl_node *node, struct arena *arena);

struct hcl_tree {
    struct str text;       /* with the line ends to which positions refer */
    struct hcl_node *root; /* an object */
    bool json;
    struct hcl_comments *comments; /* all of them; NULL if they were not asked for */
};
/* The whole text, of either dialect. The tree is in the arena and points into the text. */
bool hcl_parse_tree(struct str text, struct hcl_tree *out, struct arena *arena, struct error *e);
/* The same to be printed: with its comments, and with keys that mean nothing. */
bool hcl_parse_commented(struct str text, struct hcl_tree *out, struct arena *arena,
                         struct error *e);
/* What a STRING, HEREDOC or NUMBER stands for. */
bool hcl_literal_text(const struct hcl_token *t, struct str *out, struct arena *arena,
                      struct error *e);

/* HCL's JSON dialect into the same tree. to_print: a key whose escapes stand for no character is
 * kept as it is written, and lists of nothing but objects are spread into as many items. */
bool hcl_parse_json(struct str text, bool to_print, struct hcl_node **root, struct arena *arena,
                    struct error *e);

#endif
