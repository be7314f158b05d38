/* Heads, chunked bodies and URLs from bytes of anybody. Checks that feeding in one piece and byte
 * by byte come to the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "codec/http.h"
#include "codec/url.h"

static void require(bool condition) {
    if (!condition)
        abort();
}

static void read_target(struct str target, struct arena *arena) {
    struct str path, query, decoded;
    struct url_param *params;
    uint32_t count;
    if (!url_split_target(target, &path, &query))
        return;
    if (url_decode(path, false, arena, &decoded)) {
        struct str clean = url_clean_path(decoded, arena);
        require(clean.len > 0 && clean.data[0] == '/');
        require(url_clean_path(clean, arena).data == clean.data); /* clean stays clean */
    }
    if (url_parse_query(query, arena, &params, &count))
        url_encode_query(arena, params, count);
}

static enum http_progress read_chunks(struct str all, size_t step, struct buf *body) {
    struct http_chunked c = {0};
    while (all.len > 0) {
        size_t len = step < all.len ? step : all.len;
        struct str in = str_of(all.data, len);
        while (in.len > 0) {
            struct str piece;
            enum http_progress p = http_chunked_read(&c, &in, &piece);
            buf_add_str(body, piece);
            if (p != HTTP_MORE)
                return p;
        }
        all = str_of(all.data + len, all.len - len);
    }
    return HTTP_MORE;
}

static void chunks_both_ways(struct str all) {
    struct buf whole = BUF_INIT, single = BUF_INIT;
    enum http_progress a = read_chunks(all, all.len + 1, &whole);
    enum http_progress b = read_chunks(all, 1, &single);
    require(a == b && str_eq(buf_str(&whole), buf_str(&single)));
    buf_free(&whole);
    buf_free(&single);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str all = str_of(data, size);
    struct http_refusal refusal;
    struct http_head_scan scan = {0}, slow = {0};
    size_t end = 0, slow_end = 0;
    enum http_progress p = http_head_find(&scan, all, &end, &refusal);
    enum http_progress q = HTTP_MORE;
    for (size_t len = 1; len <= size && q == HTTP_MORE && size < 4096; len++)
        q = http_head_find(&slow, str_of(data, len), &slow_end, &refusal);
    if (size > 0 && size < 4096)
        require(p == q && (p != HTTP_COMPLETE || end == slow_end));
    if (p == HTTP_COMPLETE) {
        struct arena arena = ARENA_INIT;
        struct http_head head;
        require(end <= size);
        if (http_head_parse(str_of(data, end), &head, &arena, &refusal)) {
            require(!(head.chunked && head.content_length >= 0));
            read_target(head.target, &arena);
        }
        arena_free(&arena);
        all = str_of(data + end, size - end);
    }
    chunks_both_ways(all);
    return 0;
}
