/* What a process that dies of a fault still does: it takes away the mark that lets the next start
 * trust the state in LMDB as it stands (store/env.h), since a process with a fault cannot vouch for
 * memory that is a file. The next start builds the state again from snapshot and log, where
 * everything acknowledged is; so neither a damaged state nor a stray write keeps an agent from
 * coming up twice.
 *
 * SIGBUS is how the kernel says that a page of that file cannot be had (the disk is full, or
 * fails): that ends with a reason and exit code 1. Other faults then go their way (core file, exit
 * by signal); under AddressSanitizer they stay the sanitizer's.
 */
#ifndef PRAETOR_AGENT_CRASH_H
#define PRAETOR_AGENT_CRASH_H

#include "base/str.h"

/* data_dir empty: there is no state on disk. */
void crash_catch(struct str data_dir);

#endif
