/* planner/template/load.h: what the files of this room share while a template directory is read. */
#pragma once
#include "planner/template/template.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/map.h"

enum {
    MIO_TPL_MAX_ERRORS = 500, /* of one template */
    MIO_TPL_MAX_DEPTH = 16,   /* modules in modules */
    MIO_TPL_MAX_MODULES = 1000,
    MIO_TPL_MAX_FILES = 20000,
    MIO_TPL_MAX_INCLUDES = 1000, /* patterns */
    MIO_TPL_MAX_BLOCKS = 500000, /* modules counted for each call */
    MIO_TPL_MAX_COPIED = 4000000,
};

/* One file that was read, kept so that a module called twice is parsed once. */
struct mio_tpl_file {
    struct mio_str path;         /* absolute */
    uint32_t source;             /* index into sources plus 1 */
    const struct mio_node *root; /* NULL: broken, already reported */
    bool azureml;                /* looks like a document of Azure ML */
    bool expand; /* wanted by who includes it: ${...} is ours, even in such a document */
    const struct mio_template *user; /* the template that has it already */
};
/* One whole load: shared by the root template and its modules. */
struct mio_load {
    struct mio_arena *arena;
    struct mio_diags *diags;
    struct mio_sources *sources;
    struct mio_str dir;                     /* of the template; "" for a file alone */
    struct mio_str shown_from;              /* absolute folder that shown paths are relative to */
    struct mio_index files;                 /* absolute path to struct mio_tpl_file * */
    MIO_BLOCKS(struct mio_tpl_file *) read; /* in the order read: the digest covers them */
    const struct mio_str *open_dirs;        /* template directories being loaded, outermost first */
    const struct mio_template_opts *opts;   /* NULL for single files */
    struct mio_str confined;                /* fetched tree that is being read, or "" */
    size_t nopen, nmodules, nincludes, nblocks;
    size_t copied; /* entries copied by `set:` */
    bool full, no_paths;
};
/* One template directory. */
struct mio_scope_load {
    struct mio_load *load;
    struct mio_template *t;
    struct mio_str prefix;      /* "module.a." or "" */
    struct mio_index addresses; /* "KIND.NAME", "var.NAME" ... to an index into `defined` plus 1 */
    MIO_BLOCKS(struct mio_pos) defined;
    struct mio_str base_dir;                  /* of the file being read */
    MIO_BLOCKS(const struct mio_node *) sets; /* `set:` of the files */
    unsigned including;                       /* files that include the one being read */
};

