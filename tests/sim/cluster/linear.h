/* Whether what clients saw of one key can have happened in some order, one operation after the
 * other, each between its call and its return (Herlihy and Wing). The search is Wing and Gong's,
 * with Lowe's memory of what was tried. Knows nothing of servers: only calls, returns and values.
 */
#ifndef PRAETOR_TESTS_SIM_LINEAR_H
#define PRAETOR_TESTS_SIM_LINEAR_H

#include <stddef.h>
#include <stdint.h>

#define LINEAR_NEVER INT64_MAX
#define LINEAR_OPS_MAX ((size_t)256)

enum linear_kind {
    LINEAR_READ,  /* found `value` */
    LINEAR_WRITE, /* wrote `value`; 0: removed it */
    LINEAR_CAS,   /* wrote `value` if `expect` was there */
};
enum linear_result { LINEAR_NO, LINEAR_YES, LINEAR_UNKNOWN };

struct linear_op {
    enum linear_kind kind;
    int64_t call, ret;         /* ret LINEAR_NEVER: nobody knows whether it happened */
    uint64_t value, expect;    /* each write writes another value; 0: nothing is there */
    enum linear_result result; /* CAS: whether it wrote */
};

enum linear_verdict { LINEAR_GOOD, LINEAR_BAD, LINEAR_UNDECIDED };
/* The key holds nothing at first. steps: how long to search before it gives up. */
enum linear_verdict linear_check(const struct linear_op *ops, size_t count, uint64_t steps);

#endif
