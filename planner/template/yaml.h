/* planner/template/yaml.h: what the two halves of the YAML reader share. */
#pragma once
#include "planner/template/node.h"
#include <yaml.h>

enum {
    MIO_YAML_MAX_BYTES = 4 << 20,
    MIO_YAML_MAX_SCALAR = 1 << 20,
    MIO_YAML_MAX_DEPTH = 64,
    MIO_YAML_MAX_NODES = 1000000,
    MIO_YAML_MAX_DIRECTIVES = 16,
    MIO_YAML_MAX_ERRORS = 100, /* of one file; the rest is not shown */
};

/* Where the lines of one text begin, and the way from libyaml's marks (which count characters) to
 * bytes. */
struct mio_yaml_lines {
    struct mio_str text;
    uint32_t file;
    uint32_t *starts; /* byte offsets; owned */
    size_t n;
    bool ascii;                             /* set by mio_yaml_check_bytes */
    size_t last_line, last_char, last_byte; /* where the previous answer was, for long lines */
};
size_t mio_yaml_offset(struct mio_yaml_lines *l, const yaml_mark_t *mark);
/* The place of a mark, whose offset is known already or asked for. */
struct mio_pos mio_yaml_place(const struct mio_yaml_lines *l, const yaml_mark_t *mark,
                              size_t offset, size_t len);
struct mio_pos mio_yaml_pos(struct mio_yaml_lines *l, const yaml_mark_t *mark, size_t len);
struct mio_pos mio_yaml_pos_at(const struct mio_yaml_lines *l, size_t offset, size_t len);
struct mio_str mio_yaml_line(const struct mio_yaml_lines *l, size_t line); /* 0-based, no newline */

/* One look over the bytes before libyaml sees them: encoding, control bytes, line separators,
 * directives. False (with errors in diags) when the file cannot be read at all. */
bool mio_yaml_check_bytes(struct mio_yaml_lines *l, struct mio_diags *diags);
/* libyaml's complaint as people should read it: a place, what is wrong, what to do. */
void mio_yaml_syntax_error(const yaml_parser_t *yp, struct mio_yaml_lines *l,
                           struct mio_diags *diags);
/* True when the text opens ${ or %{ and never closes it. */
bool mio_yaml_unclosed(struct mio_str text);
#define MIO_YAML_QUOTE_HINT                                                                   \
    "YAML reads `: `, ` #`, and in {...} or [...] also `{`, `}` and `,` as its own: put the " \
    "whole "                                                                                  \
    "value in double quotes: \"${...}\""
#define MIO_YAML_FILL_HINT \
    "fill the placeholder in before the file is loaded, or write the value in quotes"
