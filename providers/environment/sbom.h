/* providers/environment/sbom.h: the lock as a bill of materials. */
#pragma once
#include "providers/environment/lock.h"

/* SPDX 2.3 and CycloneDX 1.5, canonical JSON; every time in them is the lock's epoch. */
struct mio_str mio_env_spdx(struct mio_arena *a, const struct mio_env_lock *lock);
struct mio_str mio_env_cyclonedx(struct mio_arena *a, const struct mio_env_lock *lock);