/* Adds an error unless there are too many already. hint may be NULL. */
void mio_tpl_error(struct mio_load *l, struct mio_pos pos, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* shape.c: mappings with known keys, read by table. */
enum mio_want {
    MIO_WANT_NODE,   /* const struct mio_node *: anything but null */
    MIO_WANT_SAID,   /* const struct mio_node *: a scalar or an expression, for people */
    MIO_WANT_MAP,    /* const struct mio_node *: a mapping */
    MIO_WANT_SEQ,    /* const struct mio_node *: a list */
    MIO_WANT_REFS,   /* const struct mio_node *: a list of scalars */
    MIO_WANT_RULES,  /* const struct mio_node *: a list of {condition, error} */
    MIO_WANT_TEXT,   /* struct mio_str: a literal string or number */
    MIO_WANT_BOOL,   /* bool: a literal */
    MIO_WANT_IGNORE, /* known, but read elsewhere */
};
struct mio_tpl_key {
    struct mio_str name;
    enum mio_want want;
    size_t offset; /* of the member that takes it */
    bool required;
};
#define MIO_TPL_KEY(type, key, want, member)                            \
    {                                                                   \
        MIO_STR_INIT(key), (want), offsetof(struct type, member), false \
    }
#define MIO_TPL_NEED(type, key, want, member)                          \
    {                                                                  \
        MIO_STR_INIT(key), (want), offsetof(struct type, member), true \
    }
#define MIO_TPL_ALSO(key)                            \
    {                                                \
        MIO_STR_INIT(key), MIO_WANT_IGNORE, 0, false \
    } /* known, read elsewhere */
/* Reads a mapping into *out by table; `what` names it in messages ("variable `nodes`"). False when
 * anything was wrong (and reported). */
bool mio_tpl_read(struct mio_load *l, const struct mio_node *map, const char *what,
                  struct mio_pos at, const struct mio_tpl_key *keys, size_t n, void *out);
/* One value by the same rules. */
bool mio_tpl_take(struct mio_load *l, const struct mio_entry *e, const char *what,
                  const struct mio_tpl_key *key, void *out);
/* "unknown key" with a suggestion from the table. */
void mio_tpl_unknown(struct mio_load *l, const struct mio_entry *e, const char *what,
                     const struct mio_tpl_key *keys, size_t n);
/* True for a mapping; null counts as an empty one. Otherwise says what it is instead. */
bool mio_tpl_is_map(struct mio_load *l, const struct mio_node *n, struct mio_str what);
bool mio_tpl_is_seq(struct mio_load *l, const struct mio_node *n, struct mio_str what);
/* Letters, digits, - and _, a letter or _ first. Otherwise says so. */
bool mio_tpl_is_name(struct mio_load *l, const struct mio_entry *e, const char *what);
/* [module.m.]...[data.]kind.name, without instance key unless `keyed`. */
bool mio_tpl_is_address(struct mio_str s, bool keyed);
const char *mio_tpl_node_word(const struct mio_node *n); /* "a list", "a string", ... */
/* False and an error naming both places when the address was defined before. */
bool mio_tpl_define(struct mio_scope_load *s, struct mio_str address, struct mio_pos pos);

/* Names that something may refer to, for look-ups and suggestions. */
struct mio_tpl_names {
    MIO_BLOCKS(struct mio_str) list;
    struct mio_index at; /* to the position in the list */
};
void mio_tpl_names_init(struct mio_tpl_names *n, struct mio_arena *a, size_t expected);
void mio_tpl_names_add(struct mio_tpl_names *n, struct mio_arena *a, struct mio_str name);
/* "did you mean `x`?", or `otherwise`. */
const char *mio_tpl_names_hint(const struct mio_tpl_names *n, struct mio_arena *a,
                               struct mio_str word, const char *otherwise);

/* decl.c: every top-level key but resources, data and modules. */
void mio_tpl_declarations(struct mio_scope_load *s, const struct mio_entry *top);
bool mio_tpl_is_declaration(struct mio_str key);
/* The settings of a provider, and its for_each, out of what is written under its name. */
void mio_tpl_provider_body(struct mio_load *l, const struct mio_node *map,
                           struct mio_provider_block *p);
/* delete or forget, at `on_removed` of the mapping. */
bool mio_tpl_on_removed(struct mio_load *l, const struct mio_node *map, struct mio_str word,
                        bool *forget);
/* moved.c: moved blocks that contradict each other or the template. */
void mio_tpl_check_moved(struct mio_load *l, const struct mio_template *t);
/* block.c */
void mio_tpl_blocks(struct mio_scope_load *s, const struct mio_entry *top, bool is_data);
/* "data.KIND.NAME" or "KIND.NAME", NUL-terminated. */
struct mio_str mio_tpl_address(struct mio_arena *a, bool is_data, struct mio_str kind,
                               struct mio_str name);
/* Meta arguments out of the bodies, once `set:` has been applied. */
void mio_tpl_finish_block(struct mio_load *l, struct mio_block *b);
/* A copy of the mapping without one key. */
const struct mio_node *mio_tpl_without(struct mio_arena *a, const struct mio_node *map,
                                       const char *key);

/* module.c */
void mio_tpl_modules(struct mio_scope_load *s, const struct mio_entry *top);
/* document.c */
/* A file that is an Azure ML document becomes a resource. `stem` names it if it does not name
 * itself. */
void mio_tpl_document(struct mio_scope_load *s, const struct mio_tpl_file *f, struct mio_str stem,
                      struct mio_str prefix);
/* The same for a block that came from one: checked again with what `set:` gave it. */
void mio_tpl_finish_document(struct mio_load *l, struct mio_block *b);
/* include.c */
void mio_tpl_include(struct mio_scope_load *s, const struct mio_entry *top);
/* stage.c: stages/NAME.yaml of the root template, and its overrides on blocks, modules and
 * providers. */
void mio_tpl_stage(struct mio_load *l, struct mio_template *t, struct mio_str stage);
/* One `set:` mapping, of addresses to fields. */
void mio_tpl_set(struct mio_load *l, struct mio_template *t, const struct mio_node *set);

/* load.c */
/* Reads and parses one file once. NULL when it cannot be read (reported at `from`, or nowhere). */
struct mio_tpl_file *mio_tpl_file(struct mio_load *l, struct mio_str path, struct mio_pos from,
                                  bool expand);
/* What a file of the directory, or an included one, adds to the template. */
void mio_tpl_add_file(struct mio_scope_load *s, struct mio_tpl_file *f, struct mio_str stem,
                      struct mio_str prefix);
/* One directory as a template; `from` is the call that wants it. */
struct mio_template *mio_tpl_dir(struct mio_load *l, struct mio_str dir, struct mio_str prefix,
                                 struct mio_pos from);
