/* Flags as the peer's language reads them (cli.md 1.3): `-name value`, `-name=value`, one dash or
 * two, until the first argument that is none. A command describes its flags as a table over a
 * struct of its own; this file fills the struct in and lists the table. It prints nothing itself.
 */
#ifndef PRAETOR_CLI_FLAG_H
#define PRAETOR_CLI_FLAG_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum flag_kind {
    FLAG_BOOL,     /* bool */
    FLAG_STRING,   /* struct str */
    FLAG_INT,      /* int64_t; 0x, 0o, 0b and _ are understood, as for FLAG_UINT */
    FLAG_UINT,     /* uint64_t */
    FLAG_DURATION, /* int64_t, nanoseconds */
    FLAG_LIST,     /* struct flag_list: every occurrence adds */
    FLAG_MAP,      /* struct flag_list of "key" and "value", in turn; a later key replaces */
    /* Those that know whether they were given; their errors have other texts. */
    FLAG_SET_BOOL,     /* struct flag_set_bool */
    FLAG_SET_STRING,   /* struct flag_set_string */
    FLAG_SET_UINT,     /* struct flag_set_uint */
    FLAG_SET_DURATION, /* struct flag_set_duration */
    FLAG_SET_INT,      /* struct flag_set_int; plain decimal */
    FLAG_OWN,          /* anything: the flag's own function reads each occurrence */
};

struct flag_list {
    struct str *items; /* in the arena of flags_parse */
    size_t len, cap;
};
struct flag_set_bool {
    bool set, value;
};
struct flag_set_string {
    bool set;
    struct str value;
};
struct flag_set_uint {
    bool set;
    uint64_t value;
};
struct flag_set_int {
    bool set;
    int64_t value;
};
struct flag_set_duration {
    bool set;
    int64_t value;
};

/* Reads a value into the option at `at`. The error's text stands behind "invalid value "x" for flag
 * -name: ". context: the group's. */
typedef bool flag_reader(void *at, struct str value, const void *context, struct arena *arena,
                         struct error *e);

struct flag {
    const char *name; /* without the dash */
    enum flag_kind kind;
    size_t offset;           /* into the struct of options */
    const char *placeholder; /* NULL: by kind; booleans have none */
    const char *help;        /* one paragraph, not wrapped */
    flag_reader *read;       /* FLAG_OWN */
};

/* A set of flags over one struct. Commands have two: their own and those for HTTP. */
struct flag_group {
    const struct flag *flags;
    size_t count;
    void *options;       /* filled in by flags_parse */
    const void *context; /* for readers */
};

/* Reads args[0..count). *used is how many were flags (with their values, and a final "--"). Errors
 * have the peer's texts, ERROR_BAD_REQUEST; "-h" is not known here. */
bool flags_parse(const struct flag_group *groups, size_t group_count, char *const *args,
                 size_t count, size_t *used, struct arena *arena, struct error *e);

/* "Usage:" and every flag, sorted, with its default, as behind an error. The groups' options must
 * hold the defaults. */
void flags_list(const struct flag_group *groups, size_t group_count, struct buf *out);
/* The flags of one group for a command's help: wrapped at 72 columns, each followed by an empty
 * line. */
void flags_describe(const struct flag *const *sorted, size_t count, struct buf *out);
/* The flags of all groups, sorted by name. */
const struct flag **flags_sorted(const struct flag_group *groups, size_t group_count, size_t *count,
                                 struct arena *arena);

#endif
