/* providers/sdk/fault.h: named points where a test makes a system call fail.
 *
 * MLOPS_IAC_FAULT="write:3:ENOSPC" fails the third write of the process once, "write:3+:EIO" from
 * the third on. Points: open write fsync rename unlink; of remote backends also request (it is not
 * sent) and reply (it was done, and nobody heard). SHORT instead of an errno: the write takes half
 * of its bytes. Each fault that strikes is logged (debug). Compiled in always: one relaxed
 * load when unused. */
#pragma once
#include <stdbool.h>

void mio_fault_setup(const char *spec); /* NULL or "": none; called once, by main */
enum { MIO_FAULT_SHORT = -1 };
/* 0, or the errno this call must fail with, or MIO_FAULT_SHORT (point write alone). */
int mio_fault(const char *point);
/* In a shared object, which has a copy of all this: mio_fault asks the program's from now on. */
typedef int mio_fault_fn(const char *point);
void mio_fault_ask(mio_fault_fn *program);
