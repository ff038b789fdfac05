"""Pictures of coefficients over rows, with their band."""

from __future__ import annotations

import numpy as np
import pytest

from linreg_fast import rolling

pytest.importorskip("matplotlib")


def test_lines_and_bands(tmp_path):
    from linreg_fast import plots

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 3)), rng.normal(size=80)
    when = np.datetime64("2024-01-01", "ns") + np.arange(80) * np.timedelta64(1, "D")
    fits = rolling(X, y, "20D", on=when, stats=["stderr"])
    figure = plots.rolling(fits, [2, 0], where=np.arange(80) >= 30)
    figure.savefig(tmp_path / "bands.png")
    assert (tmp_path / "bands.png").stat().st_size > 10_000
    assert len(figure.axes) == 2
    for axis, j in zip(figure.axes, (2, 0), strict=True):
        line = axis.get_lines()[0]
        np.testing.assert_array_equal(line.get_ydata(), fits.coef[30:, j])
        np.testing.assert_array_equal(line.get_xdata(), when[30:])
        lower, upper = fits[50].conf_int()[j]
        band = axis.collections[0].get_paths()[0].vertices[:, 1]
        assert np.isclose(band, lower, rtol=1e-6).any()
        assert np.isclose(band, upper, rtol=1e-6).any()
    assert figure.axes[-1].get_xlabel() == "on"


def test_without_errors_or_times_there_are_lines_over_rows():
    from linreg_fast import plots
    from linreg_fast.plots import curves

    rng = np.random.default_rng(1)
    fits = rolling(rng.normal(size=(40, 12)), rng.normal(size=40), 20)
    figure = plots.rolling(fits)
    assert len(figure.axes) == curves.PANELS
    assert not figure.axes[0].collections
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_xdata(), np.arange(40))
