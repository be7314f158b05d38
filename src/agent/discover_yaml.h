/* The part of YAML in which kubeconfig files are written, to value trees: block mappings and lists,
 * plain and quoted scalars, comments, literal and folded blocks, flow lists and mappings on one
 * line (all of JSON is read too, by json.h). Refused with an error: anchors, aliases, tags, complex
 * keys, several documents. Every scalar becomes a string, except an empty one or null, true and
 * false. Pure, bounded.
 */
#ifndef PRAETOR_AGENT_DISCOVER_YAML_H
#define PRAETOR_AGENT_DISCOVER_YAML_H

#include "base/error.h"
#include "codec/value.h"

#define YAML_DEPTH_MAX 32
#define YAML_BYTES_MAX ((size_t)1 << 20)

bool yaml_parse(struct str text, struct value *out, struct arena *arena, struct error *e);

#endif
