/* cli/command.c: the command table. */
#include "cli/command.h"

#define B(name) MIO_OPT_BIT(name)
#define TEMPLATE_OPTS (B(VAR) | B(VAR_FILE) | B(PLUGIN_DIR) | B(STATE_DIR) | B(COMPACT_WARNINGS))
#define STATE_OPTS (B(STATE_DIR) | B(ACCEPT_ROLLBACK))
#define LOCK_OPTS (B(LOCK) | B(LOCK_TIMEOUT))
#define JSON_OPTS (B(JSON) | B(JSON_INTO))
#define SCOPE_OPTS (B(TARGET) | B(EXCLUDE) | B(PARALLELISM))
#define PLAN_OPTS                                                                              \
    (TEMPLATE_OPTS | LOCK_OPTS | JSON_OPTS | SCOPE_OPTS | B(REPLACE) | B(REFRESH) | B(INPUT) | \
     B(SUMMARY) | B(DESTROY) | B(REFRESH_ONLY) | B(ACCEPT_ROLLBACK))

#define ENV_OPTS (TEMPLATE_OPTS | B(STORE))

const struct mio_command mio_command_table[] = {
    {.name = "init",
     .summary =
         "Set up the backend, fetch modules, find the provider plugins, write the lock files",
     .text =
         "Proves that the backend of the state works, and notes its settings in the state folder: "
         "later runs refuse a backend that has changed since. Fetches modules of git and archive "
         "sources, finds every provider plugin that the template needs, and records the digest of "
         "each in "
         "the lock files of the template directory. Safe to run again: what differs from what "
         "was recorded is refused unless -upgrade is given.",
     .options = TEMPLATE_OPTS | B(UPGRADE) | B(LOCKFILE) | B(INPUT) | B(BACKEND) |
                B(BACKEND_CONFIG) | B(MIGRATE_STATE) | B(RECONFIGURE) | B(LOCK_TIMEOUT),
     .run = mio_cmd_init},
    {.name = "validate",
     .args = "[FILE...]",
     .summary = "Check whether the template is valid",
     .text =
         "Checks syntax, references, kinds and types of the template. Needs the plugins, but no "
         "state, no credentials and no network.\n\nWith files it checks each as an Azure ML "
         "document, a line each; the exit status is 1 if any fails.",
     .max_args = 10000,
     .options = TEMPLATE_OPTS | B(JSON) | B(NO_PATHS),
     .run = mio_cmd_validate},
    {.name = "plan",
     .summary = "Show what an apply would change",
     .text = "Reads the real objects, compares them with the template and shows the actions that "
             "would bring them together. Nothing is changed.\n\nWith -out the plan is saved, and "
             "'apply FILE' performs exactly that plan or nothing.",
     .options = PLAN_OPTS | B(OUT) | B(VALID_FOR) | B(DETAILED_EXITCODE) | B(GENERATE_CONFIG_OUT),
     .flags = MIO_CMD_STREAM,
     .run = mio_cmd_plan},
    {.name = "apply",
     .args = "[PLANFILE]",
     .summary = "Create, update or remove what differs from the template",
     .text =
         "Makes a plan, asks, and performs it. With a saved plan it performs that plan without "
         "asking, and refuses it when template, variables, state or plugins are not those that "
         "it was made for.\n\nCtrl-C, SIGTERM or a terminal that goes away: what is under way ends "
         "and is recorded, nothing new begins; a second time gives it up. An apply that was "
         "interrupted, even by a power cut, is carried on by the next run.",
     .max_args = 1,
     .options = PLAN_OPTS | B(AUTO_APPROVE) | B(DURABILITY),
     .flags = MIO_CMD_STREAM,
     .run = mio_cmd_apply},
    {.name = "approve",
     .args = "PLANFILE [COPY...]",
     .summary = "Approve a saved plan",
     .text =
         "Shows a saved plan, asks, and puts your signature into its file. The signature covers "
         "every change and everything that the plan is bound to: template, variables, stage, "
         "serial of the state, plugins, expiry. A stage's 'required_approvals' says how many "
         "different approvers 'apply PLANFILE' wants; 'approvers' of the stage, or of "
         "'mlops_iac.plans', lists their public keys.\n\nWith copies of the file, which others "
         "have approved, their approvals are taken over instead.",
     .min_args = 1,
     .max_args = 100,
     .options = B(KEY) | B(VALID_FOR) | B(LIST_NAMES) | B(SHOW) | B(SUMMARY) | B(JSON) |
                B(AUTO_APPROVE) | B(INPUT) | B(STATE_DIR),
     .run = mio_cmd_approve},
    {.name = "destroy",
     .summary = "Destroy everything that is managed",
     .text =
         "Plans the destruction of every managed object (or of those that -target names), asks, "
         "and performs it. The same as 'apply -destroy'.",
     .options = (PLAN_OPTS | B(AUTO_APPROVE) | B(DURABILITY)) &
                ~(B(DESTROY) | B(REFRESH_ONLY) | B(REPLACE)),
     .flags = MIO_CMD_STREAM,
     .run = mio_cmd_destroy},
    {.name = "drift",
     .summary = "Compare the real objects with what was recorded",
     .text =
         "Reads every managed object and names each attribute that differs from the state, with "
         "both values, and each object that could not be checked. Writes nothing: no state, no "
         "lock, no object. With -detailed-exitcode it exits with 2 when something differs. Where "
         "an "
         "object or a whole provider cannot be read, the others are compared all the same, and "
         "it exits with 1.",
     .options = TEMPLATE_OPTS | JSON_OPTS | SCOPE_OPTS | B(SUMMARY) | B(DETAILED_EXITCODE) |
                B(INPUT) | B(ACCEPT_ROLLBACK),
     .flags = MIO_CMD_STREAM,
     .run = mio_cmd_drift},
    {.name = "refresh",
     .summary = "Record the real objects in the state",
     .text =
         "Reads every managed object and records what it finds. The same as 'apply -refresh-only "
         "-auto-approve'; 'apply -refresh-only' asks first.",
     .options = (PLAN_OPTS) & ~(B(DESTROY) | B(REFRESH_ONLY) | B(REPLACE) | B(REFRESH)),
     .flags = MIO_CMD_STREAM,
     .run = mio_cmd_refresh},
    {.name = "show",
     .args = "[PLANFILE|ADDRESS]",
     .summary = "Show the state or a saved plan",
     .text = "Shows what is recorded, or a plan that was saved with 'plan -out'. -json writes the "
             "documents that Terraform's tools read.\n\nWith -azureml ADDRESS it writes the Azure "
             "ML document that a resource of the template came from.",
     .max_args = 1,
     .options = STATE_OPTS | B(JSON) | B(SUMMARY) | B(AZUREML),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_show},
    {.name = "output",
     .args = "[NAME]",
     .summary = "Show the recorded outputs",
     .text = "Shows every output, or one. -raw prints the bare text of one output, for scripts. "
             "Sensitive outputs are not kept in the state and are never shown.",
     .max_args = 1,
     .options = STATE_OPTS | B(JSON) | B(RAW),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_output},
    {.name = "state list",
     .args = "[ADDRESS...]",
     .summary = "List the recorded resources",
     .text = "Lists the addresses of all recorded resource instances, or of those that the given "
             "modules, resources or instances cover.",
     .max_args = 10000,
     .options = STATE_OPTS | B(ID) | B(JSON),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_list},
    {.name = "state show",
     .args = "ADDRESS",
     .summary = "Show one recorded resource",
     .text = "Shows the recorded attributes of one resource instance.",
     .min_args = 1,
     .max_args = 1,
     .options = STATE_OPTS | B(JSON),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_show},
    {.name = "state mv",
     .args = "SOURCE DESTINATION",
     .summary = "Give a recorded resource another address",
     .text =
         "Moves a recorded resource, instance or module to another address of the same kind, and "
         "every recorded dependency with it. A 'moved' block in the template does the same, "
         "reviewed and for everybody.",
     .min_args = 2,
     .max_args = 2,
     .options = STATE_OPTS | LOCK_OPTS | B(DRY_RUN),
     .run = mio_cmd_state_mv},
    {.name = "state rm",
     .args = "ADDRESS...",
     .summary = "Forget recorded resources without destroying them",
     .text =
         "Removes resources, instances or modules from the state. The objects stay as they are, "
         "and are not managed any more.",
     .min_args = 1,
     .max_args = 10000,
     .options = STATE_OPTS | LOCK_OPTS | B(DRY_RUN) | B(ALLOW_MISSING),
     .run = mio_cmd_state_rm},
    {.name = "state replace-provider",
     .args = "FROM TO",
     .summary = "Record that a provider has another name",
     .text =
         "Writes the provider TO of the template (NAME or NAME[\"KEY\"]) in the place of FROM for "
         "everything that is recorded under FROM: for a provider that got another name and is "
         "the same place. Nothing is moved; where the place differs, name the other provider in "
         "the block instead, and the next plan replaces the objects.",
     .min_args = 2,
     .max_args = 2,
     .options = STATE_OPTS | LOCK_OPTS | B(DRY_RUN),
     .run = mio_cmd_state_replace_provider},
    {.name = "state pull",
     .summary = "Print the state file",
     .text = "Writes the recorded state to standard output, as its file holds it; a sealed one is "
             "unsealed first.",
     .options = STATE_OPTS,
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_pull},
    {.name = "state push",
     .args = "FILE",
     .summary = "Put a state file in the place of the state",
     .text = "Takes a file ('-': standard input) that 'state pull' or 'state at' wrote. Refuses "
             "another state (another "
             "lineage), a serial that is not higher, another stage, and a journal that has not "
             "been settled; -force allows the first two. The state that was there stays as a "
             "generation.",
     .min_args = 1,
     .max_args = 1,
     .options = STATE_OPTS | B(FORCE),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_push},
    {.name = "state fsck",
     .summary = "Check the state and everything around it",
     .text = "Looks at the state, its generations, the journal and the history, and says what is "
             "wrong and what mends it. -repair puts the youngest good generation in place of a "
             "damaged or missing state (the damaged one is kept) and makes a damaged journal anew "
             "from its whole records. Exits with 1 while there is damage.",
     .options = STATE_OPTS | B(REPAIR) | B(JSON),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_fsck},
    {.name = "state history",
     .summary = "List what was applied, when and by whom",
     .text = "Lists every apply with time, serial, user, host and counts, oldest first. The lines "
             "are chained by digests; a line that was altered or removed is an error.",
     .options = STATE_OPTS | B(JSON),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_history},
    {.name = "state at",
     .args = "SERIAL",
     .summary = "Print an older state",
     .text = "Writes the state that had this serial to standard output, as its file held it. The "
             "backend keeps a number of generations; 'state push -force' puts one back.",
     .min_args = 1,
     .max_args = 1,
     .options = STATE_OPTS,
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_at},
    {.name = "state diff",
     .args = "A B",
     .summary = "Show what two states differ in",
     .text = "Compares the states that had the serials A and B, or 'current', attribute by "
             "attribute. With -detailed-exitcode it exits with 2 when they differ.",
     .min_args = 2,
     .max_args = 2,
     .options = STATE_OPTS | B(JSON) | B(DETAILED_EXITCODE),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_diff},
    {.name = "state rekey",
     .summary = "Seal the state anew with the first key",
     .text = "Reads the state with whichever key fits and writes it with the first one: to seal a "
             "state that was in clear, or to go over to a new key. Older generations keep the key "
             "that they have. The history goes with it. With write_clear in `mlops_iac.encryption` "
             "it writes it in clear.",
     .options = STATE_OPTS | B(ACCEPT_CLEAR),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_state_rekey},
    {.name = "graph",
     .summary = "Print the dependency graph",
     .text =
         "Writes the graph of the resources: in the DOT language of Graphviz, as JSON (nodes and "
         "edges), or drawn as SVG by Graphviz.",
     .options = TEMPLATE_OPTS | SCOPE_OPTS | B(FORMAT),
     .run = mio_cmd_graph},
    {.name = "import",
     .args = "ADDRESS ID",
     .summary = "Take an existing object under management",
     .text = "Reads the object with the platform's identifier ID and records it as the resource at "
             "ADDRESS, which the template must have.",
     .min_args = 2,
     .max_args = 2,
     .options = TEMPLATE_OPTS | LOCK_OPTS | B(INPUT),
     .run = mio_cmd_import},
    {.name = "env lock",
     .args = "NAME [PACKAGE...]",
     .summary = "Resolve an environment into its lock file",
     .text =
         "Resolves what environment.NAME declares to packages and wheels by version and SHA-256, "
         "and writes environment.NAME.lock.json beside the template. One in a module, or with a "
         "key, is named by its address: 'module.m.environment.x[\"a\"]', in this and every other "
         "env command. Says what changes. Versions "
         "that are locked stay where they still fit; -upgrade renews all of them, or the packages "
         "that are named. -check writes nothing and fails, with the difference, when the lock is "
         "not that of the template. -out writes the wheels as pylock.toml (PEP 751), too. "
         "-upgrade image renews what the tags of images stand for.",
     .min_args = 1,
     .max_args = 1000,
     .options = ENV_OPTS | B(CHECK) | B(UPGRADE) | B(OUT),
     .run = mio_cmd_env_lock},
    {.name = "env build",
     .args = "NAME",
     .summary = "Build an environment from its lock file",
     .text = "Makes layers and image from the lock alone, bit for bit the same everywhere. -out "
             "writes an OCI image layout, -root a root file system. A declaration that the lock "
             "does not fit is an error.",
     .min_args = 1,
     .max_args = 1,
     .options = ENV_OPTS | B(OUT) | B(ROOT) | B(VENDOR) | B(OFFLINE),
     .run = mio_cmd_env_build},
    {.name = "env verify",
     .args = "NAME",
     .summary = "Build an environment twice and compare",
     .text =
         "Builds a second time in another folder, with another umask, time zone, language and "
         "number of threads, and compares every byte. What a Dockerfile makes is built again by "
         "buildah, without its caches, and compared layer by layer: when nothing differs, the "
         "lock says from then on that it is proven.",
     .min_args = 1,
     .max_args = 1,
     .options = ENV_OPTS | B(VENDOR) | B(OFFLINE),
     .run = mio_cmd_env_verify},
    {.name = "env diff",
     .args = "LOCK LOCK",
     .summary = "Compare two locked environments",
     .text =
         "Says what differs by package, variable, file and layer. -summary leaves out files and "
         "layers, and builds nothing. With -detailed-exitcode it exits with 2 when they differ.",
     .min_args = 2,
     .max_args = 2,
     .options = B(STORE) | B(OFFLINE) | B(VENDOR) | B(SUMMARY) | B(DETAILED_EXITCODE),
     .run = mio_cmd_env_diff},
    {.name = "env push",
     .args = "NAME HOST[:PORT]/REPOSITORY[:TAG]",
     .summary = "Push an environment to an OCI registry",
     .text =
         "Builds from the lock and sends what the registry does not hold yet, in chunks that go on "
         "where a connection broke, the manifest last. Password or token, as the registry asks: "
         "MLOPS_IAC_REGISTRY_USER and MLOPS_IAC_REGISTRY_PASSWORD say who pushes, "
         "MLOPS_IAC_REGISTRY_CA names a file of certificates to trust.",
     .min_args = 2,
     .max_args = 2,
     .options = ENV_OPTS | B(VENDOR) | B(OFFLINE),
     .run = mio_cmd_env_push},
    {.name = "env pull",
     .args = "[NAME] HOST[:PORT]/REPOSITORY[:TAG]",
     .summary = "Pull an image from an OCI registry",
     .text =
         "Brings what the store does not hold yet, each blob checked by its digest. -out writes an "
         "OCI image layout. With NAME it must be the image that the lock of environment.NAME was "
         "sealed with. MLOPS_IAC_REGISTRY_USER, _PASSWORD and _CA as for 'env push'.",
     .min_args = 1,
     .max_args = 2,
     .options = ENV_OPTS | B(OUT),
     .run = mio_cmd_env_pull},
    {.name = "env drift",
     .args = "NAME [HOST[:PORT]/REPOSITORY[:TAG]|DIR]",
     .summary = "Compare an image in a registry, or a root file system, with the lock",
     .text = "Says whether the tag still stands for the image that the lock was sealed with, or "
             "whether "
             "the root file system in DIR holds what it should; where not, names every path and "
             "variable that differs. Without either: whether the tags of the images that the "
             "environment stands on still mean what was locked. With -detailed-exitcode it exits "
             "with 2 when something differs.",
     .min_args = 1,
     .max_args = 2,
     .options = ENV_OPTS | B(VENDOR) | B(OFFLINE) | B(DETAILED_EXITCODE),
     .run = mio_cmd_env_drift},
    {.name = "env export",
     .args = "NAME image|conda|build [HOST[:PORT]/REPOSITORY]",
     .summary = "Write an environment as an Azure ML document",
     .text =
         "Writes environment.yaml, and what belongs to it, into the new folder that -out names: "
         "the image in a registry by its digest, an image and the locked wheels as a conda file, "
         "or the layers with a Dockerfile that unpacks them. Its version is the beginning of the "
         "environment's digest, its inference_config the routes of `serve`.",
     .min_args = 2,
     .max_args = 3,
     .options = ENV_OPTS | B(OUT) | B(VENDOR) | B(OFFLINE),
     .run = mio_cmd_env_export},
    {.name = "env run",
     .args = "NAME|DIR [-- COMMAND...]",
     .summary = "Run a command in an environment's root file system",
     .text =
         "Builds the root of the locked environment (or finds it in the store), or takes the root "
         "file system in DIR (a path with a slash), and runs the command in it, in a sandbox: the "
         "root read-only, the working folder writable in its place, no network. Signals go on "
         "to the command; its exit status becomes that of mlops-iac.",
     .min_args = 1,
     .max_args = 1 << 20,
     .options = ENV_OPTS | B(VENDOR) | B(OFFLINE) | B(E) | B(NETWORK),
     .run = mio_cmd_env_run},
    {.name = "env vendor",
     .args = "NAME",
     .summary = "Copy every input of an environment into a folder",
     .text =
         "Writes the packages and wheels of the lock to the folder that -out names, by SHA-256: "
         "'env build -vendor=DIR -offline' needs nothing else.",
     .min_args = 1,
     .max_args = 1,
     .options = ENV_OPTS | B(OUT) | B(VENDOR) | B(OFFLINE),
     .run = mio_cmd_env_vendor},
    {.name = "env sbom",
     .args = "NAME",
     .summary = "Write the bill of materials of an environment",
     .text =
         "Writes NAME.spdx.json (SPDX 2.3) and NAME.cdx.json (CycloneDX 1.5) into the folder that "
         "-out names.",
     .min_args = 1,
     .max_args = 1,
     .options = ENV_OPTS | B(OUT),
     .run = mio_cmd_env_sbom},
    {.name = "explain",
     .args = "ADDRESS [PLANFILE]",
     .summary = "Say why a resource would be changed",
     .text = "Shows the chain of causes behind each attribute of a planned change: the inputs, the "
             "expression and its place in the template, the attribute, the rule of the kind, the "
             "action; and what depends on the resource. With a saved plan nothing else is read.",
     .min_args = 1,
     .max_args = 2,
     .options = TEMPLATE_OPTS | SCOPE_OPTS | B(JSON) | B(REFRESH) | B(REPLACE) | B(DESTROY),
     .run = mio_cmd_explain},
    {.name = "console",
     .summary = "Evaluate expressions against template and state",
     .text =
         "Reads expressions, one a line, and prints their values: with line editing and history "
         "at a terminal, from a pipe otherwise. A line that is not complete goes on in the next "
         "one. 'exit' or the end of the input leaves. In a folder without a template there is "
         "nothing to refer to, but everything else works. The history of the terminal is kept in "
         "$XDG_STATE_HOME/mlops-iac/console_history (else below ~/.local/state), which only its "
         "owner "
         "can read; it holds what was typed, secrets too, but no line that begins with a blank.",
     .options = TEMPLATE_OPTS,
     .run = mio_cmd_console},
    {.name = "fmt",
     .args = "[FILE|DIR|-...]",
     .summary = "Bring template files into one form",
     .text =
         "Lays YAML files out in one way and keeps comments, quotes and order. Without arguments: "
         "the files of the template directory. '-' formats standard input to standard output.",
     .max_args = 10000,
     .options = B(CHECK) | B(DIFF) | B(LIST_NAMES) | B(RECURSIVE) | B(WRITE),
     .run = mio_cmd_fmt},
    {.name = "schema",
     .args = "[KIND]",
     .summary = "Print the JSON Schema of template files",
     .text = "Writes a JSON Schema (draft 2020-12) of template files with every kind that the "
             "template's plugins have, or of one kind's body. Editors with a YAML language server "
             "complete and check by it.",
     .max_args = 1,
     .options = TEMPLATE_OPTS,
     .run = mio_cmd_schema},
    {.name = "test",
     .summary = "Run the tests of the template",
     .text =
         "Runs the steps of tests/*.mlopstest.yaml of the template directory: each plans or "
         "applies with the variables it names and checks its assertions. Each file has a state of "
         "its own in a temporary folder, and whatever its steps made is destroyed at the end. "
         "Providers are real unless the file gives others of the same name.",
     .options = TEMPLATE_OPTS | B(FILTER) | B(JSON) | B(JUNIT_XML) | B(PARALLELISM),
     .run = mio_cmd_test},
    {.name = "force-unlock",
     .args = "LOCK_ID",
     .summary = "Remove a lock whose holder is gone",
     .text =
         "Removes the state lock with this identifier (the error about the lock names it). Only "
         "for locks whose holder cannot release them any more.",
     .min_args = 1,
     .max_args = 1,
     .options = STATE_OPTS | B(FORCE) | B(INPUT),
     .flags = MIO_CMD_STATE,
     .run = mio_cmd_force_unlock},
    {.name = "help",
     .args = "[COMMAND]",
     .summary = "Show the help of a command",
     .text = "Shows what COMMAND -help shows; without a command, what -help shows.",
     .max_args = 2,
     .run = mio_cmd_help},
    {.name = "version",
     .summary = "Show the version",
     .text = "Shows the version of the program and of the plugins in the lock file.",
     .options = B(JSON),
     .run = mio_cmd_version},
    {.name = "completion",
     .args = "SHELL",
     .summary = "Print a completion script for bash, zsh or fish",
     .text = "Writes a completion script. For bash: source <(mlops-iac completion bash).",
     .min_args = 1,
     .max_args = 1,
     .run = mio_cmd_completion},
    {.name = "docs",
     .args = "FORMAT",
     .summary = "Print the manual made from the command tables",
     .text =
         "FORMAT is man (a manual page), markdown, functions (the function table), module (inputs "
         "and outputs of the template directory), or provider (settings, kinds and fields of its "
         "providers).",
     .min_args = 1,
     .max_args = 1,
     .flags = MIO_CMD_HIDDEN,
     .run = mio_cmd_docs},
};
const size_t mio_command_count = sizeof mio_command_table / sizeof *mio_command_table;

