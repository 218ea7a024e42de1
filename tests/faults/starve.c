/* tests/faults/starve.c: makes allocations fail. Loaded into the program by LD_PRELOAD; built with
 * HUNGRY it is the program that stands where the host of plugins is expected, and loads it into the
 * real one.
 *
 * In: FAULTS_STARVE (engine) or FAULTS_STARVE_HOST (every host), a file of struct order; FAULTS_SO
 * and FAULTS_HOST, this library and the real host. Out: the same file: how many allocations there
 * were, and how many failed. Processes that share a file share the count. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef HUNGRY
int main(int argc, char **argv)
{
    const char *host = getenv("FAULTS_HOST"), *so = getenv("FAULTS_SO");
    const char *order = getenv("FAULTS_STARVE_HOST");
    (void)argc;
    if (order) {
        setenv("FAULTS_STARVE", order, 1);
        setenv("LD_PRELOAD", so ? so : "", 1);
    } else {
        unsetenv("FAULTS_STARVE");
    }
    if (host)
        execv(host, argv);
    return 127;
}
#else

struct order {
    uint64_t nth, last; /* the first and the last allocation that fail; 0: none */
    _Atomic uint64_t seen, failed;
};
static struct order *order; /* set before main */

/* What glibc keeps of its own functions under names that nobody interposes. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void take_order(void)
{
    const char *path = getenv("FAULTS_STARVE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (p != MAP_FAILED)
        order = p;
}

static bool refuse(void)
{
    if (!order)
        return false;
    uint64_t n = atomic_fetch_add_explicit(&order->seen, 1, memory_order_relaxed) + 1;
    if (n < order->nth || n > order->last)
        return false;
    atomic_fetch_add(&order->failed, 1);
    errno = ENOMEM;
    return true;
}

#pragma GCC visibility push(default) /* the program is to see them */

void *malloc(size_t size)
{
    return refuse() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refuse() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return refuse() ? NULL : __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return refuse() ? NULL : __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    return refuse() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = refuse() ? NULL : __libc_memalign(alignment, size);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}
#endif
