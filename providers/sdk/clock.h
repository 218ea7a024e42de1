/* providers/sdk/clock.h: the three clocks, and times as people and files write them. */
#pragma once
#include <stdint.h>
#include "providers/sdk/arena.h"

int64_t mio_now_ms(void);                       /* monotonic: deadlines */
int64_t mio_boot_ms(void);                      /* CLOCK_BOOTTIME: leases */
int64_t mio_wall_s(void);                       /* seconds since 1970, for records only */
void mio_rfc3339(int64_t wall_s, char out[24]); /* 2026-11-23T05:32:59Z */
bool mio_rfc3339_parse(struct mio_str s, int64_t *wall_s);
void mio_sleep_ms(int64_t ms);
/* "90", "90s", "5m", "1h30m", "PT5M" in seconds; false when malformed. */
bool mio_duration_s(struct mio_str s, int64_t *seconds);
