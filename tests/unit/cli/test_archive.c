/* archive.c and gunzip.c: snapshot files, sound ones and broken ones, with the peer's texts. */
#include "cli/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"

static const char meta_json[] =
    "{\"Version\":1,\"ID\":\"2-13-1602222343947\",\"Index\":13,\"Term\":2,\"Peers\":\"\","
    "\"Configuration\":{},\"ConfigurationIndex\":1,\"Size\":6}";
static const char state_bin[] = "state!";

struct file {
    const char *name, *text;
};

static struct buf sums_of(const struct file *files, size_t count) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        unsigned char hash[32];
        EVP_Digest(files[i].text, strlen(files[i].text), hash, NULL, EVP_sha256(), NULL);
        for (size_t b = 0; b < sizeof hash; b++)
            buf_add_format(&out, "%02x", hash[b]);
        buf_add_format(&out, "  %s\n", files[i].name);
    }
    buf_add_char(&out, '\0');
    return out;
}

/* As the peer writes it: two empty blocks at the end, no more padding. */
static struct buf tar_of(const struct file *files, size_t count) {
    struct buf out = BUF_INIT;
    size_t used = 0;
    char *to = buf_reserve(&out, 1 << 20);
    struct archive *tar = archive_write_new();
    archive_write_set_format_ustar(tar);
    archive_write_set_bytes_per_block(tar, 512);
    archive_write_set_bytes_in_last_block(tar, 1);
    archive_write_open_memory(tar, to, 1 << 20, &used);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, files[i].name);
        archive_entry_set_size(entry, (la_int64_t)strlen(files[i].text));
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0600);
        archive_write_header(tar, entry);
        archive_write_data(tar, files[i].text, strlen(files[i].text));
        archive_entry_free(entry);
    }
    archive_write_free(tar);
    out.len = used;
    return out;
}

static struct buf gzip_of(const struct buf *bytes) {
    struct buf out = BUF_INIT;
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    size_t bound = deflateBound(&z, bytes->len) + 64;
    z.next_in = (void *)bytes->data;
    z.avail_in = (unsigned)bytes->len;
    z.next_out = (void *)buf_reserve(&out, bound);
    z.avail_out = (unsigned)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.len = z.total_out;
    deflateEnd(&z);
    return out;
}

/* expected: NULL when it is sound. */
static void verify(const void *bytes, size_t len, const char *expected) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct snapshot_meta meta;
    FILE *file = len > 0 ? fmemopen((void *)bytes, len, "r") : fopen("/dev/null", "r");
    bool ok = archive_verify(file, "f", &meta, &arena, &e);
    fclose(file);
    if (expected != NULL) {
        assert_false(ok);
        assert_string_equal(str_terminated(&arena, e.text), expected);
    } else {
        if (!ok)
            assert_string_equal(str_terminated(&arena, e.text), "");
        assert_true(str_is(meta.id, "2-13-1602222343947"));
        assert_int_equal(meta.index, 13);
        assert_int_equal(meta.term, 2);
        assert_int_equal(meta.version, 1);
        assert_int_equal(meta.size, 6);
    }
    arena_free(&arena);
}

static void verify_files(const struct file *files, size_t count, const char *expected) {
    struct buf tar = tar_of(files, count), gz = gzip_of(&tar);
    verify(gz.data, gz.len, expected);
    buf_free(&gz);
    buf_free(&tar);
}

static struct buf good_tar(void) {
    struct file files[3] = {
        {"meta.json", meta_json}, {"state.bin", state_bin}, {"SHA256SUMS", NULL}};
    struct buf sums = sums_of(files, 2);
    files[2].text = sums.data;
    struct buf tar = tar_of(files, 3);
    buf_free(&sums);
    return tar;
}

static void test_sound(void **state) {
    struct buf tar = good_tar(), gz = gzip_of(&tar);
    verify(gz.data, gz.len, NULL);
    buf_free(&gz);
    buf_free(&tar);
}

#define READ "failed to read snapshot file: "
#define UNSOUND READ "failed checking integrity of snapshot: "

