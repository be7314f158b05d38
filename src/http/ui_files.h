/* The web page's files, as the build embeds them. */
#ifndef PRAETOR_HTTP_UI_FILES_H
#define PRAETOR_HTTP_UI_FILES_H

#include <stddef.h>

struct ui_file {
    const char *path; /* below the page's own: "index.html", "assets/x.js" */
    const char *type; /* Content-Type */
    const char *hash; /* of the bytes: what an ETag says */
    const unsigned char *data;
    size_t len;
    const unsigned char *packed; /* gzip; NULL: not worth it */
    size_t packed_len;
};
extern const struct ui_file ui_files[];
extern const size_t ui_file_count;

#endif
