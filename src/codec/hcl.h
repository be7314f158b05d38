/* HCL 1 text to value trees, as the peer reads its configuration (config.md 1.5), with its error
 * texts. No keys are known here: agent/config maps trees to settings.
 */
#ifndef PRAETOR_CODEC_HCL_H
#define PRAETOR_CODEC_HCL_H

#include "base/error.h"
#include "codec/value.h"

#define HCL_MAX_DEPTH 128

/* The whole text as a map. Integers are VALUE_INT. An object in a map becomes a list of one map,
 * whose `literal` is HCL_BLOCKS (repeated blocks add to it); an object inside a list stays a map. A
 * text that starts with "{" is HCL's own JSON dialect. Everything is copied into the arena. */
bool hcl_parse(struct str text, struct value *out, struct arena *arena, struct error *e);

#define HCL_BLOCKS STR("blocks")

/* What the peer's language calls the type of such a value: "int", "[]map[string]interface {}". */
const char *hcl_type_name(const struct value *v);

#endif
