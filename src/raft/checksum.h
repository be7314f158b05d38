/* Checksums: CRC-32C for the log, CRC-64/ECMA for snapshots (the peer's: raft.md 6.2). */
#ifndef PRAETOR_RAFT_CHECKSUM_H
#define PRAETOR_RAFT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Both continue from the result of earlier pieces; start with 0. */
uint32_t crc32c(uint32_t before, const void *data, size_t len);
uint64_t crc64_ecma(uint64_t before, const void *data, size_t len);

#endif
