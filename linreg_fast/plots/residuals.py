# SPDX-License-Identifier: BSD-3-Clause
"""The four pictures that show whether a fit suits its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from linreg_fast.algebra.precision import Vector
from linreg_fast.inputs.checks import chosen_targets
from linreg_fast.inputs.table import Rows, Table
from linreg_fast.passes.progress import Report, reporting
from linreg_fast.plots import clouds
from linreg_fast.plots.clouds import GRID, POINTS, Cloud, Range, Reading
from linreg_fast.plots.figures import GREY, LINE, new_figure, with_unit
from linreg_fast.plots.fitted import Fitted, Seen, fitted_of
from linreg_fast.plots.given import Labels, given_table
from linreg_fast.result import LinearFit

COOK = (0.5, 1.0)  # Cook's distances that are drawn
NAMED = 3  # rows that are named by their numbers
PASSES = 3  # over rows that are counted: cross products, ranges, counts
FEWEST = 1e-7  # share of the rows at either end of the normal axis that is drawn


def diagnostics(
    fit: LinearFit,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    target: int = 0,
    n_threads: int | None = None,
    progress: bool | Report = False,
) -> Any:
    """Draw four pictures of the residuals: over the fitted values, against the normal distribution, their size over the
    fitted values, and over the leverage with Cook's distances.

    Up to 20,000 rows each is a point, and those of largest residual are named by their numbers. More are counted in the
    cells of a grid, block by block, and their quantiles taken from counts that tell numbers apart to 0.2 %: memory does
    not grow with the rows, and the picture says so. Rows with a missing value are left out and counted in the picture.

    Parameters
    ----------
    fit : LinearFit
    X : array_like of shape (n_samples, n_features)
        The rows of the fit; a data frame has its columns by their names, and may have others.
    y : array_like of shape (n_samples,) or (n_samples, n_targets), or str
        The name of a column of a data frame X, as for `fit`.
    sample_weight : array_like of shape (n_samples,) or str, optional
        The weights of the fit, if it had some. Standardised residuals are those of sqrt(w) r.
    target : int
        Column of y.
    n_threads : int, optional
    progress : bool or callable
        As for `fit`; rows are counted over all readings.

    Returns
    -------
    matplotlib.figure.Figure
        Units stand on the axes where a data frame has them: ``attrs["units"]`` of pandas, a name or a dict by columns,
        or "units" in the metadata of a field of Arrow.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        X, y or weights that do not fit; no rows; no degree of freedom.

    Notes
    -----
    Standardised residuals are r_i / (s sqrt(1 - h_i)), h_i being the leverage and s the residual standard deviation of
    the fit, and Cook's distance is their square times h_i / (q (1 - h_i)) with q coefficients: R. D. Cook and
    S. Weisberg, Residuals and Influence in Regression, Chapman and Hall, 1982. The lines are means over parts of the
    rows.
    """
    new_figure(1, 1)  # before any work
    given = given_table(fit, X, y, sample_weight)
    t = int(chosen_targets(target, fit.n_targets)[0])
    with reporting(progress) as report:
        return of_rows(fit, given.data, given.labels, target=t, n_threads=n_threads, report=report)


def of_rows(
    fit: LinearFit,
    rows: Rows,
    labels: Labels,
    *,
    target: int = 0,
    n_threads: int | None = None,
    report: Report | None = None,
) -> Any:
    """`diagnostics` of anything that is read in row blocks."""
    reading = Reading(rows, PASSES, report, n_threads)
    fitted = fitted_of(fit, rows, target, n_threads)
    reading.over = 1
    seen = _points(reading, fitted) if rows.n_rows <= POINTS else _counts(reading, fitted)
    return _draw(fitted, seen, labels)


@dataclass(slots=True)
class Diagnosed:
    """What the four pictures show."""

    n_rows: int
    missing: int
    alone: int  # rows of leverage 1
    residuals: Cloud
    scale: Cloud
    leverage: Cloud
    normal: Vector  # quantiles of the normal distribution
    quantiles: Vector  # and of the standardised residuals
    named: list[tuple[int, int]] = field(default_factory=list)  # points to name, and what by


def _points(reading: Reading, fitted: Fitted) -> Diagnosed:
    from scipy.special import ndtri

    parts = reading.fold(lambda data, lo, hi: [(lo, fitted.of_rows(data, lo, hi))], list.__add__)
    parts.sort(key=lambda part: part[0])
    seen = [part for _, part in parts]
    number, f, r, s, h = (np.concatenate([part[k] for part in seen]) for k in range(5))
    sized = np.flatnonzero(np.isfinite(s))
    order = sized[np.argsort(s[sized], kind="stable")]
    n = len(order)
    largest = sized[np.argsort(-np.abs(s[sized]), kind="stable")[:NAMED]]
    # ranks as R has them: (i - 3/8) / (n + 1/4) of up to ten rows, (i - 1/2) / n of more
    a = 0.375 if n <= 10 else 0.5
    return Diagnosed(
        len(f),
        sum(part.missing for part in seen),
        len(s) - n,
        Cloud(f, r),
        Cloud(f[sized], np.sqrt(np.abs(s[sized]))),
        Cloud(h[sized], s[sized]),
        np.asarray(ndtri((np.arange(1, n + 1) - a) / (n + 1 - 2 * a))),
        s[order],
        [(int(i), int(number[i])) for i in largest],
    )


class Counts(NamedTuple):
    """Rows in the cells of three grids, standardised residuals by their places in order; missing, and of leverage 1."""

    residuals: Any
    scale: Any
    leverage: Any
    places: Any
    others: Any

    def merge(self, other: Counts) -> Counts:
        for mine, theirs in zip(self, other, strict=True):
            mine += theirs
        return self


def _shown(seen: Seen) -> list[Vector]:
    with np.errstate(divide="ignore"):
        return [
            seen.fitted,
            seen.residual,
            seen.standardised,
            np.sqrt(np.abs(seen.standardised)),
            np.log10(seen.leverage),
        ]


def _counts(reading: Reading, fitted: Fitted) -> Diagnosed:
    from scipy.special import ndtr, ndtri

    def ranged(data: Table, lo: int, hi: int) -> Range:
        return Range.of(_shown(fitted.of_rows(data, lo, hi)))

    ranges = reading.fold(ranged, Range.merge)
    ranges.low[4] = max(ranges.low[4], ranges.high[4] - 12.0)  # a leverage of 0 has no logarithm
    ranges.low[3] = 0.0
    f, r, s, root, h = (ranges.edges(k) for k in range(5))

    def counts(data: Table, lo: int, hi: int) -> Counts:
        seen = fitted.of_rows(data, lo, hi)
        values = _shown(seen)
        sized = values[2][np.isfinite(values[2])]
        return Counts(
            clouds.counted(values[0], values[1], f, r),
            clouds.counted(values[0], values[3], f, root),
            clouds.counted(values[4], values[2], h, s),
            np.bincount(clouds.sorted_place(sized), minlength=clouds.SORTED),
            np.array([seen.missing, len(values[2]) - len(sized), len(values[2])]),
        )

    found = reading.fold(counts, Counts.merge)
    missing, alone, n = (int(v) for v in found.others)
    ends = np.cumsum(found.places)
    reach = float(-ndtri(max(FEWEST, 0.5 / ends[-1])))
    # ranks spread evenly along the normal axis, each once where rows are few
    ranks = np.unique(np.clip(np.ceil(ndtr(np.linspace(-reach, reach, 401)) * ends[-1]), 1, ends[-1]))
    normal = np.asarray(ndtri((ranks - 0.5) / ends[-1]))
    quantiles = clouds.of_places(np.searchsorted(ends, ranks, side="left"))
    return Diagnosed(
        n,
        missing,
        alone,
        Cloud(f, r, found.residuals),
        Cloud(f, root, found.scale),
        Cloud(10.0**h, s, found.leverage),
        normal,
        quantiles,
    )


def _draw(fitted: Fitted, seen: Diagnosed, labels: Labels) -> Any:
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = new_figure(10.5, 8.4)
    panels = figure.subplots(2, 2)
    value = with_unit(f"fitted {labels.target}", labels.target_unit)
    normal, leverage = panels[0, 1], panels[1, 1]
    drawn = []
    spots = [(panels[0, 0], seen.residuals), (panels[1, 0], seen.scale), (leverage, seen.leverage)]
    largest = max((cloud.counts.max() for _, cloud in spots if cloud.counts is not None), default=1)
    for axes, cloud in spots:
        drawn.append(draw_cloud(axes, cloud, largest))
        if cloud is seen.leverage and cloud.counts is not None:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axes.xaxis.set_major_formatter("{x:.0e}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.plot(*cloud.trend(), color=LINE, linewidth=1.4)
    if drawn[0] is not None:
        figure.colorbar(drawn[0], ax=panels, label="rows in a cell", shrink=0.5, aspect=30)
    panels[0, 0].axhline(0.0, color=GREY, linewidth=0.8, linestyle="--")
    panels[0, 0].set(xlabel=value, ylabel=with_unit("residual", labels.target_unit), title="residuals")
    panels[1, 0].set(xlabel=value, ylabel=r"$\sqrt{|\mathrm{standardised\ residual}|}$", title="scale and location")
    few = seen.residuals.counts is None
    normal.plot(seen.normal, seen.quantiles, "o", markersize=3.5 if few else 2.5, alpha=0.7, markeredgewidth=0)
    normal.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=0.8, linestyle="--")
    normal.set(xlabel="quantile of the normal distribution", ylabel="standardised residual", title="normal quantiles")
    leverage.axhline(0.0, color=GREY, linewidth=0.8, linestyle="--")
    _cook(leverage, fitted.parameters)
    leverage.set(xlabel="leverage", ylabel="standardised residual")
    for i, number in seen.named:
        _name(panels[0, 0], seen.residuals.x[i], seen.residuals.y[i], number)
    _name_sized(seen, panels)
    _say(figure, fitted, seen, labels)
    return figure


def _name_sized(seen: Diagnosed, panels: Any) -> None:
    """The rows of largest residual by their numbers, where rows of leverage 1 are left out too."""
    if not seen.named:
        return
    sizes = np.argsort(-np.abs(seen.leverage.y), kind="stable")
    for i, (_, number) in zip(sizes, seen.named, strict=False):
        _name(panels[1, 0], seen.scale.x[i], seen.scale.y[i], number)
        _name(panels[1, 1], seen.leverage.x[i], seen.leverage.y[i], number)
    ends = np.argsort(-np.abs(seen.quantiles), kind="stable")
    for i, (_, number) in zip(ends, seen.named, strict=False):
        _name(panels[0, 1], seen.normal[i], seen.quantiles[i], number)


def _name(axes: Any, x: float, y: float, number: int) -> None:
    left, right = axes.get_xlim()
    inner = x < left + 0.85 * (right - left)
    spot = {"xytext": (4 if inner else -4, 2), "textcoords": "offset points", "ha": "left" if inner else "right"}
    axes.annotate(f"{number}", (x, y), fontsize="x-small", **spot)


def draw_cloud(axes: Any, cloud: Cloud, largest: int) -> Any:
    """Points, or cells in colours whose scale ends at `largest`."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    if cloud.counts is None:
        size = 14.0 if len(cloud.x) < 1000 else 5.0
        axes.scatter(cloud.x, cloud.y, s=size, alpha=0.6 if len(cloud.x) < 1000 else 0.3, linewidths=0)
        return None
    colours = LinearSegmentedColormap.from_list("rows", ["#7fb1da", "#2f7ab8", "#08214f"])
    shown = np.ma.masked_equal(cloud.counts.T, 0)
    return axes.pcolormesh(
        cloud.x, cloud.y, shown, cmap=colours, norm=LogNorm(1, max(2, int(largest))), rasterized=True
    )


