/* Snapshot files: see archive.h. libarchive reads the tar, zlib the gzip, OpenSSL makes the sums.
 */
#include "cli/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <openssl/evp.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/gunzip.h"
#include "codec/json.h"

#define TAR_BLOCK 512
#define SMALL_FILE_MAX                                                                             \
    65536 /* of meta.json and SHA256SUMS; the peer's have a few hundred bytes                      \
           */
#define FAILED "failed to read snapshot file: "

struct content {
    const char *name;
    EVP_MD_CTX *sum; /* NULL for the sums themselves */
    unsigned char hash[32];
    struct buf text; /* of small files */
};

struct source {
    struct gunzip gunzip;
    struct error gunzip_error;
    char block[TAR_BLOCK];
};

/* ---- the tar inside the gzip ---- */

/* One block at a time, so that what the tar reader did not want is still to be counted. */
static la_ssize_t on_read(struct archive *tar, void *owner, const void **block) {
    struct source *source = owner;
    size_t have = 0;
    while (have < TAR_BLOCK) {
        long got = gunzip_read(&source->gunzip, source->block + have, TAR_BLOCK - have);
        if (got < 0) {
            archive_set_error(tar, EIO, "gzip");
            return -1;
        }
        if (got == 0)
            break;
        have += (size_t)got;
    }
    *block = source->block;
    return (la_ssize_t)have;
}

/* Why the tar reader stopped: the gzip stream's reason, or the tar's own. */
static bool tar_failed(struct source *source, struct archive *tar, const char *doing,
                       struct error *e) {
    const char *text = archive_error_string(tar);
    if (source->gunzip.failed)
        return error_set(e, ERROR_BAD_REQUEST, FAILED "%s: " STR_FMT, doing,
                         STR_ARG(source->gunzip_error.text));
    bool cut = text != NULL &&
               (strstr(text, "runcated") != NULL || strstr(text, "nrecognized archive") != NULL);
    return error_set(e, ERROR_BAD_REQUEST, FAILED "%s: %s", doing,
                     cut ? "unexpected EOF" : "archive/tar: invalid tar header");
}

static bool read_content(struct source *source, struct archive *tar, struct content *content,
                         struct error *e) {
    const char *doing = content->sum == NULL ? "failed to read snapshot hashes"
                        : strcmp(content->name, "meta.json") == 0
                            ? "failed to read snapshot metadata"
                            : "failed to read or write snapshot data";
    bool small = content->sum == NULL || strcmp(content->name, "meta.json") == 0;
    const void *bytes = NULL;
    size_t len = 0;
    la_int64_t offset = 0;
    for (;;) {
        int result = archive_read_data_block(tar, &bytes, &len, &offset);
        if (result == ARCHIVE_EOF)
            return true;
        if (result != ARCHIVE_OK)
            return tar_failed(source, tar, doing, e);
        if (content->sum != NULL)
            EVP_DigestUpdate(content->sum, bytes, len);
        if (small && content->text.len + len > SMALL_FILE_MAX)
            return error_set(e, ERROR_TOO_LARGE, FAILED "%s is larger than %d bytes", content->name,
                             SMALL_FILE_MAX);
        if (small)
            buf_add(&content->text, bytes, len);
    }
}

/* ---- meta.json ---- */

static bool meta_number(const struct value *meta, const char *key, bool is_signed, uint64_t *to,
                        struct error *e) {
    for (size_t i = 0; i < meta->map.len; i++) {
        const struct value *v = &meta->map.pairs[i].value;
        if (!str_eq_fold(meta->map.pairs[i].key, str_from(key)) || v->kind == VALUE_NULL)
            continue;
        if (v->kind != VALUE_FLOAT || !str_to_u64(v->literal, to))
            return error_set(e, ERROR_BAD_REQUEST,
                             FAILED "failed to decode snapshot metadata: json: cannot unmarshal %s "
                                    "into Go struct field SnapshotMeta.%s of type %s",
                             v->kind == VALUE_STRING ? "string" : "value", key,
                             is_signed ? "int64" : "uint64");
    }
    return true;
}

static bool read_meta(struct str text, struct snapshot_meta *to, struct arena *arena,
                      struct error *e) {
    struct value meta;
    if (!json_parse_whole(str_copy(arena, text), &meta, arena, e))
        return error_prefix(e, FAILED "failed to decode snapshot metadata: ");
    if (meta.kind != VALUE_MAP)
        return error_set(e, ERROR_BAD_REQUEST,
                         FAILED "failed to decode snapshot metadata: it is no object");
    uint64_t size = 0;
    for (size_t i = 0; i < meta.map.len; i++) {
        const struct value_pair *pair = &meta.map.pairs[i];
        if (str_eq_fold(pair->key, STR("ID")) && pair->value.kind == VALUE_STRING)
            to->id = pair->value.string;
    }
    if (!meta_number(&meta, "Index", false, &to->index, e) ||
        !meta_number(&meta, "Term", false, &to->term, e) ||
        !meta_number(&meta, "Version", true, &to->version, e) ||
        !meta_number(&meta, "Size", true, &size, e))
        return false;
    to->size = (int64_t)size;
    return true;
}

/* ---- SHA256SUMS ---- */

