/* providers/environment/conda_file.c: names of conda to those of PyPI and Debian. */
#include "providers/environment/conda_file.h"
#include "providers/environment/pep.h"
#include "providers/environment/yaml.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"

enum { MAX_FILE = 4 << 20 };

/* One project under another name. */
static const char *const renamed[][2] = {
    {"pytorch", "torch"},
    {"pytables", "tables"},
    {"py-xgboost", "xgboost"},
    {"msgpack-python", "msgpack"},
    {"python-dateutil", "python-dateutil"},
    {"ruamel_yaml", "ruamel.yaml"},
    {"python-graphviz", "graphviz"},
    {"pyqt", "PyQt5"},
    {"opencv", "opencv-python-headless"},
    {"py-opencv", "opencv-python-headless"},
    {"fs-gcsfs", "fs-gcsfs"},
    {"pytorch-lightning", "pytorch-lightning"},
};
/* Programs and libraries of the base; the versions are the suite's. */
static const char *const of_base[][2] = {
    {"git", "git"},           {"ffmpeg", "ffmpeg"},
    {"curl", "curl"},         {"wget", "wget"},
    {"graphviz", "graphviz"}, {"openmpi", "openmpi-bin"},
    {"make", "make"},         {"cmake", "cmake"},
    {"pandoc", "pandoc"},     {"libsndfile", "libsndfile1"},
    {"unzip", "unzip"},       {"jq", "jq"},
    {"nodejs", "nodejs"},     {"openjdk", "default-jre-headless"},
};
/* One project under one name in both places. A name that is not here may be another project on
 * PyPI, so it is not guessed. */
static const char *const same[] = {
    "absl-py",
    "adlfs",
    "aiohttp",
    "altair",
    "applicationinsights",
    "azure-core",
    "azure-identity",
    "azure-storage-blob",
    "beautifulsoup4",
    "bokeh",
    "boto3",
    "catboost",
    "click",
    "cloudpickle",
    "coverage",
    "cython",
    "dask",
    "datasets",
    "dill",
    "distributed",
    "evaluate",
    "fastapi",
    "fastparquet",
    "flake8",
    "flask",
    "fsspec",
    "gcsfs",
    "gensim",
    "gunicorn",
    "h5py",
    "holoviews",
    "httpx",
    "huggingface-hub",
    "hyperopt",
    "imageio",
    "imbalanced-learn",
    "ipykernel",
    "ipython",
    "ipywidgets",
    "jinja2",
    "joblib",
    "jsonschema",
    "jupyter",
    "jupyterlab",
    "jupyter-server-proxy",
    "keras",
    "lightgbm",
    "lightning",
    "lxml",
    "matplotlib",
    "mlflow",
    "mypy",
    "networkx",
    "nltk",
    "notebook",
    "numba",
    "numexpr",
    "numpy",
    "onnx",
    "onnxruntime",
    "openpyxl",
    "optuna",
    "packaging",
    "pandas",
    "pandas-datareader",
    "patsy",
    "pillow",
    "plotly",
    "polars",
    "prophet",
    "protobuf",
    "psutil",
    "psycopg2",
    "pyarrow",
    "pydantic",
    "pylint",
    "pymongo",
    "pyodbc",
    "pyspark",
    "pytest",
    "pytz",
    "pyyaml",
    "ray",
    "redis",
    "requests",
    "s3fs",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "seaborn",
    "sentence-transformers",
    "sentencepiece",
    "setuptools",
    "shap",
    "six",
    "snakeviz",
    "spacy",
    "sqlalchemy",
    "starlette",
    "statsmodels",
    "sympy",
    "tabulate",
    "tensorboard",
    "tensorflow",
    "threadpoolctl",
    "tokenizers",
    "toolz",
    "torchaudio",
    "torchvision",
    "tornado",
    "tqdm",
    "transformers",
    "typing-extensions",
    "ujson",
    "uvicorn",
    "wheel",
    "xarray",
    "xgboost",
    "xlrd",
    "zarr",
};
#define N(array) (sizeof(array) / sizeof *(array))

