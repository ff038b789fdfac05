"""The compiled part of linreg_fast: one extension per x86-64 level out of one source.

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
HEADERS = ["src/vec.h", "src/tile.h"]
LEVELS = {"v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]}

# No fast-math of any kind: sums have a written order, and flush-to-zero would reach the whole process.
if sys.platform == "win32":
    FLAGS = ["/Od"] if DEBUG else ["/O2"]
else:
    FLAGS = ["-O0", "-g"] if DEBUG else ["-O3", "-fno-math-errno"]

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
    native = ["-march=native"] if os.environ.get("LINREG_FAST_NATIVE", "0") != "0" else []
    found = [extension("cpu", []), extension("kernels_baseline", native)]
    # On macOS the wide levels have met illegal instructions; elsewhere than on x86-64 there are none.
    if platform.machine().lower() in ("x86_64", "amd64") and sys.platform not in ("darwin", "win32"):
        for level, flags in LEVELS.items():
            if compiles(flags):
                found.append(extension(f"kernels_{level}", flags))
            elif os.environ.get("LINREG_FAST_REQUIRE_LEVELS", "0") != "0":
                raise SystemExit(f"the C compiler does not take {flags}: level {level} cannot be built")
            else:
                warnings.warn(f"the C compiler does not take {flags}: built without level {level}", stacklevel=1)
    return found


setup(ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, build_dir="build/cython"))
