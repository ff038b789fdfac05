"""Pictures: what they show is what the fit says of its rows, however many there are."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from support.tables import shared

import linreg_fast
from linreg_fast.inputs.table import table

pytest.importorskip("matplotlib")
from linreg_fast import plots
from linreg_fast.plots import clouds, figures, residuals
from linreg_fast.plots import line as line_module
from linreg_fast.plots.fitted import fitted_of


def whole_numbers(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.integers(-9, 10, (n, p)).astype(float)
    return X, X @ np.arange(1.0, p + 1) + rng.integers(-5, 6, n)


@pytest.fixture
def counted(monkeypatch):
    """Few rows are many: they are counted in cells, in several blocks and steps."""
    for module in (residuals, line_module):
        monkeypatch.setattr(module, "POINTS", 100)
    monkeypatch.setattr(clouds, "STEP_NUMBERS", 1 << 13)


# what a fit says of rows


def exact_leverage(X, w, intercept):
    """Diagonal of the hat matrix in rational numbers: w x' (X'WX)^-1 x by elimination."""
    rows = [[Fraction(int(v)) for v in ([1, *row] if intercept else row)] for row in X]
    weights = [Fraction(v) for v in w]
    m = len(rows[0])
    gram = [[sum(u * a[i] * a[j] for u, a in zip(weights, rows, strict=True)) for j in range(m)] for i in range(m)]
    found = []
    for u, row in zip(weights, rows, strict=True):
        A = [[*line, b] for line, b in zip(gram, row, strict=True)]
        for k in range(m):
            pivot = next(i for i in range(k, m) if A[i][k])
            A[k], A[pivot] = A[pivot], A[k]
            for i in range(m):
                if i != k:
                    share = A[i][k] / A[k][k]
                    A[i] = [a - share * b for a, b in zip(A[i], A[k], strict=True)]
        found.append(float(u * sum(a * A[k][m] / A[k][k] for k, a in enumerate(row))))
    return np.array(found)


@pytest.mark.parametrize(("intercept", "weighted"), list(itertools.product((True, False), (True, False))))
def test_leverage_and_standardised_residuals(intercept, weighted):
    X, y = whole_numbers(30, 3)
    w = np.random.default_rng(1).integers(0, 4, 30).astype(float) if weighted else np.ones(30)
    given = w if weighted else None
    fit = linreg_fast.fit(X, y, sample_weight=given, fit_intercept=intercept)
    data = table(X, y, given)
    seen = fitted_of(fit, data, 0, 1).of_rows(data, 0, 30)
    kept = w > 0
    assert np.array_equal(seen.rows, np.flatnonzero(kept))
    exact = exact_leverage(X[kept], w[kept], intercept)
    np.testing.assert_allclose(seen.leverage, exact, rtol=1e-11)
    assert seen.leverage.sum() == pytest.approx(3 + intercept, rel=1e-12)
    residual = (y - fit.predict(X))[kept]
    np.testing.assert_allclose(seen.residual, residual, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        seen.standardised, np.sqrt(w[kept]) * residual / (fit.residual_std * np.sqrt(1 - exact)), rtol=1e-9
    )


def test_leverage_of_dependent_columns_is_that_of_those_kept():
    X, y = whole_numbers(25, 2)
    with pytest.warns(linreg_fast.RankWarning):
        fit = linreg_fast.fit(np.column_stack([X, X[:, 0] - X[:, 1]]), y)
    data = table(np.column_stack([X, X[:, 0] - X[:, 1]]), y)
    found = fitted_of(fit, data, 0, 1)
    np.testing.assert_allclose(found.leverage(data.X), exact_leverage(X, np.ones(25), True), rtol=1e-10)
    assert found.parameters == 3


def test_leverage_with_a_penalty_is_that_of_the_shrunken_hat_matrix():
    X, y = whole_numbers(40, 2)
    fit = linreg_fast.fit(X, y, l2=7.0, fit_intercept=False)
    data = table(X, y)
    # rows of weight 7 at the unit vectors are the penalty
    padded = np.vstack([X, np.eye(2)])
    expected = exact_leverage(padded, [1] * 40 + [7, 7], False)[:40]
    np.testing.assert_allclose(fitted_of(fit, data, 0, 1).leverage(X), expected, rtol=1e-11)


def test_leverage_of_a_polynomial():
    x = np.arange(-6.0, 9.0)
    fit = linreg_fast.fit_polynomial(x, x**3 + np.arange(15) % 4, 3)
    data = table(x, x**3)
    powers = np.column_stack([x, x**2, x**3])
    np.testing.assert_allclose(
        fitted_of(fit, data, 0, 1).leverage(x[:, None]), exact_leverage(powers, np.ones(15), True), rtol=1e-10
    )


# diagnostics


def test_points_are_the_rows_and_the_largest_residuals_have_their_numbers():
    X, y = whole_numbers(60, 2)
    y[41] += 60
    fit = linreg_fast.fit(X, y)
    figure = plots.diagnostics(fit, X, y)
    residuals, normal, scale, leverage = figure.axes
    offsets = residuals.collections[0].get_offsets()
    np.testing.assert_allclose(offsets[:, 1], y - fit.predict(X), atol=1e-10)
    np.testing.assert_allclose(offsets[:, 0], fit.predict(X))
    for axes in figure.axes:
        assert "41" in [text.get_text() for text in axes.texts]
    quantiles = normal.get_lines()[0].get_ydata()
    assert len(quantiles) == 60
    assert (np.diff(quantiles) >= 0).all()
    np.testing.assert_allclose(np.sort(leverage.collections[0].get_offsets()[:, 1]), quantiles)
    assert scale.get_ylabel().count("standardised")


def test_cooks_lines_are_where_the_distance_is_what_they_say():
    X, y = whole_numbers(30, 2)
    X[3], y[3] = (60.0, 1.0), 300.0
    fit = linreg_fast.fit(X, y)
    leverage = plots.diagnostics(fit, X, y).axes[3]
    assert "0.5" in leverage.get_title()
    dotted = [line for line in leverage.get_lines() if line.get_linestyle() == ":"]
    assert dotted
    for line in dotted:
        h, s = line.get_data()
        distance = s**2 * h / (1 - h) / 3
        assert distance == pytest.approx(distance[0], rel=1e-12)
        assert distance[0] == pytest.approx(0.5, rel=1e-12) or distance[0] == pytest.approx(1.0, rel=1e-12)


def counts_of(axes):
    return np.ma.filled(axes.collections[0].get_array(), 0).astype(int)


def test_many_rows_are_counted_block_by_block_whatever_the_number_of_threads(counted):
    X, y = whole_numbers(20_000, 3)
    fit = linreg_fast.fit(X, y)
    pictures = [plots.diagnostics(fit, X, y, n_threads=n) for n in (1, 2, 5)]
    for place in (0, 2, 3):
        first, *others = (counts_of(figure.axes[place]) for figure in pictures)
        assert first.sum() == 20_000
        assert all(np.array_equal(first, other) for other in others)
    assert "counted in 180 x 180 cells" in pictures[0].get_supxlabel()
    residual = y - fit.predict(X)
    edges = np.linspace(residual.min(), residual.max(), clouds.GRID + 1)
    rows = np.histogram(residual, edges)[0]
    # those on an edge may be counted beside it, as rounding has it
    assert np.abs(np.cumsum(counts_of(pictures[0].axes[0]).sum(axis=1)) - np.cumsum(rows)).max() <= 0.01 * 20_000


def test_quantiles_of_many_rows_are_those_of_the_sorted_ones(counted):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((20_000, 2))
    y = X[:, 0] + rng.standard_t(3, 20_000)
    fit = linreg_fast.fit(X, y)
    data = table(X, y)
    exact = np.sort(fitted_of(fit, data, 0, 1).of_rows(data, 0, len(y)).standardised)
    normal, shown = plots.diagnostics(fit, X, y).axes[1].get_lines()[0].get_data()
    from scipy.special import ndtr

    ranks = np.rint(ndtr(normal) * 20_000 + 0.5).astype(int) - 1
    np.testing.assert_allclose(shown, exact[ranks], rtol=2**-9)
    assert ranks[0] == 0
    assert ranks[-1] == 19_999


def test_places_in_order():
    values = np.array([-np.inf, -1e30, -2.0, -1.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, 1.001, 1.01, 1e30, np.inf])
    places = clouds.sorted_place(values)
    assert (np.diff(places) >= 0).all()
    assert places.min() >= 0
    assert places.max() < clouds.SORTED
    some = np.array([-7.25, -1e-3, 3e-9, 0.5, 812.0])
    np.testing.assert_allclose(clouds.of_places(clouds.sorted_place(some)), some, rtol=2**-9)


def test_rows_with_missing_values_are_left_out_and_counted(counted):
    X, y = whole_numbers(500, 2)
    X[7, 1], y[400] = np.nan, np.nan
    fit = linreg_fast.fit(X, y, missing="drop")
    figure = plots.diagnostics(fit, X, y)
    assert "2 rows with missing values left out" in figure.get_supxlabel()
    assert "498 rows" in figure.get_suptitle()
    assert counts_of(figure.axes[0]).sum() == 498
    X[9, 0] = np.inf
    with pytest.raises(ValueError, match="X has inf at row 9, column 0"):
        plots.diagnostics(fit, X, y)


def test_a_row_of_leverage_one_has_no_standardised_residual():
    X = np.zeros((12, 2))
    X[:, 0], X[5, 1] = np.arange(12), 1.0
    y = np.arange(12.0) % 3
    fit = linreg_fast.fit(X, y)
    figure = plots.diagnostics(fit, X, y)
    assert "1 rows of leverage 1" in figure.get_supxlabel()
    assert len(figure.axes[0].collections[0].get_offsets()) == 12
    assert len(figure.axes[3].collections[0].get_offsets()) == 11


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_names_and_units_stand_on_the_axes(library):
    X, y = whole_numbers(50, 2)
    frame = pd.DataFrame({"size": X[:, 0], "age": X[:, 1], "price": y, "note": ["x"] * 50})
    frame.attrs["units"] = {"price": "US$", "size": "m²"}
    given = frame
    if library == "pyarrow":
        import pyarrow as pa

        given = pa.table({name: frame[name].to_numpy() for name in frame})
        fields = [
            field.with_metadata({b"units": frame.attrs["units"][field.name].encode()})
            if field.name in frame.attrs["units"]
            else field
            for field in given.schema
        ]
        given = given.cast(pa.schema(fields))
    fit = linreg_fast.fit(frame[["age", "size"]], frame["price"])
    figure = plots.diagnostics(fit, given, "price")
    assert figure.axes[0].get_xlabel() == r"fitted price (US\$)"
    assert figure.axes[0].get_ylabel() == r"residual (US\$)"
    assert figure.get_suptitle().startswith("price by age, size: 50 rows")
    line = plots.fit_line(linreg_fast.fit(frame[["size"]], frame["price"]), given, "price").axes[0]
    assert line.get_xlabel() == "size (m²)"
    assert line.get_ylabel() == r"price (US\$)"


def test_what_cannot_be_drawn_is_told():
    X, y = whole_numbers(20, 2)
    fit = linreg_fast.fit(X, y)
    with pytest.raises(ValueError, match="X has 1 columns and y 1; the fit is of 2 and 1"):
        plots.diagnostics(fit, X[:, :1], y)
    with pytest.raises(ValueError, match="no residual deviation"):
        plots.diagnostics(linreg_fast.fit(X[:3], y[:3]), X[:3], y[:3])
    with pytest.raises(ValueError, match="one feature; this fit has 2"):
        plots.fit_line(fit, X, y)
    with pytest.raises(ValueError, match="fit 1 has no cost_history"):
        plots.descent(linreg_fast.fit(X, y, solver="gd"), fit)
    with pytest.raises(TypeError, match="gradient descent"):
        plots.descent()
    with pytest.raises(ValueError, match="level"):
        plots.coefficients(fit, level=1.0)


def test_progress_counts_the_rows_of_every_reading(counted):
    X, y = whole_numbers(5000, 2)
    fit = linreg_fast.fit(X, y)
    seen = []
    plots.diagnostics(fit, X, y, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (15_000, 15_000)
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(seen))


# lines, coefficients, steps


def test_line_and_band():
    x = np.arange(40.0)
    y = 3 + 2 * x + (np.arange(40) % 5 - 2)
    fit = linreg_fast.fit(x, y)
    axes = plots.fit_line(fit, x, y).axes[0]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata()[[0, -1]], fit.predict(x[[0, -1]]))
    band = next(c for c in axes.collections if c.get_label().endswith("band")).get_paths()[0].vertices
    at_zero = band[band[:, 0] == 0.0, 1]
    np.testing.assert_allclose([at_zero.min(), at_zero.max()], fit.intercept_conf_int(), rtol=1e-6)


def test_line_of_many_rows_is_counted(counted):
    x = np.random.default_rng(0).standard_normal(4000)
    figure = plots.fit_line(linreg_fast.fit(x, x**2), x, x**2)
    assert counts_of(figure.axes[0]).sum() == 4000


def test_coefficients_stand_in_their_intervals():
    X, y = whole_numbers(80, 3)
    fit = linreg_fast.fit(X, y, feature_names=["a", "b$", "c"])
    figure = plots.coefficients(fit, ["c", "a"], level=0.9)
    axes, numbers = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "a"]
    ends = np.array([segment[:, 0] for segment in axes.collections[0].get_segments()])
    np.testing.assert_allclose(ends, fit.conf_int(0.9)[[2, 0]])
    assert numbers.get_yticklabels()[0].get_text().startswith(f"{fit.coef[2]:.4g}")
    two = linreg_fast.fit(X, np.column_stack([y, -y]))
    second = plots.coefficients(two, target=1).axes[0].get_lines()[0].get_xdata()
    np.testing.assert_allclose(second, two.coef[1])
    wide = linreg_fast.fit(*whole_numbers(200, 50))
    assert "40 most distinct from 0 of 50" in plots.coefficients(wide).axes[0].get_title()


def test_groups_few_and_many():
    X, y = whole_numbers(3000, 2)
    keys = np.repeat(np.arange(10), 300)
    fits = linreg_fast.grouped(X, y, keys, stats=["stderr"])
    figure = plots.grouped(fits)
    assert len(figure.axes) == 2
    np.testing.assert_array_equal(figure.axes[1].get_lines()[0].get_xdata(), fits.coef[:, 1])
    ends = figure.axes[0].collections[0].get_segments()[4][:, 0]
    np.testing.assert_allclose(ends, fits[4].conf_int()[0], rtol=1e-9)
    with pytest.warns(linreg_fast.RankWarning):
        many = linreg_fast.grouped(X, y, np.append(np.repeat(np.arange(200), 14), np.arange(200, 400)))
    figure = plots.grouped(many, [0])
    assert "200 left out, below full rank" in figure.get_suptitle()
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 200


def test_steps_of_descent():
    X, y = whole_numbers(100, 2)
    fits = [linreg_fast.fit(X, y, solver="gd"), linreg_fast.fit(X, y, solver="gd", momentum=None)]
    left, right = plots.descent(*fits).axes
    for line, fit in zip(left.get_lines(), fits, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), fit.cost_history)
    assert left.get_yscale() == right.get_yscale() == "log"


def test_pictures_of_real_tables(tmp_path):
    table_ = pd.read_csv(shared("diamonds.csv"))
    fit = linreg_fast.fit(table_[["carat"]], table_["price"])
    figure = plots.diagnostics(fit, table_, "price")
    figure.savefig(tmp_path / "diamonds.png")
    assert counts_of(figure.axes[0]).sum() == len(table_)
    hours = pd.read_csv(shared("vic_elec.csv"), parse_dates=["Time"])
    fits = linreg_fast.rolling(hours[["Time", "Temperature", "Demand"]], "Demand", "30D", on="Time", stats=["stderr"])
    axes = plots.rolling(fits).axes[0]
    assert axes.get_xlabel() == "Time"
    # windows that have just begun do not flatten those of a month
    low, high = axes.get_ylim()
    later = fits.coef[1440:, 0]
    assert later.max() - later.min() > 0.3 * (high - low)
    assert "beyond an axis" in axes.get_title()


def test_names_are_no_formulas():
    assert figures.plain("a$b$") == r"a\$b\$"
