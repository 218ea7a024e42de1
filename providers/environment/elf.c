/* providers/environment/elf.c: DT_SONAME of 64-bit little-endian shared objects. Never: trusts an
 * offset. */
#include "providers/environment/elf.h"
#include <elf.h>

struct view {
    const struct mio_env_tree *t;
    const struct mio_env_entry *e;
};

/* False for anything outside the file. */
static bool get(const struct view *v, uint64_t at, void *p, size_t n)
{
    if (at > v->e->size || n > v->e->size - at)
        return false;
    struct mio_err ignored = {0};
    return !mio_env_spool_read(&v->t->spool, v->e->offset + at, p, n, &ignored);
}

static bool to_offset(const struct view *v, const Elf64_Ehdr *h, uint64_t address, uint64_t *offset)
{
    Elf64_Phdr p;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        if (!get(v, h->e_phoff + i * sizeof p, &p, sizeof p))
            return false;
        if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz) {
            *offset = address - p.p_vaddr + p.p_offset;
            return true;
        }
    }
    return false;
}

static bool find_soname(const struct view *v, const Elf64_Ehdr *h, const Elf64_Phdr *dynamic,
                        char *name, size_t room)
{
    uint64_t strings = 0, soname = 0;
    bool has = false;
    Elf64_Dyn d;
    for (uint64_t at = 0; at + sizeof d <= dynamic->p_filesz; at += sizeof d) {
        if (!get(v, dynamic->p_offset + at, &d, sizeof d) || d.d_tag == DT_NULL)
            break;
        if (d.d_tag == DT_STRTAB)
            strings = d.d_un.d_ptr;
        if (d.d_tag == DT_SONAME) {
            soname = d.d_un.d_val;
            has = true;
        }
    }
    uint64_t offset;
    if (!has || !to_offset(v, h, strings, &offset))
        return false;
    uint64_t left =
        soname < v->e->size && offset < v->e->size - soname ? v->e->size - soname - offset : 0;
    size_t n = left < room ? (size_t)left : room;
    if (!get(v, offset + soname, name, n))
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name[i];
        if (!c)
            return i > 0;
        if (c <= 0x20 || c >= 0x7f || c == '/')
            return false;
    }
    return false;
}

enum mio_code mio_env_elf_look(const struct mio_env_tree *t, struct mio_env_entry *e,
                               struct mio_err *err)
{
    struct view v = {t, e};
    Elf64_Ehdr h;
    Elf64_Phdr p;
    char name[256];
    (void)err;
    if (!get(&v, 0, &h, sizeof h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
        h.e_type != ET_DYN || h.e_phentsize != sizeof p)
        return MIO_OK;
    unsigned flags = h.e_machine == EM_X86_64    ? MIO_ELF_X86_64
                     : h.e_machine == EM_AARCH64 ? MIO_ELF_AARCH64
                                                 : 0;
    for (unsigned i = 0; flags && i < h.e_phnum; i++) {
        if (!get(&v, h.e_phoff + i * sizeof p, &p, sizeof p))
            return MIO_OK;
        if (p.p_type != PT_DYNAMIC || !find_soname(&v, &h, &p, name, sizeof name))
            continue;
        e->soname = mio_arena_str(t->arena, mio_str_z(name));
        e->elf = flags;
        break;
    }
    return MIO_OK;
}
