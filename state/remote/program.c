/* state/remote/program.c: in every remote backend, which has copies of what is file-scope: its
 * fault points (providers/sdk/fault.h) are counted by the program, so that "the third write" is the
 * third of both, and its log is the program's, with its level and what it hides. */
#include "state/backend.h"

__attribute__((visibility("default"))) void mio_backend_program_v1(mio_fault_fn *ask,
                                                                   mio_log_fn *log)
{
    mio_fault_ask(ask);
    mio_log_pass(log);
}
