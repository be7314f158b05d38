/* From RE2's syntax to PCRE2's. Only for schema/regex*.c. */
#ifndef PRAETOR_SCHEMA_REGEX_TRANSLATE_H
#define PRAETOR_SCHEMA_REGEX_TRANSLATE_H

#include "base/buf.h"
#include "schema/regex.h"

#define REGEX_MAX_NESTING 1000 /* of parentheses */

/* Writes what PCRE2, told PCRE2_UTF, DOLLAR_ENDONLY, ALT_CIRCUMFLEX and DUPNAMES, shall compile.
 * False with RE2's text: "error parsing regexp: missing closing ): `(`". *out is the caller's to
 * free in either case. */
bool regex_translate(struct str pattern, struct buf *out, struct error *e);

#endif
