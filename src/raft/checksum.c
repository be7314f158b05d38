/* Table-driven checksums, eight bytes a step ("slicing by 8", Kounavis and Berry 2005). The tables
 * are made once, before the first use.
 */
#include "raft/checksum.h"

#include <pthread.h>
#include <string.h>

#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78)        /* reflected */
#define CRC64_POLYNOMIAL UINT64_C(0xc96c5795d7870f42) /* reflected */

static uint32_t table32[8][256];
static uint64_t table64[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (unsigned i = 0; i < 256; i++) {
        uint32_t a = i;
        uint64_t b = i;
        for (int k = 0; k < 8; k++) {
            a = a & 1 ? (a >> 1) ^ CRC32C_POLYNOMIAL : a >> 1;
            b = b & 1 ? (b >> 1) ^ CRC64_POLYNOMIAL : b >> 1;
        }
        table32[0][i] = a;
        table64[0][i] = b;
    }
    for (unsigned i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++) {
            uint32_t a = table32[t - 1][i];
            uint64_t b = table64[t - 1][i];
            table32[t][i] = (a >> 8) ^ table32[0][a & 0xff];
            table64[t][i] = (b >> 8) ^ table64[0][b & 0xff];
        }
    }
}

static uint64_t load_le64(const uint8_t *p) {
    uint64_t n;
    memcpy(&n, p, sizeof n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap64(n);
#endif
    return n;
}

uint32_t crc32c(uint32_t before, const void *data, size_t len) {
    pthread_once(&once, make_tables);
    const uint8_t *p = data;
    uint32_t crc = ~before;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t n = load_le64(p) ^ crc;
        crc = table32[7][n & 0xff] ^ table32[6][n >> 8 & 0xff] ^ table32[5][n >> 16 & 0xff] ^
              table32[4][n >> 24 & 0xff] ^ table32[3][n >> 32 & 0xff] ^ table32[2][n >> 40 & 0xff] ^
              table32[1][n >> 48 & 0xff] ^ table32[0][n >> 56];
    }
    for (; len > 0; len--, p++)
        crc = (crc >> 8) ^ table32[0][(crc ^ *p) & 0xff];
    return ~crc;
}

uint64_t crc64_ecma(uint64_t before, const void *data, size_t len) {
    pthread_once(&once, make_tables);
    const uint8_t *p = data;
    uint64_t crc = ~before;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t n = load_le64(p) ^ crc;
        crc = table64[7][n & 0xff] ^ table64[6][n >> 8 & 0xff] ^ table64[5][n >> 16 & 0xff] ^
              table64[4][n >> 24 & 0xff] ^ table64[3][n >> 32 & 0xff] ^ table64[2][n >> 40 & 0xff] ^
              table64[1][n >> 48 & 0xff] ^ table64[0][n >> 56];
    }
    for (; len > 0; len--, p++)
        crc = (crc >> 8) ^ table64[0][(crc ^ *p) & 0xff];
    return ~crc;
}
