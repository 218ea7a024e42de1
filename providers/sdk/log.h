/* providers/sdk/log.h: what goes wrong inside, for those who look. Levels by MLOPS_IAC_LOG (trace
 * debug info warn error off; warn when it is not set), to standard error or MLOPS_IAC_LOG_PATH;
 * control bytes and secrets (redact.h) are not in it. Thread-safe. */
#pragma once
#include "providers/sdk/str.h"

enum mio_level { MIO_TRACE, MIO_DEBUG, MIO_INFO, MIO_WARN, MIO_LEVEL_ERROR, MIO_LEVEL_OFF };

void mio_log_setup(enum mio_level level, const char *path); /* path NULL: standard error */
bool mio_log_on(enum mio_level level);
void mio_log(enum mio_level level, const char *room, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* One line as it is made; the level and what must be hidden are seen to here. */
typedef void mio_log_fn(enum mio_level level, const char *room, struct mio_str text);
mio_log_fn mio_log_line;
/* In a shared object, which has a copy of all this: lines go to the program's log from now on. */
void mio_log_pass(mio_log_fn *program);
bool mio_level_parse(struct mio_str s, enum mio_level *out);
