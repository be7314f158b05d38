/* Columns of text. Tables have two blanks between columns; tabbed text has its columns where the
 * tabs are, as elastic tabstops (cli.md 1.5).
 */
#ifndef PRAETOR_CLI_TABLE_H
#define PRAETOR_CLI_TABLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define TABLE_COLUMNS_MAX 8

struct table {
    struct arena *arena; /* holds the rows; set by the user */
    struct table_row *rows;
    size_t count, cap;
};
struct table_row {
    struct str cells[TABLE_COLUMNS_MAX];
    size_t count;
};

/* Cells are trimmed; their strings must live until the table is printed. */
void table_add(struct table *t, const struct str *cells, size_t count);
#define TABLE_ADD(t, ...)                                                                          \
    table_add((t), (const struct str[]){__VA_ARGS__},                                              \
              sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))
/* All cells but the last of a row are padded. Without a final newline. */
void table_format(const struct table *t, struct buf *out);

/* Aligns tab-terminated cells: in adjoining lines the cells of a column are as wide as the widest,
 * plus `padding` blanks. What follows a line's last tab is not padded. */
void tabbed_format(struct str text, size_t padding, struct buf *out);

/* Number of code points; each byte that is no UTF-8 counts as one. */
size_t text_width(struct str s);

#endif