struct list {
    struct mio_value *items;
    size_t n, cap;
};
struct mapper {
    struct mio_arena *a;
    struct mio_str from, version; /* python.from and python.version as they come about */
    struct list packages, debian, notes;
    struct mio_buf unknown;
    struct mio_err *err;
};

static void push(struct mapper *m, struct list *l, struct mio_str s)
{
    MIO_PUSH(m->a, l->items, l->n, l->cap) = mio_string(s);
}

static void note(struct mapper *m, struct mio_str was, struct mio_str is)
{
    push(m, &m->notes, mio_arena_printf(m->a, "%.*s: %.*s", MIO_FMT(was), MIO_FMT(is)));
}

static enum mio_code bad(struct mapper *m, struct mio_str item, const char *what)
{
    mio_fail(m->err, MIO_TEMPLATE, "%.*s %s", MIO_FMT(item), what);
    return mio_err_hint(m->err, "only a conda resolver can tell: lock with conda-lock or pixi and "
                                "name that lock by conda.from, or list it under python.packages");
}

/* "=1.2" is "==1.2.*", "1.2.*" is "==1.2.*", ">=1, <2" stays; "1.2 py_0" is a build. */
static enum mio_code version(struct mapper *m, struct mio_str item, struct mio_str rest,
                             struct mio_str *out)
{
    rest = mio_str_trim(rest);
    *out = rest;
    if (!rest.n || mio_str_is(rest, "*")) {
        *out = (struct mio_str){0};
        return MIO_OK;
    }
    bool exact = mio_str_starts(rest, "=="), fuzzy = !exact && rest.p[0] == '=';
    struct mio_str v = mio_str_trim(mio_str_sub(rest, exact ? 2 : fuzzy ? 1 : 0, rest.n));
    if (mio_str_find(v, '|') >= 0 || mio_str_find(v, '[') >= 0)
        return bad(m, item, "chooses among versions as only conda does");
    if (strchr("<>!~", v.p[0]))
        return MIO_OK;
    if (!v.n || mio_str_find(v, '=') >= 0 || mio_str_find(v, ' ') >= 0)
        return bad(m, item, "names a build of conda");
    bool star = mio_str_ends(v, "*");
    *out = mio_arena_printf(m->a, "==%.*s%s", MIO_FMT(v), fuzzy && !star ? ".*" : "");
    return MIO_OK;
}

static const char *look(const char *const rows[][2], size_t n, struct mio_str name)
{
    for (size_t i = 0; i < n; i++)
        if (mio_str_is(name, rows[i][0]))
            return rows[i][1];
    return NULL;
}

/* "==3.8.5" and "==3.8.*" both mean the interpreter 3.8. */
static enum mio_code python(struct mapper *m, struct mio_str item, struct mio_str v)
{
    size_t n = 0, dots = 0;
    if (m->version.n) {
        note(m, item,
             mio_arena_printf(m->a, "python.version %.*s, as declared", MIO_FMT(m->version)));
        return MIO_OK;
    }
    v = mio_str_starts(v, "==") ? mio_str_sub(v, 2, v.n) : (struct mio_str){0};
    while (n < v.n && (strchr("0123456789", v.p[n]) || (v.p[n] == '.' && !dots++)))
        n++;
    struct mio_str number = mio_str_sub(v, 0, n);
    if (number.n < 3 || !dots || mio_str_ends(number, ".")) {
        mio_fail(m->err, MIO_TEMPLATE, "%.*s names no single Python", MIO_FMT(item));
        return mio_err_hint(m->err, "say which by python.version");
    }
    m->version = number;
    note(m, item, mio_arena_printf(m->a, "python.version %.*s", MIO_FMT(number)));
    return MIO_OK;
}

