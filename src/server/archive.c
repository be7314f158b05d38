/* Archives: a tar writer and reader for three plain files, over zlib, with the peer's error texts.
 * The reader is our own because the texts depend on where exactly a stream ends: libraries are more
 * lenient than the peer.
 */
#include "server/archive.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"

#define BLOCK ((size_t)512)
#define PIECE ((size_t)64 << 10)
#define SUMS_MAX ((size_t)64 << 10)
#define HASH_BYTES 32
#define GZIP_WINDOW (15 + 16)
#define GZIP_HEADER ((size_t)10)

enum { FILE_META, FILE_STATE, FILE_COUNT };
static const char *const file_names[FILE_COUNT] = {"meta.json", "state.bin"};

static EVP_MD_CTX *hash_new(void) {
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    ASSERT(h != NULL && EVP_DigestInit_ex(h, EVP_sha256(), NULL) == 1);
    return h;
}

static void hash_add(EVP_MD_CTX *h, struct str bytes) {
    int ok = EVP_DigestUpdate(h, bytes.data, bytes.len);
    ASSERT(ok == 1);
}

static void hash_end(EVP_MD_CTX *h, uint8_t out[HASH_BYTES]) {
    unsigned len = 0;
    int ok = EVP_DigestFinal_ex(h, out, &len);
    ASSERT(ok == 1 && len == HASH_BYTES);
}

/* ---- writing ---- */

struct packer {
    z_stream z;
    archive_sink *sink;
    void *owner;
    char out[PIECE];
};

static bool pack(struct packer *p, struct str bytes, int flush, struct error *e) {
    p->z.next_in = (Bytef *)(uintptr_t)bytes.data;
    p->z.avail_in = (uInt)bytes.len;
    do {
        p->z.next_out = (Bytef *)p->out;
        p->z.avail_out = sizeof p->out;
        int code = deflate(&p->z, flush);
        ASSERT(code != Z_STREAM_ERROR);
        size_t n = sizeof p->out - p->z.avail_out;
        if (n > 0 && !p->sink(p->owner, str_of(p->out, n), e))
            return false;
    } while (p->z.avail_out == 0);
    ASSERT(p->z.avail_in == 0);
    return true;
}

/* Octal with a NUL behind it, or base 256 when it does not fit (the GNU way). */
static void put_number(char *field, size_t width, uint64_t n) {
    if (width >= 22 || n < UINT64_C(1) << 3 * (width - 1)) {
        snprintf(field, width, "%0*llo", (int)width - 1, (unsigned long long)n);
        return;
    }
    for (size_t i = width; i-- > 1; n >>= 8)
        field[i] = (char)(n & 0xff);
    field[0] = (char)0x80;
}

static void tar_header(char block[BLOCK], const char *name, uint64_t size) {
    memset(block, 0, BLOCK);
    snprintf(block, 100, "%s", name);
    put_number(block + 100, 8, 0600);
    put_number(block + 108, 8, 0);
    put_number(block + 116, 8, 0);
    put_number(block + 124, 12, size);
    put_number(block + 136, 12, 0);
    block[156] = '0';
    memcpy(block + 257, "ustar\00000", 8);
    memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += (uint8_t)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    block[155] = ' ';
}

static bool pack_padding(struct packer *p, uint64_t size, struct error *e) {
    static const char zeros[BLOCK];
    size_t over = (size_t)(size % BLOCK);
    return over == 0 || pack(p, str_of(zeros, BLOCK - over), Z_NO_FLUSH, e);
}

static bool pack_text(struct packer *p, const char *name, struct str text, struct error *e) {
    char block[BLOCK];
    tar_header(block, name, text.len);
    return pack(p, str_of(block, BLOCK), Z_NO_FLUSH, e) && pack(p, text, Z_NO_FLUSH, e) &&
           pack_padding(p, text.len, e);
}

static bool pack_state(struct packer *p, uint64_t size, archive_source *state, void *owner,
                       EVP_MD_CTX *hash, struct error *e) {
    char block[BLOCK];
    tar_header(block, file_names[FILE_STATE], size);
    if (!pack(p, str_of(block, BLOCK), Z_NO_FLUSH, e))
        return false;
    char *piece = mem_alloc(PIECE);
    bool ok = true;
    for (uint64_t left = size; ok && left > 0;) {
        ptrdiff_t n = state(owner, piece, left < PIECE ? (size_t)left : PIECE, e);
        if (n == 0)
            error_set(e, ERROR_IO, "failed to read snapshot data: unexpected EOF");
        ok = n > 0;
        if (ok) {
            struct str bytes = str_of(piece, (size_t)n);
            hash_add(hash, bytes);
            ok = pack(p, bytes, Z_NO_FLUSH, e);
            left -= (uint64_t)n;
        }
    }
    mem_free(piece);
    return ok && pack_padding(p, size, e);
}

