/* cli/render_test.h: results of `test`: lines for people, a JSON document, JUnit's XML. */
#pragma once
#include "cli/json_out.h"
#include "cli/out.h"
#include "planner/run/testfile.h"

struct mio_test_counts {
    size_t passed, failed, errored, skipped;
    double seconds;
};
/* What the three forms collect while the tests run. */
struct mio_test_report {
    struct mio_buf *text; /* NULL: not wanted */
    bool color;
    struct mio_jout *json;     /* NULL: not wanted; inside the list of files */
    struct mio_buf junit;      /* suites so far */
    struct mio_buf junit_file; /* cases of the file that runs */
    struct mio_test_counts file, all;
};
const char *mio_test_status_name(enum mio_test_status s);
void mio_test_file_begin(struct mio_test_report *r, const char *path);
void mio_test_step_done(struct mio_test_report *r, const char *path, const struct mio_test_step *s);
/* `unusable`: the file could not even be read; its diagnostics. */
void mio_test_file_end(struct mio_test_report *r, const char *path,
                       const struct mio_diags *unusable, const struct mio_sources *sources);
void mio_test_summary(struct mio_test_report *r);
/* The whole JUnit document. */
void mio_test_junit(struct mio_test_report *r, struct mio_buf *out);
bool mio_test_good(const struct mio_test_counts *c);
