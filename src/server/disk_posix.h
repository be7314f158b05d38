/* The real disk behind raft/disk.h: files below a directory of the data directory, mode 600.
 * Handles are file descriptors.
 */
#ifndef PRAETOR_SERVER_DISK_POSIX_H
#define PRAETOR_SERVER_DISK_POSIX_H

#include "raft/disk.h"

struct disk_io disk_posix(void);

#endif
