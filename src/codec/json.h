/* JSON text to value trees, with the peer's error texts (http-core.md 5.3), and a writer that
 * produces its exact layout and escapes (http-core.md 5.1). No structures here: schema/ maps trees
 * to structs.
 */
#ifndef PRAETOR_CODEC_JSON_H
#define PRAETOR_CODEC_JSON_H

#include "base/buf.h"
#include "base/error.h"
#include "base/time.h"
#include "codec/value.h"

#define JSON_MAX_DEPTH 1000

/* Reads the first JSON value of the text into *out (in the arena; strings without escapes and the
 * literals of numbers are views into the text, which must live as long). Errors are
 * ERROR_BAD_REQUEST: "EOF" for nothing but blanks, "unexpected EOF" for a text that ends too early.
 * Returns the offset behind it in *end when not NULL; what follows is not looked at. Nesting beyond
 * JSON_MAX_DEPTH is an error. */
bool json_parse(struct str text, struct value *out, size_t *end, struct arena *arena,
                struct error *e);
/* As json_parse, but only blanks may follow ("invalid character 'x' after top-level value"), and a
 * text that ends too early is "unexpected end of JSON input". */
bool json_parse_whole(struct str text, struct value *out, struct arena *arena, struct error *e);

/* Adds the text laid out anew: a line for each element, that indent, ": " behind keys. Numbers and
 * strings stay as they are written, and so do blanks behind the value. Errors as of
 * json_parse_whole. */
bool json_layout(struct str text, const char *indent, struct buf *out, struct arena *arena,
                 struct error *e);

struct json_writer {
    struct buf *out;
    bool pretty; /* 4 blanks an indent, ": ", and a final newline by json_finish */
    int depth;
    bool first; /* nothing written yet in the current container */
    bool after_key;
};

void json_begin(struct json_writer *w, struct buf *out, bool pretty);
void json_finish(struct json_writer *w); /* the final newline when pretty */
void json_open_object(struct json_writer *w);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close_array(struct json_writer *w);
void json_key(struct json_writer *w, struct str key);
/* The key already escaped and in quotes. */
void json_key_quoted(struct json_writer *w, struct str quoted);
void json_null(struct json_writer *w);
void json_bool(struct json_writer *w, bool b);
void json_i64(struct json_writer *w, int64_t n);
void json_u64(struct json_writer *w, uint64_t n);
void json_f64(struct json_writer *w, double d); /* shortest that round-trips, Go's layout */
void json_f32(struct json_writer *w, float f);
void json_str(struct json_writer *w, struct str s);
void json_base64(struct json_writer *w, struct str bytes); /* absent: null */
void json_time(struct json_writer *w, struct timestamp t);
void json_value(struct json_writer *w, const struct value *v); /* map keys sorted */
/* The escaped string with its quotes, alone. */
void json_escape(struct buf *out, struct str s);

#endif
