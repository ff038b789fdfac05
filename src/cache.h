/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bytes of the second-level cache of a core, 0 where the system does not say. */
#ifndef LINREG_FAST_CACHE_H
#define LINREG_FAST_CACHE_H

#if defined(__linux__)
#include <unistd.h>
#endif

static long cache_l2(void)
{
#if defined(_SC_LEVEL2_CACHE_SIZE)
    return sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
    return 0;
#endif
}

#endif
