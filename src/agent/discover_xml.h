/* XML as the EC2 interface answers: elements and their text, to a tree. No namespaces, no document
 * types (so no entities of their own); attributes are read over. Pure; the input is from outside,
 * so everything has a limit.
 */
#ifndef PRAETOR_AGENT_DISCOVER_XML_H
#define PRAETOR_AGENT_DISCOVER_XML_H

#include "base/error.h"

#define XML_DEPTH_MAX 64
#define XML_ELEMENTS_MAX 1000000

struct xml_element {
    struct str name; /* a view of the text */
    struct str text; /* what is directly in it, trimmed and unescaped */
    struct xml_element *first, *next;
};

/* The outermost element, or NULL with an error. */
struct xml_element *xml_parse(struct str text, struct arena *arena, struct error *e);
/* The first child of that name, or NULL; x may be NULL. */
const struct xml_element *xml_child(const struct xml_element *x, const char *name);
/* The next of that name among the siblings behind x. */
const struct xml_element *xml_next(const struct xml_element *x, const char *name);
/* The text of the child of that name, or the absent string. */
struct str xml_text(const struct xml_element *x, const char *name);

#endif
