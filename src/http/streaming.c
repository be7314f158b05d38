/* Answers whose end is not known when they begin: streams of log lines, and files, which go out as
 * fast as the client takes them.
 */
#include <unistd.h>

#include "base/mem.h"
#include "http/room.h"

#define FILE_STEP ((size_t)65536)
#define FILE_BACKLOG ((size_t)262144)

/* ---- pieces ---- */

void http_stream_begin(struct http_request *r, int status, const char *type) {
    struct http_connection *c = r->connection;
    r->head_sent = true;
    if (c == NULL)
        return;
    r->stream_chunked = r->minor > 0;
    if (r->minor == 0 || c->expects)
        r->close_after = true;
    struct buf *out = stream_out(&c->stream);
    http_head_begin(r, out, status, type);
    if (r->deflate != NULL)
        buf_add_str(out, STR("Content-Encoding: gzip\r\n"));
    if (r->stream_chunked)
        buf_add_str(out, STR("Transfer-Encoding: chunked\r\n"));
    http_head_end(r, out);
    stream_flush(&c->stream);
}

static void add_chunk(struct http_request *r, struct str bytes) {
    struct stream *s = &r->connection->stream;
    if (bytes.len == 0)
        return; /* would be the end */
    if (r->stream_chunked)
        buf_add_format(stream_out(s), "%zx\r\n", bytes.len);
    buf_add_str(stream_out(s), bytes);
    if (r->stream_chunked)
        buf_add_str(stream_out(s), STR("\r\n"));
}

static void add_piece(struct http_request *r, struct str bytes, bool finish) {
    if (r->deflate == NULL) {
        add_chunk(r, bytes);
        return;
    }
    struct buf packed = BUF_INIT;
    http_deflate_add(r->deflate, bytes, finish, &packed);
    add_chunk(r, buf_str(&packed));
    buf_free(&packed);
}

void http_stream_write(struct http_request *r, struct str bytes) {
    if (r->connection == NULL || r->connection->stream.closing)
        return;
    add_piece(r, bytes, false);
    stream_flush(&r->connection->stream);
}

size_t http_stream_backlog(const struct http_request *r) {
    return r->connection == NULL ? 0 : stream_backlog(&r->connection->stream);
}

void http_stream_end(struct http_request *r) {
    if (r->connection != NULL && !r->connection->stream.closing) {
        if (r->deflate != NULL)
            add_piece(r, STR(""), true);
        if (r->stream_chunked)
            buf_add_str(stream_out(&r->connection->stream), STR("0\r\n\r\n"));
    }
    http_request_end(r);
}

void http_stream_drop(struct http_request *r) {
    http_deflate_free(r->deflate);
    r->deflate = NULL;
}

/* ---- files ---- */

struct file_answer {
    int file;
    bool failed;
};

static void file_end(struct http_request *r) {
    struct file_answer *f = r->state;
    r->drained = NULL;
    r->gone = NULL;
    close(f->file);
    if (f->failed && r->connection != NULL) {
        /* The client must see that this is not the whole. */
        stream_close(&r->connection->stream);
    }
    http_stream_end(r);
}

static void file_pump(struct http_request *r) {
    struct file_answer *f = r->state;
    char *bytes = mem_alloc(FILE_STEP);
    ssize_t got = 1;
    while (http_stream_backlog(r) < FILE_BACKLOG) {
        got = read(f->file, bytes, FILE_STEP);
        if (got <= 0)
            break;
        http_stream_write(r, str_of(bytes, (size_t)got));
        if (r->connection->stream.closing)
            break; /* gone() follows */
    }
    mem_free(bytes);
    if (got > 0)
        return; /* drained() goes on */
    f->failed = got < 0;
    file_end(r);
}

void http_answer_file(struct http_request *r, int status, const char *type, int file) {
    struct file_answer *f = ARENA_NEW(&r->arena, struct file_answer);
    f->file = file;
    r->state = f;
    r->gone = file_end;
    if (r->connection == NULL || http_is_head(r)) {
        close(file);
        http_answer_empty(r, status);
        return;
    }
    if (r->accepts_gzip)
        r->deflate = http_deflate_new();
    r->drained = file_pump;
    http_stream_begin(r, status, type);
    file_pump(r);
}
