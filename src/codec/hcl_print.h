/* HCL 1 trees as text, in the one layout that the peer's formatter has (acl.md 5.4): two blanks an
 * indent, adjacent attributes aligned, comments kept where it keeps them.
 */
#ifndef PRAETOR_CODEC_HCL_PRINT_H
#define PRAETOR_CODEC_HCL_PRINT_H

#include "base/buf.h"
#include "codec/hcl_syntax.h"

/* Adds the tree's text, which ends with a newline only if it ends with a comment of its own. Of a
 * tree parsed with its comments, else layout is that of everything on one line. */
void hcl_print(const struct hcl_tree *tree, struct buf *out);

#endif
