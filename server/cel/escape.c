/* How the names of fields are written in expressions (Kubernetes, "Validation rules", the table of
 * escapes; k8s.io/apiserver pkg/cel/escaping.go). */
#include "base/core/mem.h"
#include "server/cel/cel.h"

#include <ctype.h>

/* Words of the language: a field of such a name is written __name__. */
static const char *const words[] = { "true",     "false", "null",      "in",     "as",
                                     "break",    "const", "continue",  "else",   "for",
                                     "function", "if",    "import",    "let",    "loop",
                                     "package",  "var",   "namespace", "return", "void",
                                     "while",    NULL };

char *cel_escape(const char *field)
{
    auto_buf b = BUF(64 * 1024);
    int rc = 0;

    if (!*field || isdigit((unsigned char)*field))
        return NULL;
    for (size_t i = 0; words[i]; i++)
        if (strcmp(words[i], field) == 0)
            return mem_printf("__%s__", field);
    for (const char *c = field; *c && !rc; c++) {
        if (c[0] == '_' && c[1] == '_') {
            rc = buf_adds(&b, "__underscores__");
            c++;
        } else if (*c == '.') {
            rc = buf_adds(&b, "__dot__");
        } else if (*c == '-') {
            rc = buf_adds(&b, "__dash__");
        } else if (*c == '/') {
            rc = buf_adds(&b, "__slash__");
        } else if (isalnum((unsigned char)*c) || *c == '_') {
            rc = buf_addc(&b, *c);
        } else {
            return NULL;
        }
    }
    return rc ? NULL : buf_take(&b);
}
