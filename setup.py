"""The compiled part of linreg_fast: two extensions per x86-64 level out of one source, built side by side.

Everything else about the package is in pyproject.toml.  Environment variables read here:

LINREG_FAST_DEBUG=1       bounds and initialisation checks on, no optimisation
LINREG_FAST_NATIVE=1      the baseline level with -march=native, for the machine that builds it
LINREG_FAST_REQUIRE_LEVELS=1   a level that the compiler refuses is an error (release builds)
"""

import os
import platform
import subprocess
import sys
import tempfile
import warnings

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("LINREG_FAST_DEBUG", "0") != "0"
HEADERS = ["src/vec.h", "src/tile.h", "src/scan.h", "src/lanes.h", "src/cache.h"]
LEVELS = {"v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]}
# Of each level, the one that takes longer to compile first.
UNITS = ("kernels", "row_kernels")
# What Cython writes for typed memoryviews, compiled once instead of in every extension.
SHARED = "linreg_fast._cyutility"
# Processes that translate and compilers that run at a time; what they wait for is the processor.
AT_ONCE = os.cpu_count() or 1

# No fast-math of any kind: sums have a written order, and flush-to-zero would reach the whole process.
# -g0: Python's own flags often ask for debug information, a third of the compiler's time.
if sys.platform == "win32":
    FLAGS = ["/Od"] if DEBUG else ["/O2"]
else:
    FLAGS = ["-O0", "-g"] if DEBUG else ["-O3", "-fno-math-errno", "-g0"]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": False,
    "cdivision": True,
    "embedsignature": True,
}


def compiles(flags: list[str]) -> bool:
    """Whether the C compiler that CC names, or cc, takes these flags."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe.c")
        with open(source, "w") as file:
            file.write("int main(void) { return 0; }\n")
        command = [*os.environ.get("CC", "cc").split(), *flags, "-c", source, "-o", os.path.join(folder, "probe.o")]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def extension(name: str, flags: list[str]) -> Extension:
    return Extension(
        f"linreg_fast.{name}",
        [f"src/{name}.pyx"],
        include_dirs=["src"],
        depends=HEADERS,
        extra_compile_args=[*FLAGS, *flags],
    )


def extensions() -> list[Extension]:
    """The levels first, the highest before all others: they take longest, and what comes last is waited for alone."""
    native = ["-march=native"] if os.environ.get("LINREG_FAST_NATIVE", "0") != "0" else []
    levels = {"baseline": native}
    # On macOS the wide levels have met illegal instructions; elsewhere than on x86-64 there are none.
    if platform.machine().lower() in ("x86_64", "amd64") and sys.platform not in ("darwin", "win32"):
        for level, flags in LEVELS.items():
            if compiles(flags):
                levels[level] = flags
            elif os.environ.get("LINREG_FAST_REQUIRE_LEVELS", "0") != "0":
                raise SystemExit(f"the C compiler does not take {flags}: level {level} cannot be built")
            else:
                warnings.warn(f"the C compiler does not take {flags}: built without level {level}", stacklevel=1)
    found = [extension(f"{unit}_{level}", flags) for unit in UNITS for level, flags in reversed(levels.items())]
    shared = Extension(SHARED, ["linreg_fast/_cyutility.c"], extra_compile_args=[*FLAGS])
    return [*found, shared, extension("cpu", []), extension("sequences", [])]


# Where processes are spawned, each of them reads this file again: only the first may build.
if __name__ == "__main__":
    setup(
        ext_modules=cythonize(
            extensions(),
            compiler_directives=DIRECTIVES,
            build_dir="build/cython",
            nthreads=AT_ONCE,
            shared_utility_qualified_name=SHARED,
        ),
        options={"build_ext": {"parallel": AT_ONCE}},
    )