static enum mio_code take_item(struct mapper *m, struct mio_str item)
{
    struct mio_str text = mio_str_trim(item), v;
    const char *channel = text.n ? memmem(text.p, text.n, "::", 2) : NULL, *to;
    if (channel)
        text = mio_str_sub(text, (size_t)(channel - text.p) + 2, text.n);
    size_t n = 0;
    while (n < text.n && !strchr(" =<>!~[", text.p[n]))
        n++;
    struct mio_str name = mio_env_pep_name(m->a, mio_str_sub(text, 0, n)),
                   raw = mio_str_sub(text, 0, n);
    if (version(m, item, mio_str_sub(text, n, text.n), &v))
        return m->err->code;
    if (mio_str_is(name, "python"))
        return python(m, item, v);
    if (mio_str_is(name, "pip")) {
        note(m, item, MIO_STR("left out: the builder installs wheels itself"));
        return MIO_OK;
    }
    if ((to = look(of_base, N(of_base), raw))) {
        push(m, &m->debian, mio_str_z(to));
        note(m, item, mio_arena_printf(m->a, "%s of the base", to));
        return MIO_OK;
    }
    to = look(renamed, N(renamed), raw);
    for (size_t i = 0; i < N(same) && !to; i++)
        if (mio_str_is(name, same[i]))
            to = same[i];
    if (!to) {
        mio_buf_printf(&m->unknown, "%s%.*s", m->unknown.n ? ", " : "", MIO_FMT(raw));
        return MIO_OK;
    }
    struct mio_str line = mio_arena_printf(m->a, "%s%.*s", to, MIO_FMT(v));
    push(m, &m->packages, line);
    note(m, item, mio_arena_printf(m->a, "%.*s of the Python registry", MIO_FMT(line)));
    return MIO_OK;
}

/* The list below pip: is requirements already; "-r FILE" becomes python.from. */
static enum mio_code take_pip(struct mapper *m, struct mio_value list, struct mio_str base)
{
    for (uint32_t i = 0; list.type == MIO_LIST && i < list.n; i++) {
        struct mio_str line = mio_str_trim(mio_value_str(list.items[i]));
        if (!mio_str_starts(line, "-r")) {
            push(m, &m->packages, line);
            continue;
        }
        if (m->from.n)
            return mio_fail(m->err, MIO_TEMPLATE, "%.*s: python.from names a file already",
                            MIO_FMT(line));
        m->from = mio_path_join(m->a, base, mio_str_trim(mio_str_sub(line, 2, line.n)));
    }
    return MIO_OK;
}

static enum mio_code take_file(struct mapper *m, struct mio_value v, struct mio_str base)
{
    static const char *const known[] = {"name", "channels", "dependencies", "prefix"};
    for (uint32_t i = 0; v.type == MIO_MAP && i < v.n; i++) {
        size_t k = 0;
        while (k < N(known) && !mio_str_is(v.pairs[i].key, known[k]))
            k++;
        if (k == N(known))
            return mio_fail(m->err, MIO_TEMPLATE, "%.*s: is not taken over%s",
                            MIO_FMT(v.pairs[i].key),
                            mio_str_is(v.pairs[i].key, "variables") ? ": write it under env" : "");
    }
    const struct mio_value *list = mio_get_z(v, "dependencies");
    if (!list || list->type != MIO_LIST)
        return mio_fail(m->err, MIO_TEMPLATE, "it has no list of dependencies");
    for (uint32_t i = 0; i < list->n; i++) {
        const struct mio_value *item = &list->items[i], *pip = mio_get_z(*item, "pip");
        struct mio_str s = mio_value_str(*item);
        if (!s.n && !pip)
            return mio_fail(m->err, MIO_TEMPLATE, "dependency %u is no text", i + 1);
        if (pip ? take_pip(m, *pip, base) : take_item(m, s))
            return m->err->code;
    }
    if (!m->unknown.n)
        return MIO_OK;
    mio_fail(m->err, MIO_TEMPLATE,
             "no conda resolver is built in, and the Python registry is not known to have the same "
             "under these names: %.*s",
             MIO_FMT(mio_buf_view(&m->unknown)));
    return mio_err_hint(m->err, "lock with conda-lock or pixi and name that lock by conda.from, or "
                                "list what is meant under python.packages");
}

