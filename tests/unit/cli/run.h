/* Runs commands of the command line inside of a test, with streams in memory.
 */
#ifndef TESTS_UNIT_CLI_RUN_H
#define TESTS_UNIT_CLI_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cli/command.h"

struct ran {
    int code;
    char *out, *err;
    size_t out_len, err_len;
};

/* args ends with NULL; input may be NULL. The result is to be freed with run_free. */
static inline struct ran run_with(const char *program, const struct cli_hooks *hooks,
                                  const char *input, char *const *args) {
    static const struct cli_hooks no_hooks;
    struct ran r = {0};
    struct arena arena = ARENA_INIT;
    FILE *out = open_memstream(&r.out, &r.out_len), *err = open_memstream(&r.err, &r.err_len);
    FILE *in = input != NULL && *input != '\0' ? fmemopen((void *)input, strlen(input), "r")
                                               : fopen("/dev/null", "r");
    const char *slash = strrchr(program, '/');
    struct cli cli = {.hooks = hooks != NULL ? hooks : &no_hooks,
                      .arena = &arena,
                      .in = in,
                      .out = out,
                      .err = err,
                      .program = program,
                      .as_consul = strcmp(slash != NULL ? slash + 1 : program, "consul") == 0};
    size_t count = 0;
    while (args[count] != NULL)
        count++;
    r.code = cli_run(&cli, args, count);
    fclose(in);
    fclose(out);
    fclose(err);
    arena_free(&arena);
    return r;
}
#define RUN(...) run_with("/usr/bin/consul", NULL, NULL, (char *const[]){__VA_ARGS__, NULL})

static inline void run_free(struct ran *r) {
    free(r->out);
    free(r->err);
}

#endif
