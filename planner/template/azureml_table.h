/* planner/template/azureml_table.h: the fields of Azure ML's documents, as rows. */
#pragma once
#include "providers/sdk/str.h"

enum mio_az_type {
    MIO_AZ_TEXT, /* a scalar */
    MIO_AZ_INT,  /* a whole number */
    MIO_AZ_NUMBER,
    MIO_AZ_BOOL,
    MIO_AZ_SCALAR,   /* any scalar, null as well */
    MIO_AZ_ENUM,     /* one of words[], case folded */
    MIO_AZ_DURATION, /* seconds, or PT5M */
    MIO_AZ_ANY,
    MIO_AZ_TEXTS,    /* a mapping of scalars */
    MIO_AZ_LIST,     /* a list of scalars; one scalar where `loose` */
    MIO_AZ_PATH,     /* a local path or an address */
    MIO_AZ_REF,      /* a reference, or the thing itself in line (table, may be NULL) */
    MIO_AZ_OBJECT,   /* a mapping by table */
    MIO_AZ_EACH,     /* a mapping of name to mapping by table */
    MIO_AZ_ITEMS,    /* a list of mappings by table */
    MIO_AZ_MAP,      /* a mapping of anything */
    MIO_AZ_BINDINGS, /* inputs and outputs of a job: name to scalar, null or {type, path, mode, ...}
                      */
    MIO_AZ_STEPS,    /* jobs of a pipeline */
    MIO_AZ_SPACE,    /* search space: name to distribution, or a list of such mappings */
    MIO_AZ_RUNNABLE, /* a job: by reference, as a file, or in line */
};
enum {
    MIO_AZ_NEED = 1,  /* must be there */
    MIO_AZ_LATER = 2, /* must be there in the end, but the command line may have given it */
    MIO_AZ_LOOSE = 4, /* see the type */
    MIO_AZ_LOCAL = 8, /* MIO_AZ_REF: a text without scheme is a local path, not a name */
};
struct mio_az_table;
struct mio_az_field {
    struct mio_str name;
    enum mio_az_type type;
    unsigned flags;
    const char *const *words;
    const struct mio_az_table *table;
};
struct mio_az_table {
    const char *what; /* in messages: "a command job" */
    const struct mio_az_field *fields;
    size_t n;
    bool open; /* unknown fields are a warning */
};
struct mio_azureml_entity {
    const char *name, *kind;
    const char *const
        *schemas;     /* last parts of $schema without .schema.json, lower case; NULL-ended */
    const char *type; /* what `type` says, or NULL */
    const struct mio_az_table *table;
};

extern const struct mio_azureml_entity mio_az_entities[];
extern const size_t mio_az_nentities;
/* The table of a pipeline's step, or of a job, by its `type`; NULL when there is no such type. */
const struct mio_az_table *mio_az_step(struct mio_str type);
const struct mio_azureml_entity *mio_az_entity(const char *name);
