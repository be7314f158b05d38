/* What stands for the web page in a build without one. */
#include "http/ui_files.h"

__attribute__((weak)) const struct ui_file ui_files[] = {{0}};
__attribute__((weak)) const size_t ui_file_count = 0;
