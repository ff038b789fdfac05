# SPDX-License-Identifier: BSD-3-Clause
"""Pictures that the command line draws into files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from linreg_fast.passes.progress import Report

if TYPE_CHECKING:
    from linreg_fast.many.fits import Fits
    from linreg_fast.result import LinearFit
    from linreg_fast.streams.rows import Stream

KINDS = (".png", ".svg", ".pdf", ".jpg", ".jpeg")


def check(path: Path) -> None:
    """Raise ValueError, before any work, for a file that no picture can go to.

    Raises
    ------
    OSError
        No such folder.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ValueError('--plot needs matplotlib: pip install "linreg_fast[plot]"')
    if path.suffix.lower() not in KINDS:
        raise ValueError(f"--plot {path}: a picture is one of {', '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"--plot {path}: there is no folder {path.absolute().parent}")


def draw_fit(path: Path, fit: LinearFit, stream: Stream, target: str, report: Report | None) -> None:
    """Diagnostics of a fit of files, which are read three times more, block by block."""
    from linreg_fast.plots.given import labels_of
    from linreg_fast.plots.residuals import of_rows

    names = list(fit.feature_names or ())
    labels = labels_of(target, names, fit.n_features)
    of_rows(fit, stream, labels, n_threads=stream.options.n_threads, report=report).savefig(path, dpi=120)


def draw_fits(path: Path, fits: Fits, *, over_rows: bool) -> None:
    """Coefficients of windows over their rows, or of groups."""
    from linreg_fast import plots

    figure: Any = plots.rolling(fits) if over_rows else plots.grouped(fits)
    figure.savefig(path, dpi=120)
