/* cli/ui.h: what a run tells while it works: lines for people, the JSON stream for programs, or
 * both.
 *
 * The mio_ui_ functions may be called from any thread (plugins speak from threads of their own),
 * the views from one at a time. */
#pragma once
#include "cli/out.h"
#include "cli/running.h"
#include <pthread.h>

/* Text: progress lines, and on a terminal a moving block with a line an operation and a bar. */
struct mio_text_ui {
    struct mio_out *out, *err;
    bool live;
    const struct mio_running_set *running;
    size_t done, total;
    unsigned drawn_lines; /* of the moving block, now on the screen */
    int64_t drawn_ms;
};
void mio_text_event(struct mio_text_ui *t, const struct mio_event *ev);
/* Takes the moving block off the screen. */
void mio_text_end(struct mio_text_ui *t);

/* The JSON stream: one object a line, Terraform's message types, version 1.2. */
struct mio_json_ui {
    struct mio_out *out;
};
void mio_json_version(struct mio_json_ui *u);
void mio_json_event(struct mio_json_ui *u, const struct mio_event *ev);
void mio_json_diag(struct mio_json_ui *u, const struct mio_diag *d,
                   const struct mio_sources *sources);
/* resource_drift, planned_change and resource_unchecked lines, then change_summary and outputs. */
void mio_json_plan(struct mio_json_ui *u, const struct mio_plan *p);
/* The report of the drift command: resource_drift, resource_unchecked, drift_summary. */
void mio_json_drift(struct mio_json_ui *u, const struct mio_plan *p, size_t total);
void mio_json_applied(struct mio_json_ui *u, enum mio_plan_mode mode,
                      const struct mio_apply_result *r);
void mio_json_log(struct mio_json_ui *u, const char *level, struct mio_str message);

/* Both of them. A NULL `out` switches a view off. */
struct mio_ui {
    struct mio_text_ui text;
    struct mio_json_ui json;
    struct mio_running_set running;
    bool compact_warnings;
    size_t shown; /* diagnostics shown so far */
    pthread_mutex_t lock;
};
void mio_ui_event(void *ui, const struct mio_event *ev);
/* Shows what came since the last call. */
void mio_ui_diags(struct mio_ui *ui, const struct mio_diags *d, const struct mio_sources *sources);
void mio_ui_diag(struct mio_ui *ui, const struct mio_diag *d, const struct mio_sources *sources);
void mio_ui_plan(struct mio_ui *ui, const struct mio_plan *p, bool summary);
void mio_ui_drift(struct mio_ui *ui, const struct mio_plan *p, size_t total, bool summary);
void mio_ui_applied(struct mio_ui *ui, const struct mio_plan *p, const struct mio_apply_result *r,
                    bool failed);
/* A line for people; nothing for programs. */
void mio_ui_note(struct mio_ui *ui, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mio_ui_flush(struct mio_ui *ui);
