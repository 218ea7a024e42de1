/* providers/sdk/fault.h: named points where a test makes a system call fail.
 *
 * MLOPS_IAC_FAULT="write:3:ENOSPC" fails the third write of the process once, "write:3+:EIO" from the third
 * on. Points: open write fsync rename unlink. Compiled in always: one relaxed load when unused. */
#pragma once
#include <stdbool.h>

void mio_fault_setup(const char *spec); /* NULL or "": none; called once, by main */
/* 0, or the errno this call must fail with. */
int mio_fault(const char *point);