def _cook(axes: Any, parameters: int) -> None:
    """Lines of equal Cook's distance, within what the rows take up."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    end = min(right, 1 - 1e-6)
    h = np.geomspace(max(left, 1e-12), end, 400) if axes.get_xscale() == "log" else np.linspace(end / 400, end, 400)
    left = left if axes.get_xscale() == "log" else 0.0
    shown = []
    for distance in COOK:
        s = np.sqrt(distance * max(parameters, 1) * (1 - h) / h)
        for sign in (1, -1):
            inside = np.flatnonzero((sign * s <= high) & (sign * s >= low))
            if inside.size:
                axes.plot(h[inside], sign * s[inside], color="C1", linestyle=":", linewidth=1.2)
                shown.append(distance)
    axes.set(xlim=(left, right), ylim=(low, high))
    text = " and ".join(f"{distance:g}" for distance in dict.fromkeys(shown))
    title = f"dotted: Cook's distance {text}" if shown else f"Cook's distance under {COOK[0]:g} everywhere"
    axes.set_title(f"residuals and leverage; {title}", fontsize="medium")


def _say(figure: Any, fitted: Fitted, seen: Diagnosed, labels: Labels) -> None:
    """What was fitted, and what was done to the rows."""
    r2 = float(np.atleast_1d(fitted.fit.r2)[fitted.target])
    figure.suptitle(f"{labels.target} by {labels.features}: {seen.n_rows:,} rows, R² {r2:.4g}")
    notes = []
    if seen.residuals.counts is not None:
        notes.append(f"rows counted in {GRID} x {GRID} cells, quantiles from counts (to 0.2 %)")
    if seen.missing:
        notes.append(f"{seen.missing:,} rows with missing values left out")
    if seen.alone:
        notes.append(f"{seen.alone:,} rows of leverage 1 in the first picture only")
    if notes:
        figure.supxlabel("; ".join(notes), fontsize="x-small", color="0.35")