/* What is there already, and then what was added. */
static struct mio_value joined(struct mapper *m, const struct mio_value *old,
                               const struct list *more)
{
    uint32_t n = old && old->type == MIO_LIST ? old->n : 0;
    struct mio_value *items = MIO_NEW_N(m->a, struct mio_value, n + more->n + 1);
    for (uint32_t i = 0; i < n; i++)
        items[i] = old->items[i];
    for (size_t i = 0; i < more->n; i++)
        items[n + i] = more->items[i];
    return mio_list(items, n + more->n);
}

static struct mio_value rewrite(struct mapper *m, struct mio_value body)
{
    struct mio_arena *a = m->a;
    const struct mio_value *p = mio_get_z(body, "python"), *d = mio_get_z(body, "debian");
    struct mio_value none = mio_map(NULL, 0), py = p && p->type == MIO_MAP ? *p : none,
                     deb = d && d->type == MIO_MAP ? *d : none;
    py = mio_map_with(a, py, MIO_STR("version"), mio_string(m->version));
    py = mio_map_with(a, py, MIO_STR("packages"),
                      joined(m, mio_get_z(py, "packages"), &m->packages));
    if (m->from.n)
        py = mio_map_with(a, py, MIO_STR("from"), mio_string(m->from));
    body = mio_map_with(a, body, MIO_STR("python"), py);
    if (m->debian.n) {
        deb = mio_map_with(a, deb, MIO_STR("packages"),
                           joined(m, mio_get_z(deb, "packages"), &m->debian));
        body = mio_map_with(a, body, MIO_STR("debian"), deb);
    }
    struct mio_pair *notes = MIO_NEW(a, struct mio_pair);
    *notes = (struct mio_pair){MIO_STR("mapping"), mio_list(m->notes.items, m->notes.n)};
    return mio_map_with(a, body, MIO_STR("conda_file"), mio_map(notes, 1));
}

enum mio_code mio_env_conda_file(struct mio_arena *a, struct mio_value body, const char *dir,
                                 struct mio_value *out, struct mio_err *err)
{
    const struct mio_value *file = mio_get_z(body, "conda_file"),
                           *python_part = mio_get_z(body, "python");
    *out = body;
    if (!file || mio_is_null(*file) || mio_get_z(*file, "mapping"))
        return MIO_OK;
    struct mapper m = {.a = a, .err = err};
    struct mio_value v = *file;
    struct mio_str path = mio_value_str(v), text, base = MIO_STR(".");
    bool found = true;
    if (python_part) {
        m.version = mio_get_str(*python_part, "version");
        m.from = mio_get_str(*python_part, "from");
    }
    if (path.n) {
        base = mio_path_dir(path);
        if (mio_fs_read(a, mio_path_join(a, mio_str_z(dir), path).p, MAX_FILE, &text, &found, err))
            return err->code;
        if (!found)
            return mio_fail(err, MIO_TEMPLATE, "conda_file: %.*s is not there", MIO_FMT(path));
        if (mio_env_yaml(a, text, &v, err))
            return mio_err_wrap(err, "%.*s", MIO_FMT(path));
    }
    mio_buf_init(&m.unknown, 300);
    if (!take_file(&m, v, base)) {
        if (!m.version.n)
            mio_fail(err, MIO_TEMPLATE, "it names no Python, and python.version is missing");
        else
            *out = rewrite(&m, body);
    }
    mio_buf_free(&m.unknown);
    return err->code ? mio_err_wrap(err, "%.*s", MIO_FMT(path.n ? path : MIO_STR("conda_file")))
                     : MIO_OK;
}
