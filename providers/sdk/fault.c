/* providers/sdk/fault.c: see fault.h. */
#include "providers/sdk/fault.h"
#include <errno.h>
#include <stdatomic.h>
#include "providers/sdk/log.h"
#include "providers/sdk/str.h"

static struct {
    char point[16];
    uint64_t nth;
    bool on;      /* anything to do at all */
    bool forever; /* from the nth on */
    int errnum;
    atomic_uint_fast64_t seen;
    mio_fault_fn *program; /* whose points these are, when not ours */
} fault;

static const struct {
    const char *name;
    int errnum;
} errnos[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},        {"EINTR", EINTR},
              {"EACCES", EACCES}, {"EROFS", EROFS},   {"SHORT", MIO_FAULT_SHORT}};

void mio_fault_setup(const char *spec)
{
    fault.on = false;
    struct mio_str s = mio_str_z(spec);
    ptrdiff_t a = mio_str_find(s, ':');
    if (a <= 0 || (size_t)a >= sizeof fault.point)
        return;
    struct mio_str rest = mio_str_sub(s, (size_t)a + 1, s.n);
    ptrdiff_t b = mio_str_find(rest, ':');
    if (b <= 0)
        return;
    struct mio_str count = mio_str_sub(rest, 0, (size_t)b);
    fault.forever = mio_str_ends(count, "+");
    if (!mio_str_u64(mio_str_sub(count, 0, count.n - fault.forever), &fault.nth))
        return;
    struct mio_str name = mio_str_sub(rest, (size_t)b + 1, rest.n);
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++)
        if (mio_str_is(name, errnos[i].name)) {
            memcpy(fault.point, s.p, (size_t)a);
            fault.point[a] = '\0';
            fault.errnum = errnos[i].errnum;
            atomic_store(&fault.seen, 0);
            fault.on = true;
        }
}

void mio_fault_ask(mio_fault_fn *program)
{
    fault.program = program;
}

int mio_fault(const char *point)
{
    if (fault.program)
        return fault.program(point);
    if (!fault.on || strcmp(point, fault.point) != 0)
        return 0;
    uint64_t k = atomic_fetch_add(&fault.seen, 1) + 1;
    if (k != fault.nth && !(fault.forever && k > fault.nth))
        return 0;
    mio_log(MIO_DEBUG, "fault", "%s number %llu", point, (unsigned long long)k);
    return fault.errnum;
}
