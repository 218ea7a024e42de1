/* cli/document.h: single Azure ML documents. */
#pragma once
#include "cli/session.h"

/* `validate FILE...`: a line each; sets exit_status to 1 when any is wrong. */
enum mio_code mio_cli_documents(struct mio_cli *c);
/* `show -azureml ADDRESS`: the document that a block of the template came from, as YAML. */
enum mio_code mio_cli_show_document(struct mio_cli *c, const char *address);
