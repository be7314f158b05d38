/* Command lines of any bytes, split at newlines: completion of the line, and the flags of every
 * command that the words could be for. No crash, no leak; nothing is run. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"

#define WORDS_MAX 64

static void read_flags(const struct command *c, char *const *args, size_t count) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct http_options http = {0};
    struct flag list[HTTP_FLAGS_MAX];
    void *options = arena_zalloc(&arena, 1, c->options_size);
    struct flag_group groups[2] = {{list, http_flags(c->groups, list), &http},
                                   {c->flags, c->flag_count, options}};
    size_t used = 0;
    if (flags_parse(groups, 2, args, count, &used, &arena, &e))
        ASSERT(used <= count);
    else
        ASSERT(e.text.len > 0);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf text = BUF_INIT, out = BUF_INIT;
    char *args[WORDS_MAX];
    size_t count = 0, words = 0;
    complete_line(str_of(data, size), &out);
    buf_add(&text, data, size);
    buf_add_char(&text, '\0');
    for (char *at = text.data; count < WORDS_MAX && at != NULL;) {
        char *end = strchr(at, '\n');
        if (end != NULL)
            *end++ = '\0';
        args[count++] = at;
        at = end;
    }
    const struct command *c = cli_command_match(args, count, &words);
    ASSERT(words >= 1 && words <= count);
    if (c != NULL)
        read_flags(c, args + words, count - words);
    buf_free(&out);
    buf_free(&text);
    return 0;
}
