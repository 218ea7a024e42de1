/* providers/environment/elf.h: what the dynamic loader's cache must know of shared objects. */
#pragma once
#include "providers/environment/tree.h"

/* Flags of a cache entry, as the C library writes them. */
enum { MIO_ELF_LIBC6 = 0x0003, MIO_ELF_X86_64 = 0x0303, MIO_ELF_AARCH64 = 0x0a03 };

/* Fills soname and elf when the spooled content is a shared object of a known machine. Errors:
 * MIO_IO. */
enum mio_code mio_env_elf_look(const struct mio_env_tree *t, struct mio_env_entry *e,
                               struct mio_err *err);
