/* Columns of text: see table.h. */
#include "cli/table.h"

#include "base/mem.h"

size_t text_width(struct str s) {
    size_t width = 0;
    for (size_t i = 0; i < s.len; width++) {
        size_t len = utf8_decode(s.data + i, s.len - i, NULL);
        i += len > 0 ? len : 1;
    }
    return width;
}

static void add_blanks(struct buf *out, size_t count) {
    memset(buf_reserve(out, count), ' ', count);
    out->len += count;
}

/* ---- tables ---- */

void table_add(struct table *t, const struct str *cells, size_t count) {
    ASSERT(count <= TABLE_COLUMNS_MAX);
    if (t->count == t->cap) {
        size_t cap = t->cap > 0 ? t->cap * 2 : 16;
        struct table_row *rows = ARENA_ARRAY(t->arena, struct table_row, cap);
        if (t->count > 0)
            memcpy(rows, t->rows, t->count * sizeof *rows);
        t->rows = rows;
        t->cap = cap;
    }
    struct table_row *row = &t->rows[t->count++];
    row->count = count;
    for (size_t i = 0; i < count; i++)
        row->cells[i] = str_trim(cells[i]);
}

void table_format(const struct table *t, struct buf *out) {
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t r = 0; r < t->count; r++) {
        for (size_t c = 0; c < t->rows[r].count; c++) {
            size_t width = text_width(t->rows[r].cells[c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t r = 0; r < t->count; r++) {
        const struct table_row *row = &t->rows[r];
        if (r > 0)
            buf_add_char(out, '\n');
        for (size_t c = 0; c < row->count; c++) {
            buf_add_str(out, row->cells[c]);
            if (c + 1 < row->count)
                add_blanks(out, widths[c] - text_width(row->cells[c]) + 2);
        }
    }
}

/* ---- tabbed text ---- */

struct cell {
    struct str text;
    size_t width;  /* of the text */
    size_t column; /* width of its column, known for tab-terminated cells */
};
struct line {
    struct cell *cells; /* the last one is not tab-terminated */
    size_t count;
};

static void split_line(struct str text, struct line *line, struct arena *arena) {
    size_t tabs = 0;
    for (size_t i = 0; i < text.len; i++)
        tabs += text.data[i] == '\t';
    line->cells = ARENA_ARRAY(arena, struct cell, tabs + 1);
    line->count = tabs + 1;
    for (size_t i = 0; i <= tabs; i++) {
        line->cells[i].text = str_cut(&text, '\t');
        line->cells[i].width = text_width(line->cells[i].text);
    }
}

/* Column c of a run of lines that all have a tab-terminated cell there. */
static void align_run(struct line *lines, size_t count, size_t c, size_t padding) {
    size_t width = 0;
    for (size_t i = 0; i < count; i++) {
        size_t wanted = lines[i].cells[c].width + padding;
        width = wanted > width ? wanted : width;
    }
    for (size_t i = 0; i < count; i++)
        lines[i].cells[c].column = width;
}

/* A column's run ends also where a column to its left ends its own, which a line without that many
 * cells does for all: so runs of one column can be found independently of the others. */
static void align_column(struct line *lines, size_t count, size_t c, size_t padding) {
    for (size_t i = 0; i < count;) {
        size_t run = 0;
        while (i + run < count && lines[i + run].count > c + 1)
            run++;
        align_run(lines + i, run, c, padding);
        i += run > 0 ? run : 1;
    }
}

void tabbed_format(struct str text, size_t padding, struct buf *out) {
    struct arena arena = ARENA_INIT;
    size_t count = 1, columns = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    struct line *lines = ARENA_ARRAY(&arena, struct line, count);
    for (size_t i = 0; i < count; i++) {
        split_line(str_cut(&text, '\n'), &lines[i], &arena);
        columns = lines[i].count > columns ? lines[i].count : columns;
    }
    /* A text that ends in a tab has no last cell, so the tab is not there either. */
    struct line *last = &lines[count - 1];
    if (last->count > 1 && last->cells[last->count - 1].text.len == 0)
        last->count--;
    for (size_t c = 0; c + 1 < columns; c++)
        align_column(lines, count, c, padding);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(out, '\n');
        for (size_t c = 0; c < lines[i].count; c++) {
            const struct cell *cell = &lines[i].cells[c];
            buf_add_str(out, cell->text);
            if (c + 1 < lines[i].count)
                add_blanks(out, cell->column - cell->width);
        }
    }
    arena_free(&arena);
}
