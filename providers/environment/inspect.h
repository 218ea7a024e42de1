/* providers/environment/inspect.h: a root file system on disk against what it should hold. */
#pragma once
#include "providers/environment/build.h"
#include "providers/sdk/map.h"

/* What a root should hold: by path, the last cell wins as in the image. */
struct mio_env_content {
    struct mio_arena *arena;
    struct mio_index index; /* path to const struct mio_env_entry * */
    const struct mio_env_entry **items;
    size_t n, cap;
};
/* content.c */
void mio_env_content_init(struct mio_env_content *c, struct mio_arena *a);
/* The entry of a path, or NULL. */
const struct mio_env_entry *mio_env_content_find(const struct mio_env_content *c,
                                                 struct mio_str path);
/* Lays entries over what is there, as one layer: whiteouts take away what lies below it; what is no
 * folder takes the place of a folder with all that is in it. Entries stay the caller's. */
void mio_env_content_lay(struct mio_env_content *c, const struct mio_env_entry *items, size_t n);
void mio_env_content_of(struct mio_env_content *c, struct mio_arena *a,
                        const struct mio_env_image *image);
/* The same of a layer that others made: where a path leads through a link of what is there, the
 * entries are renamed to where they come to lie. Errors: MIO_REALITY (below a file, a circle). */
enum mio_code mio_env_content_settle(struct mio_env_content *c, struct mio_env_entry *items,
                                     size_t n, struct mio_err *err);
/* ".wh.x" takes x of the layers below away, ".wh..wh..opq" all that lies in its folder. */
bool mio_env_whiteout(struct mio_str path);
/* layer_read.c: the entries of a layer, whiteouts first, with SHA-256 and place of their contents;
 * SHA-256 (hex) and size of all of it unpacked. Errors: MIO_REALITY (broken, unsafe). */
enum mio_code mio_env_layer_index(struct mio_arena *a, const char *path,
                                  struct mio_env_entry **items, size_t *n, struct mio_str *plain,
                                  uint64_t *size, struct mio_err *err);
/* The same, laid over what is there. */
enum mio_code mio_env_content_layer(struct mio_env_content *c, const char *path,
                                    struct mio_err *err);
/* What a path leads to when links are followed inside the root; NULL when that is nothing. */
const struct mio_env_entry *mio_env_content_follow(struct mio_env_content *c, struct mio_str path);
/* As a file beside a root, so that it can be inspected without the store. Errors: MIO_IO. */
enum mio_code mio_env_content_write(const struct mio_env_content *c, const char *path,
                                    struct mio_err *err);
enum mio_code mio_env_content_read(struct mio_arena *a, const char *path,
                                   struct mio_env_content *out, bool *found, struct mio_err *err);

struct mio_env_deviation {
    char sign; /* '+' is there and should not be, '-' should be there and is not, '~' differs */
    struct mio_str path;
    const char
        *what; /* "type", "mode", "owner", "link", "content" and the like; NULL for + and - */
};
/* Every path: type, mode, owner (where this user could have set it), target of links, content by
 * SHA-256, attributes that no package brings. A folder that should not be there is one deviation,
 * with all that is in it. Times do not count. Errors: MIO_IO. */
enum mio_code mio_env_inspect(struct mio_arena *a, const struct mio_env_content *want,
                              const char *root, struct mio_env_deviation **out, size_t *n,
                              struct mio_err *err);
/* The same between two contents: '+' is in `is` alone. */
void mio_env_content_diff(struct mio_arena *a, const struct mio_env_content *want,
                          const struct mio_env_content *is, struct mio_env_deviation **out,
                          size_t *n);
/* Whether a file or folder has attributes that no package brings; takes them away where so asked.
 */
bool mio_env_attributed(int fd, bool remove);
/* One line each: "~ /usr/bin/x (content)". */
void mio_env_deviations_print(const struct mio_env_deviation *d, size_t n, struct mio_buf *out);
/* root.c: writes what deviates anew and removes what should not be there; everything else stays, so
 * that processes which run in the root keep their files. Errors: MIO_IO. */
enum mio_code mio_env_root_mend(struct mio_arena *a, const struct mio_env_image *im,
                                const char *path, const struct mio_env_deviation *d, size_t n,
                                struct mio_err *err);