#define UNSOUND FAILED "failed checking integrity of snapshot: "

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<hex>  <name>" */
static bool parse_sum(struct str line, unsigned char hash[32], size_t *len, struct str *name,
                      struct error *e) {
    size_t digits = 0;
    while (digits < line.len && hex_digit(line.data[digits]) >= 0)
        digits++;
    if (digits == 0)
        return error_set(e, ERROR_BAD_REQUEST, UNSOUND "no hex data for %%x string");
    if (digits % 2 != 0)
        return error_set(e, ERROR_BAD_REQUEST, UNSOUND "illegal hex digit");
    *len = digits / 2;
    for (size_t i = 0; i < digits / 2 && i < 32; i++)
        hash[i] =
            (unsigned char)(hex_digit(line.data[2 * i]) * 16 + hex_digit(line.data[2 * i + 1]));
    *name = str_trim(str_sub(line, digits, line.len));
    return true;
}

static bool check_line(struct str line, struct content *contents, bool seen[2], struct error *e) {
    unsigned char hash[32] = {0};
    size_t len = 0;
    struct str name;
    if (!parse_sum(line, hash, &len, &name, e))
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (!str_is(name, contents[i].name))
            continue;
        if (len != sizeof hash || memcmp(hash, contents[i].hash, sizeof hash) != 0)
            return error_set(e, ERROR_BAD_REQUEST, UNSOUND "hash check failed for \"%s\"",
                             contents[i].name);
        seen[i] = true;
        return true;
    }
    return error_set(e, ERROR_BAD_REQUEST, UNSOUND "list missing hash for " STR_FMT,
                     STR_ARG(str_quote(e->arena, name)));
}

/* contents: meta.json, state.bin, SHA256SUMS */
static bool check_sums(struct content *contents, struct error *e) {
    bool seen[2] = {false, false};
    struct str text = buf_str(&contents[2].text);
    for (size_t i = 0; i < 2; i++)
        EVP_DigestFinal_ex(contents[i].sum, contents[i].hash, NULL);
    while (text.len > 0) {
        if (!check_line(str_cut(&text, '\n'), contents, seen, e))
            return false;
    }
    for (size_t i = 0; i < 2; i++) {
        if (!seen[i])
            return error_set(e, ERROR_BAD_REQUEST, UNSOUND "file missing for \"%s\"",
                             contents[i].name);
    }
    return true;
}

/* ---- the whole ---- */

static bool read_entries(struct source *source, struct archive *tar, struct content *contents,
                         struct snapshot_meta *meta, struct arena *arena, struct error *e) {
    struct archive_entry *entry = NULL;
    for (;;) {
        int result = archive_read_next_header(tar, &entry);
        if (result == ARCHIVE_EOF)
            return true;
        if (result != ARCHIVE_OK)
            return tar_failed(source, tar, "failed reading snapshot", e);
        const char *name = archive_entry_pathname(entry);
        struct content *content = NULL;
        for (size_t i = 0; i < 3 && name != NULL; i++) {
            if (strcmp(name, contents[i].name) == 0)
                content = &contents[i];
        }
        if (content == NULL)
            return error_set(e, ERROR_BAD_REQUEST, FAILED "unexpected file " STR_FMT " in snapshot",
                             STR_ARG(str_quote(e->arena, str_from(name != NULL ? name : ""))));
        if (!read_content(source, tar, content, e))
            return false;
        if (content == &contents[0] && !read_meta(buf_str(&content->text), meta, arena, e))
            return false;
    }
}

/* Nothing may follow, and the sums of gzip itself must be right. */
static bool read_to_end(struct source *source, struct error *e) {
    char bytes[4096];
    unsigned long long unread = 0;
    long got = 0;
    while ((got = gunzip_read(&source->gunzip, bytes, sizeof bytes)) > 0)
        unread += (unsigned long long)got;
    if (got < 0)
        return error_copy(e, &source->gunzip_error);
    return unread == 0 ||
           error_set(e, ERROR_BAD_REQUEST, "%llu unread uncompressed bytes remain", unread);
}

static bool verify(struct source *source, struct content *contents, struct snapshot_meta *meta,
                   struct arena *arena, struct error *e) {
    struct archive *tar = archive_read_new();
    archive_read_support_format_tar(tar);
    archive_read_support_format_empty(tar);
    bool ok = archive_read_open(tar, source, NULL, on_read, NULL) == ARCHIVE_OK ||
              tar_failed(source, tar, "failed reading snapshot", e);
    ok = ok && read_entries(source, tar, contents, meta, arena, e);
    ok = ok && check_sums(contents, e);
    archive_read_free(tar);
    return ok && read_to_end(source, e);
}

bool archive_verify(FILE *file, const char *name, struct snapshot_meta *meta, struct arena *arena,
                    struct error *e) {
    struct source *source = MEM_NEW(struct source);
    struct content contents[3] = {
        {.name = "meta.json"}, {.name = "state.bin"}, {.name = "SHA256SUMS"}};
    *meta = (struct snapshot_meta){.id = STR("")};
    source->gunzip_error = ERROR_IN(e->arena);
    bool ok = gunzip_open(&source->gunzip, file, name, &source->gunzip_error);
    if (!ok) {
        error_copy(e, &source->gunzip_error);
        error_prefix(e, "failed to decompress snapshot: ");
    }
    for (size_t i = 0; i < 2; i++) {
        contents[i].sum = EVP_MD_CTX_new();
        EVP_DigestInit_ex(contents[i].sum, EVP_sha256(), NULL);
    }
    ok = ok && verify(source, contents, meta, arena, e);
    for (size_t i = 0; i < 3; i++) {
        EVP_MD_CTX_free(contents[i].sum);
        buf_free(&contents[i].text);
    }
    gunzip_close(&source->gunzip);
    mem_free(source);
    return ok;
}
