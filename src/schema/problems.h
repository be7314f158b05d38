/* All that is wrong with a record, collected into the peer's one text: "2 errors occurred:\n\t* a\n
 * \t* b\n\n". For the rules that records must keep to.
 */
#ifndef PRAETOR_SCHEMA_PROBLEMS_H
#define PRAETOR_SCHEMA_PROBLEMS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "schema/schema.h"

struct problems {
    struct arena *arena; /* of the lines, until problems_end */
    struct buf text;
    unsigned count;
};

void problem(struct problems *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What is wrong with a record's Meta, a map: str to str. */
void meta_problems(struct problems *p, const struct list *meta);
/* True: there was none. False: sets the error (ERROR_INTERNAL). Frees the text either way. */
bool problems_end(struct problems *p, struct error *e);

#endif
