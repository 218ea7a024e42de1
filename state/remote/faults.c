/* state/remote/faults.c: in every remote backend: its fault points (providers/sdk/fault.h) are
 * counted by the program, so that "the third write" is the third of both. */
#include "providers/sdk/fault.h"
#include "state/backend.h"

__attribute__((visibility("default"))) void mio_backend_faults_v1(mio_fault_fn *ask)
{
    mio_fault_ask(ask);
}