const struct mio_command *mio_command_find(const char *const *words, size_t n, size_t *used)
{
    for (size_t i = 0; n && i < mio_command_count; i++) {
        struct mio_str name = mio_str_z(mio_command_table[i].name), first = name;
        ptrdiff_t blank = mio_str_find(name, ' ');
        if (blank >= 0)
            first = mio_str_sub(name, 0, (size_t)blank);
        if (!mio_str_eq(first, mio_str_z(words[0])))
            continue;
        *used = blank < 0 ? 1 : 2;
        if (blank < 0 || (n > 1 && mio_str_is(mio_str_sub(name, first.n + 1, name.n), words[1])))
            return &mio_command_table[i];
    }
    return NULL;
}

bool mio_command_is_group(struct mio_str word)
{
    for (size_t i = 0; i < mio_command_count; i++) {
        struct mio_str name = mio_str_z(mio_command_table[i].name);
        ptrdiff_t blank = mio_str_find(name, ' ');
        if (blank > 0 && mio_str_eq(mio_str_sub(name, 0, (size_t)blank), word))
            return true;
    }
    return false;
}

struct mio_str mio_command_nearest(struct mio_str word)
{
    struct mio_str names[sizeof mio_command_table / sizeof *mio_command_table];
    size_t n = 0;
    for (size_t i = 0; i < mio_command_count; i++) {
        if (mio_command_table[i].flags & MIO_CMD_HIDDEN)
            continue;
        struct mio_str name = mio_str_z(mio_command_table[i].name);
        const char *space = memchr(name.p, ' ', name.n);
        bool begun = word.n < name.n && !memcmp(name.p, word.p, word.n);
        if (begun || (space && !strcmp(space + 1, word.p))) /* "state hist"; "history" */
            return name;
        names[n++] = name;
    }
    return mio_str_nearest(word, names, n);
}