static void add_sum(struct buf *sums, EVP_MD_CTX *hash, const char *name) {
    uint8_t bytes[HASH_BYTES];
    hash_end(hash, bytes);
    for (size_t i = 0; i < HASH_BYTES; i++)
        buf_add_format(sums, "%02x", bytes[i]);
    buf_add_format(sums, "  %s\n", name);
}

bool archive_write(const struct snapshot_meta *meta, archive_source *state, void *state_owner,
                   archive_sink *sink, void *sink_owner, struct error *e) {
    static const char end[2 * BLOCK];
    struct packer *p = MEM_NEW(struct packer);
    p->sink = sink;
    p->owner = sink_owner;
    int code =
        deflateInit2(&p->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    ASSERT(code == Z_OK);
    struct buf text = BUF_INIT, sums = BUF_INIT;
    EVP_MD_CTX *hashes[FILE_COUNT] = {hash_new(), hash_new()};
    snapshot_meta_write(meta, false, &text);
    hash_add(hashes[FILE_META], buf_str(&text));
    bool ok = pack_text(p, file_names[FILE_META], buf_str(&text), e) &&
              pack_state(p, (uint64_t)meta->size, state, state_owner, hashes[FILE_STATE], e);
    if (ok) {
        for (int i = 0; i < FILE_COUNT; i++)
            add_sum(&sums, hashes[i], file_names[i]);
        ok = pack_text(p, "SHA256SUMS", buf_str(&sums), e) &&
             pack(p, str_of(end, sizeof end), Z_FINISH, e);
    }
    for (int i = 0; i < FILE_COUNT; i++)
        EVP_MD_CTX_free(hashes[i]);
    buf_free(&text);
    buf_free(&sums);
    deflateEnd(&p->z);
    mem_free(p);
    return ok;
}

/* ---- reading: the stream ---- */

enum stream_end {
    STREAM_GOOD,
    STREAM_EOF,
    STREAM_SHORT,
    STREAM_HEADER,
    STREAM_BAD,
    STREAM_SUM,
    STREAM_SOURCE
};

struct unpacker {
    z_stream z;
    archive_source *source;
    void *owner;
    char in[PIECE];
    enum stream_end state; /* why nothing more comes */
    bool source_ended;
    struct error *source_error;
};

static const char *stream_text(enum stream_end s) {
    switch (s) {
    case STREAM_EOF:
        return "EOF";
    case STREAM_SHORT:
        return "unexpected EOF";
    case STREAM_HEADER:
        return "gzip: invalid header";
    case STREAM_SUM:
        return "gzip: invalid checksum";
    default:
        return "flate: corrupt input";
    }
}

static bool refill(struct unpacker *u) {
    if (u->z.avail_in > 0)
        return true;
    if (u->source_ended)
        return false;
    ptrdiff_t n = u->source(u->owner, u->in, sizeof u->in, u->source_error);
    if (n < 0)
        u->state = STREAM_SOURCE;
    u->source_ended = n <= 0;
    u->z.next_in = (Bytef *)u->in;
    u->z.avail_in = n > 0 ? (uInt)n : 0;
    return n > 0;
}

/* A gzip file may have several members, which count as one. */
static void next_member(struct unpacker *u) {
    if (!refill(u)) {
        if (u->state == STREAM_GOOD)
            u->state = STREAM_EOF;
        return;
    }
    int code = inflateReset(&u->z);
    ASSERT(code == Z_OK);
}

static enum stream_end inflate_failure(const struct unpacker *u) {
    const char *text = u->z.msg != NULL ? u->z.msg : "";
    if (strstr(text, "header") != NULL || strstr(text, "method") != NULL ||
        strstr(text, "window") != NULL)
        return STREAM_HEADER;
    return strstr(text, "check") != NULL && strstr(text, "incorrect") != NULL ? STREAM_SUM
                                                                              : STREAM_BAD;
}

/* Up to len bytes; fewer only when the stream ends, and u->state says why. */
static size_t unpack(struct unpacker *u, char *out, size_t len) {
    size_t done = 0;
    while (done < len && u->state == STREAM_GOOD) {
        if (!refill(u)) {
            if (u->state == STREAM_GOOD)
                u->state = STREAM_SHORT;
            break;
        }
        u->z.next_out = (Bytef *)out + done;
        u->z.avail_out = (uInt)(len - done < PIECE ? len - done : PIECE);
        uInt room = u->z.avail_out;
        int code = inflate(&u->z, Z_NO_FLUSH);
        done += room - u->z.avail_out;
        if (code == Z_STREAM_END)
            next_member(u);
        else if (code != Z_OK && code != Z_BUF_ERROR)
            u->state = inflate_failure(u);
    }
    return done;
}

/* The peer looks at nothing before it has the ten bytes of the fixed header. */
static void read_fixed_header(struct unpacker *u) {
    size_t have = 0;
    while (have < GZIP_HEADER && !u->source_ended) {
        ptrdiff_t n = u->source(u->owner, u->in + have, sizeof u->in - have, u->source_error);
        if (n < 0)
            u->state = STREAM_SOURCE;
        u->source_ended = n <= 0;
        have += n > 0 ? (size_t)n : 0;
    }
    u->z.next_in = (Bytef *)u->in;
    u->z.avail_in = (uInt)have;
    if (u->state == STREAM_GOOD && have < GZIP_HEADER)
        u->state = have > 0 ? STREAM_SHORT : STREAM_EOF;
}

/* The header is read before anything else: its errors have a text of their own. */
static bool unpack_begin(struct unpacker *u, struct error *e) {
    char none;
    read_fixed_header(u);
    while (u->state == STREAM_GOOD && u->z.total_out == 0) {
        if (!refill(u)) {
            if (u->state == STREAM_GOOD)
                u->state = STREAM_SHORT;
            break;
        }
        u->z.next_out = (Bytef *)&none;
        u->z.avail_out = 0;
        int code = inflate(&u->z, Z_BLOCK);
        if (code != Z_OK && code != Z_BUF_ERROR && code != Z_STREAM_END)
            u->state = inflate_failure(u);
        if (u->z.data_type & 128 || code == Z_BUF_ERROR || code == Z_STREAM_END)
            break;
    }
    if (u->state == STREAM_GOOD)
        return true;
    if (u->state == STREAM_SOURCE)
        return false;
    return error_set(e, ERROR_INTERNAL, "failed to decompress snapshot: %s", stream_text(u->state));
}

/* ---- reading: the tar ---- */

struct member {
    char name[256 + 2];
    uint64_t size;
};
enum member_result { MEMBER, MEMBER_NONE, MEMBER_BAD, MEMBER_SHORT };

static bool parse_number(const char *field, size_t width, uint64_t *out) {
    uint64_t n = 0;
    if ((uint8_t)field[0] & 0x80) { /* base 256 */
        n = (uint8_t)field[0] & 0x7f;
        for (size_t i = 1; i < width; i++) {
            if (n >> 55 != 0)
                return false;
            n = n << 8 | (uint8_t)field[i];
        }
        *out = n;
        return true;
    }
    size_t i = 0, end = width;
    while (i < end && (field[i] == ' ' || field[i] == 0))
        i++;
    while (end > i && (field[end - 1] == ' ' || field[end - 1] == 0))
        end--;
    for (; i < end; i++) {
        if (field[i] < '0' || field[i] > '7' || n >> 60 != 0)
            return false;
        n = n << 3 | (uint64_t)(field[i] - '0');
    }
    *out = n;
    return true;
}

static bool parse_member(const char block[BLOCK], struct member *m) {
    uint64_t expected, sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (uint8_t)block[i];
    if (!parse_number(block + 148, 8, &expected) || sum != expected ||
        !parse_number(block + 124, 12, &m->size))
        return false;
    bool ustar = memcmp(block + 257, "ustar", 5) == 0;
    int prefix = ustar ? (int)strnlen(block + 345, 155) : 0;
    snprintf(m->name, sizeof m->name, "%.*s%s%.*s", prefix, block + 345, prefix > 0 ? "/" : "",
             (int)strnlen(block, 100), block);
    return block[156] == '0' || block[156] == 0;
}

static bool is_zero(const char block[BLOCK]) {
    static const char zeros[BLOCK];
    return memcmp(block, zeros, BLOCK) == 0;
}

/* The end of a tar: two zero blocks; one, or none, before the end of the stream is accepted. */
static enum member_result next_member_header(struct unpacker *u, struct member *m) {
    char block[BLOCK];
    size_t n = unpack(u, block, BLOCK);
    if (n == 0 && u->state == STREAM_EOF)
        return MEMBER_NONE;
    if (n < BLOCK)
        return MEMBER_SHORT;
    if (!is_zero(block))
        return parse_member(block, m) ? MEMBER : MEMBER_BAD;
    n = unpack(u, block, BLOCK);
    if (n == 0 && u->state == STREAM_EOF)
        return MEMBER_NONE;
    if (n < BLOCK)
        return MEMBER_SHORT;
    return is_zero(block) ? MEMBER_NONE : MEMBER_BAD;
}

/* ---- reading: the files ---- */

struct reading {
    struct unpacker *u;
    struct archive_content *content;
    struct arena *arena;
    archive_sink *sink;
    void *sink_owner;
    struct error *sink_error;
    bool sink_failed;
    EVP_MD_CTX *hashes[FILE_COUNT];
    bool have_meta;
    struct buf sums;
};

/* What the stream's end means in the middle of a file. */
static const char *short_text(const struct unpacker *u) {
    return u->state == STREAM_EOF ? "unexpected EOF" : stream_text(u->state);
}

static bool skip_padding(struct unpacker *u, uint64_t size) {
    char block[BLOCK];
    size_t over = (size_t)(size % BLOCK);
    if (over > 0)
        (void)unpack(u, block, BLOCK - over); /* too short: the next header will say so */
    return true;
}

static bool read_text(struct reading *r, uint64_t size, size_t max, struct buf *out,
                      const char *what, struct error *e) {
    if (size > max)
        return error_set(e, ERROR_INTERNAL, "%s: file is too large", what);
    char *room = buf_reserve(out, (size_t)size);
    size_t n = unpack(r->u, room, (size_t)size);
    out->len += n;
    if (n < size)
        return error_set(e, ERROR_INTERNAL, "%s: %s", what, short_text(r->u));
    return true;
}

static bool read_meta(struct reading *r, uint64_t size, struct error *e) {
    struct buf text = BUF_INIT;
    bool ok = read_text(r, size, SNAPSHOT_META_MAX, &text, "failed to read snapshot metadata", e);
    if (ok) {
        hash_add(r->hashes[FILE_META], buf_str(&text));
        struct str kept = str_copy(r->arena, buf_str(&text));
        if (r->have_meta)
            snapshot_meta_free(&r->content->meta);
        r->have_meta = true;
        ok = snapshot_meta_read(kept, &r->content->meta, r->arena, e) ||
             error_prefix(e, "failed to decode snapshot metadata: ");
    }
    buf_free(&text);
    return ok;
}

static bool read_state(struct reading *r, uint64_t size, struct error *e) {
    char *piece = mem_alloc(PIECE);
    bool ok = true;
    for (uint64_t left = size; ok && left > 0;) {
        size_t want = left < PIECE ? (size_t)left : PIECE, n = unpack(r->u, piece, want);
        struct str bytes = str_of(piece, n);
        hash_add(r->hashes[FILE_STATE], bytes);
        if (!r->sink_failed && n > 0)
            r->sink_failed = !r->sink(r->sink_owner, bytes, r->sink_error);
        left -= n;
        r->content->state_size += n;
        if (n < want)
            ok = error_set(e, ERROR_INTERNAL, "failed to read or write snapshot data: %s",
                           short_text(r->u));
    }
    mem_free(piece);
    return ok;
}

static bool read_member(struct reading *r, const struct member *m, struct error *e) {
    bool ok;
    if (strcmp(m->name, file_names[FILE_META]) == 0)
        ok = read_meta(r, m->size, e);
    else if (strcmp(m->name, file_names[FILE_STATE]) == 0)
        ok = read_state(r, m->size, e);
    else if (strcmp(m->name, "SHA256SUMS") == 0)
        ok = read_text(r, m->size, SUMS_MAX, &r->sums, "failed to read snapshot hashes", e);
    else
        return error_set(e, ERROR_INTERNAL, "unexpected file " STR_FMT " in snapshot",
                         STR_ARG(str_quote(r->arena, str_from(m->name))));
    return ok && skip_padding(r->u, m->size);
}

static bool read_members(struct reading *r, struct error *e) {
    for (;;) {
        struct member m;
        switch (next_member_header(r->u, &m)) {
        case MEMBER_NONE:
            return true;
        case MEMBER_BAD:
            return error_set(e, ERROR_INTERNAL,
                             "failed reading snapshot: archive/tar: invalid tar header");
        case MEMBER_SHORT:
            return error_set(e, ERROR_INTERNAL, "failed reading snapshot: %s", short_text(r->u));
        case MEMBER:
            if (!read_member(r, &m, e))
                return false;
        }
    }
}

/* ---- reading: the hashes ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_sum(struct str line, uint8_t out[HASH_BYTES], struct str *name) {
    if (line.len < 2 * HASH_BYTES + 1)
        return false;
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = hex_digit(line.data[2 * i]), low = hex_digit(line.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    *name = str_trim(str_sub(line, 2 * HASH_BYTES, line.len));
    return line.data[2 * HASH_BYTES] == ' ' && name->len > 0;
}

static bool check_sums(struct reading *r, struct error *e) {
    uint8_t actual[FILE_COUNT][HASH_BYTES], wanted[HASH_BYTES];
    bool seen[FILE_COUNT] = {false};
    for (int i = 0; i < FILE_COUNT; i++)
        hash_end(r->hashes[i], actual[i]);
    struct str rest = buf_str(&r->sums), name;
    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        if (line.len == 0)
            continue;
        if (!parse_sum(line, wanted, &name))
            return error_set(e, ERROR_INTERNAL, "no hex data for %%x string");
        int i = 0;
        while (i < FILE_COUNT && !str_is(name, file_names[i]))
            i++;
        if (i == FILE_COUNT)
            return error_set(e, ERROR_INTERNAL, "list missing hash for " STR_FMT,
                             STR_ARG(str_quote(r->arena, name)));
        if (memcmp(wanted, actual[i], HASH_BYTES) != 0)
            return error_set(e, ERROR_INTERNAL, "hash check failed for \"%s\"", file_names[i]);
        seen[i] = true;
    }
    for (int i = 0; i < FILE_COUNT; i++) {
        if (!seen[i])
            return error_set(e, ERROR_INTERNAL, "file missing for \"%s\"", file_names[i]);
    }
    return true;
}

/* What follows the tar in the gzip stream must be nothing. */
static bool check_end(struct unpacker *u, struct error *e) {
    char *piece = mem_alloc(PIECE);
    uint64_t extra = 0;
    while (u->state == STREAM_GOOD)
        extra += unpack(u, piece, PIECE);
    mem_free(piece);
    if (u->state == STREAM_SOURCE)
        return false;
    if (u->state != STREAM_EOF)
        return error_set(e, ERROR_INTERNAL, "%s", stream_text(u->state));
    if (extra > 0)
        return error_set(e, ERROR_INTERNAL, "%llu unread uncompressed bytes remain",
                         (unsigned long long)extra);
    return true;
}

static bool read_all(struct reading *r, struct error *e) {
    if (!read_members(r, e))
        return r->u->state == STREAM_SOURCE ? false
                                            : error_prefix(e, "failed to read snapshot file: ");
    if (!check_sums(r, e))
        return error_prefix(e, "failed to read snapshot file: failed checking integrity of "
                               "snapshot: ");
    return check_end(r->u, e);
}

bool archive_read(archive_source *source, void *source_owner, archive_sink *sink, void *sink_owner,
                  struct archive_content *content, struct arena *arena, struct error *e) {
    *content = (struct archive_content){0};
    struct error sink_error = ERROR_IN(arena), source_error = ERROR_IN(arena);
    struct unpacker *u = MEM_NEW(struct unpacker);
    u->source = source;
    u->owner = source_owner;
    u->source_error = &source_error;
    int code = inflateInit2(&u->z, GZIP_WINDOW);
    ASSERT(code == Z_OK);
    struct reading r = {.u = u,
                        .content = content,
                        .arena = arena,
                        .sink = sink,
                        .sink_owner = sink_owner,
                        .sink_error = &sink_error,
                        .hashes = {hash_new(), hash_new()},
                        .sums = BUF_INIT};
    bool ok = unpack_begin(u, e) && read_all(&r, e);
    if (!ok && error_is_set(&source_error))
        error_copy(e, &source_error);
    if (ok && r.sink_failed)
        ok = error_copy(e, &sink_error);
    for (int i = 0; i < FILE_COUNT; i++)
        EVP_MD_CTX_free(r.hashes[i]);
    buf_free(&r.sums);
    inflateEnd(&u->z);
    mem_free(u);
    if (!ok)
        snapshot_meta_free(&content->meta);
    return ok;
}
