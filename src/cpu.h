/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which x86-64 levels this processor and its operating system run.  GCC 12 and Clang 18 answer level
 * names; older ones are asked for every feature of the level that they can name. */
#ifndef LINREG_FAST_CPU_H
#define LINREG_FAST_CPU_H

#if defined(__x86_64__) && defined(__GNUC__)
#if (defined(__clang__) && __clang_major__ >= 18) || (!defined(__clang__) && __GNUC__ >= 12)
static int cpu_runs_v3(void) { __builtin_cpu_init(); return __builtin_cpu_supports("x86-64-v3") != 0; }
static int cpu_runs_v4(void) { __builtin_cpu_init(); return __builtin_cpu_supports("x86-64-v4") != 0; }
#else
static int cpu_runs_v3(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
        && __builtin_cpu_supports("bmi2");
}
static int cpu_runs_v4(void)
{
    return cpu_runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl");
}
#endif
#else
static int cpu_runs_v3(void) { return 0; }
static int cpu_runs_v4(void) { return 0; }
#endif

#if defined(__linux__)
#include <sched.h>
static int cpu_processor(void) { return sched_getcpu(); }
#else
static int cpu_processor(void) { return -1; }
#endif

#endif