static void test_contents(void **state) {
    struct file files[4] = {{"meta.json", meta_json}, {"state.bin", state_bin}};
    struct buf sums = sums_of(files, 2), one = sums_of(files, 1);
    files[2] = (struct file){"SHA256SUMS", sums.data};
    verify_files(files, 3, NULL);
    verify_files(files, 2, UNSOUND "file missing for \"meta.json\"");
    verify_files(files, 0, UNSOUND "file missing for \"meta.json\"");
    verify_files(files + 1, 2, UNSOUND "hash check failed for \"meta.json\"");
    files[3] = (struct file){"extra", "x"};
    verify_files(files, 4, READ "unexpected file \"extra\" in snapshot");
    files[1].text = "State!";
    verify_files(files, 3, UNSOUND "hash check failed for \"state.bin\"");
    files[1].text = state_bin;
    files[2].text = one.data;
    verify_files(files, 3, UNSOUND "file missing for \"state.bin\"");
    static const struct {
        const char *sums, *text;
    } bad[] = {
        {"garbage here\n", UNSOUND "no hex data for %x string"},
        {"abc  meta.json\n", UNSOUND "illegal hex digit"},
        {"abcd  meta.json\n", UNSOUND "hash check failed for \"meta.json\""},
        {"abcd  foo\n", UNSOUND "list missing hash for \"foo\""},
        {"", UNSOUND "file missing for \"meta.json\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        files[2].text = bad[i].sums;
        verify_files(files, 3, bad[i].text);
    }
    buf_free(&one);
    buf_free(&sums);
}

static void test_meta(void **state) {
    static const struct {
        const char *meta, *text;
    } bad[] = {
        {"{bad", "invalid character 'b' looking for beginning of object key string"},
        {"{\"Version\":1}{", "invalid character '{' after top-level value"},
        {"{\"Size\":\"x\"}",
         "json: cannot unmarshal string into Go struct field SnapshotMeta.Size of type int64"},
        {"[]", "it is no object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct file file = {"meta.json", bad[i].meta};
        char text[256];
        snprintf(text, sizeof text, READ "failed to decode snapshot metadata: %s", bad[i].text);
        verify_files(&file, 1, text);
    }
}

static void test_broken_gzip(void **state) {
    struct buf tar = good_tar(), gz = gzip_of(&tar);
    verify("", 0, "failed to decompress snapshot: EOF");
    verify("hello", 5, "failed to decompress snapshot: unexpected EOF");
    verify("this is no snapshot", 19, "failed to decompress snapshot: gzip: invalid header");
    verify(gz.data, gz.len - 4, "unexpected EOF");
    verify(gz.data, 40, READ "failed reading snapshot: unexpected EOF");
    gz.data[gz.len - 6] ^= 1;
    verify(gz.data, gz.len, "gzip: invalid checksum");
    gz.data[gz.len - 6] ^= 1;
    buf_add_text(&gz, "trailing bytes");
    verify(gz.data, gz.len, "gzip: invalid header");
    buf_free(&gz);
    buf_free(&tar);
}

static void test_cut_tar(void **state) {
    struct buf tar = good_tar();
    static const struct {
        size_t len;
        const char *text;
    } cuts[] = {
        {0, UNSOUND "file missing for \"meta.json\""},
        {300, READ "failed reading snapshot: unexpected EOF"},
        {700 - 100, READ "failed to read snapshot metadata: unexpected EOF"},
        {1536 + 3, READ "failed to read or write snapshot data: unexpected EOF"},
        {1536 + 512 + 100, READ "failed reading snapshot: unexpected EOF"},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct buf cut = {tar.data, cuts[i].len, 0}, gz = gzip_of(&cut);
        verify(gz.data, gz.len, cuts[i].text);
        buf_free(&gz);
    }
    struct buf gz = gzip_of(&tar); /* a second snapshot behind the first */
    size_t len = gz.len;
    char *copy = malloc(len);
    memcpy(copy, gz.data, len);
    buf_add(&gz, copy, len);
    free(copy);
    char text[64];
    snprintf(text, sizeof text, "%zu unread uncompressed bytes remain", tar.len);
    verify(gz.data, gz.len, text);
    buf_free(&gz);
    buf_free(&tar);
}

static bool same_content(const struct buf *gz, const struct buf *bytes) {
    struct buf out = BUF_INIT;
    z_stream z = {0};
    inflateInit2(&z, 16 + MAX_WBITS);
    z.next_in = (void *)gz->data;
    z.avail_in = (unsigned)gz->len;
    z.next_out = (void *)buf_reserve(&out, bytes->len + 1);
    z.avail_out = (unsigned)bytes->len + 1;
    bool same = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == bytes->len &&
                memcmp(out.data, bytes->data, bytes->len) == 0;
    inflateEnd(&z);
    buf_free(&out);
    return same;
}

/* Every single broken byte is noticed, unless it is a bit of deflate's that means nothing. */
static void test_every_byte(void **state) {
    struct arena arena = ARENA_INIT;
    struct buf tar = good_tar(), gz = gzip_of(&tar);
    for (size_t i = 10; i < gz.len; i++) {
        struct error e = ERROR_IN(&arena);
        struct snapshot_meta meta;
        gz.data[i] ^= 0x10;
        FILE *file = fmemopen(gz.data, gz.len, "r");
        if (archive_verify(file, "f", &meta, &arena, &e) != same_content(&gz, &tar))
            fail_msg("byte %zu of %zu", i, gz.len);
        fclose(file);
        gz.data[i] ^= 0x10;
        arena_reset(&arena, 4096);
    }
    buf_free(&gz);
    buf_free(&tar);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),   cmocka_unit_test(test_contents),
        cmocka_unit_test(test_meta),    cmocka_unit_test(test_broken_gzip),
        cmocka_unit_test(test_cut_tar), cmocka_unit_test(test_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
