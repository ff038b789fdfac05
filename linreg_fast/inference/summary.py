# SPDX-License-Identifier: BSD-3-Clause
"""A fit as a table of its coefficients with their errors: text for a terminal, HTML for a notebook, tidy columns."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linreg_fast.inference.description import listed

LIBRARIES = ("pandas", "polars", "pyarrow")
SPACED = ' style="text-align: right; font-family: monospace; white-space: pre; padding: 0 0.7em"'
COLUMNS = ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high")
DIGITS = (6, 6, 4, 3, 6, 6)
HEADS = ("estimate", "std. error", "t", "P>|t|")


def text(fit: Any, level: float) -> str:
    """See `LinearFit.summary`."""
    ends = _ends(level)
    parts = []
    for t, title in enumerate(_titles(fit)):
        facts = [[(name, _digits(value)) for name, value in side] for side in _facts(fit, t)]
        parts += [title, *_beside(facts), ""]
        names, columns = coefficients(fit, t, level)
        heads = ["", *HEADS, *ends]
        found = list(map(aligned, columns, DIGITS))
        cells = [[head, *column] for head, column in zip(heads, [names, *found], strict=True)]
        widths = [max(map(len, column)) for column in cells]
        for i, row in enumerate(zip(*cells, strict=True)):
            rest = "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            parts.append((row[0].ljust(widths[0]) + rest).rstrip())
            if i == 0:
                parts.append("-" * (sum(widths) + 2 * len(widths[1:])))
        parts.append("")
    return "\n".join([*parts, *_notes(fit)])


def html(fit: Any, level: float = 0.95) -> str:
    """The same as HTML, for a notebook."""
    right, left = ' style="text-align: right; padding: 0 0.7em"', ' style="text-align: left; padding-right: 1em"'
    parts = []
    for t, title in enumerate(_titles(fit)):
        facts = [fact for side in _facts(fit, t) for fact in side]
        rows = "".join(f"<tr><td{left}>{escape(n)}</td><td{left}>{escape(_digits(v))}</td></tr>" for n, v in facts)
        names, columns = coefficients(fit, t, level)
        heads = "".join(f"<th{right}>{escape(head)}</th>" for head in [*HEADS, *_ends(level)])
        lines = zip(names, *map(aligned, columns, DIGITS), strict=True)
        cells = "".join(
            f"<tr><th{left}>{escape(name)}</th>{''.join(f'<td{SPACED}>{cell}</td>' for cell in line)}</tr>"
            for name, *line in lines
        )
        parts.append(f"<p><b>{escape(title)}</b></p><table>{rows}</table>")
        parts.append(f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{cells}</tbody></table>")
    notes = "<br>".join(map(escape, _notes(fit)))
    return "".join([*parts, f"<p>{notes}</p>" if notes else ""])


def frame(fit: Any, level: float, library: str | None) -> Any:
    """See `LinearFit.to_frame`."""
    module = _library(library)
    terms, several = _terms(fit), fit.coef.ndim == 2
    columns: dict[str, Any] = {}
    if several:
        columns["target"] = np.repeat([f"y{t}" for t in range(fit.n_targets)], len(terms))
    columns["term"] = np.tile(terms, fit.n_targets)
    found = [coefficients(fit, t, level)[1] for t in range(fit.n_targets)]
    for name, parts in zip(COLUMNS, zip(*found, strict=True), strict=True):
        columns[name] = np.concatenate(parts)
    columns = {name: column.tolist() if column.dtype.kind == "U" else column for name, column in columns.items()}
    return module.table(columns) if module.__name__ == "pyarrow" else module.DataFrame(columns)


def _library(name: str | None) -> Any:
    """The library of data frames that is asked for, or the first one that is installed."""
    if name is not None and name not in LIBRARIES:
        raise ValueError(f"library must be one of {', '.join(LIBRARIES)}, got {name!r}")
    for one in LIBRARIES if name is None else (name,):
        try:
            return importlib.import_module(one)
        except ImportError:
            continue
    raise ImportError(f"to_frame makes a frame of {name or 'pandas, polars or pyarrow'}, which is not installed")


def _titles(fit: Any) -> list[str]:
    title = "Linear regression" + (f", l2 = {fit.l2:g}" if fit.l2 else "")
    return [title] if fit.coef.ndim == 1 else [f"{title} of y{t}" for t in range(fit.n_targets)]


def _terms(fit: Any) -> list[str]:
    names = fit.feature_names or [f"x{j}" for j in range(fit.n_features)]
    return (["intercept"] if fit.fit_intercept else []) + [str(name) for name in names]


def coefficients(fit: Any, t: int, level: float) -> tuple[list[str], list[NDArray[np.float64]]]:
    """Names of the terms, the intercept first, and their estimates, errors, t, p and ends of intervals."""
    columns = []
    bounds, b0 = fit.conf_int(level), fit.intercept_conf_int(level)
    pairs = [
        (fit.coef, fit.intercept), (fit.stderr, fit.intercept_stderr), (fit.tvalues, fit.intercept_tvalue),
        (fit.pvalues, fit.intercept_pvalue), (bounds[..., 0], b0[..., 0]), (bounds[..., 1], b0[..., 1]),
    ]  # fmt: skip
    for slopes, intercept in pairs:
        first = np.atleast_1d(intercept)[t : t + 1] if fit.fit_intercept else np.zeros(0)
        columns.append(np.concatenate([first, np.atleast_2d(slopes)[t]]))
    return _terms(fit), columns


def _facts(fit: Any, t: int) -> list[list[tuple[str, Any]]]:
    """What is said of a target, in two columns."""

    def of(value: Any) -> float:
        return float(np.atleast_1d(value)[t])

    test = fit.f_test()
    F = f"{of(test.statistic):.6g}, p = {of(test.pvalue):.3g}"
    left = [
        ("rows", f"{fit.n_samples:,}"),
        ("degrees of freedom", f"{max(0, fit.n_samples - fit.rank - fit.fit_intercept):,}"),
        ("standard errors", errors(fit)),
        ("solver", f"{fit.solver}, {fit.digits:.1f} digits"),
        ("residual std. dev.", of(fit.residual_std)),
    ]
    right = [
        ("R2", of(fit.r2)),
        ("R2 adjusted", of(fit.r2_adjusted)),
        (f"F({test.df_num}, {test.df_denom})", F),
        ("log-likelihood", of(fit.log_likelihood)),
        ("AIC, BIC", f"{of(fit.aic):.6g}, {of(fit.bic):.6g}"),
    ]
    return [left, right]


def errors(fit: Any) -> str:
    """What standard errors take the errors for, and what was chosen for that."""
    note = fit._robust.note if fit._robust is not None else ""
    return f"{fit.cov_type} ({note})" if note else str(fit.cov_type)


def _notes(fit: Any) -> list[str]:
    """What was left out, dropped, or could not be told apart."""
    notes = []
    if fit.rank < fit.n_features:
        which = [_terms(fit)[j + fit.fit_intercept] for j in fit.collinear]
        notes.append(f"rank {fit.rank} of {fit.n_features}: constant or dependent on each other are {listed(which)}")
    if fit.dropped:
        notes.append(f"dropped: {listed([_terms(fit)[j + fit.fit_intercept] for j in fit.dropped])}")
    if fit.left_out:
        notes.append(f"left out: {listed([f'{name} ({why})' for name, why in fit.left_out.items()])}")
    if fit.n_dropped:
        notes.append(f"{fit.n_dropped:,} rows with missing values dropped")
    if not fit.converged:
        notes.append(f"not converged after {fit.n_iter:,} steps")
    return notes


def _ends(level: float) -> tuple[str, str]:
    tail = 50.0 * (1.0 - level)
    return f"{tail:.4g} %", f"{100 - tail:.4g} %"


def _digits(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def aligned(values: Iterable[float], digits: int) -> list[str]:
    """Numbers under each other, their decimal points in one line."""
    cells = [f"{value:.{digits}g}" if math.isfinite(value) else "-" for value in values]
    after = [len(cell) - cell.index(".") if "." in cell and "e" not in cell else 0 for cell in cells]
    most = max(after, default=0)
    return [cell + " " * (most - behind if "e" not in cell else 0) for cell, behind in zip(cells, after, strict=True)]


def _beside(facts: list[list[tuple[str, str]]]) -> list[str]:
    """Two columns of names and what they are."""
    names, values = ([max(len(fact[i]) for fact in side) for side in facts] for i in (0, 1))
    lines = []
    for (name, value), (other, what) in zip(*facts, strict=True):
        lines.append(f"{name:<{names[0]}}  {value:<{values[0]}}    {other:<{names[1]}}  {what}".rstrip())
    return lines
