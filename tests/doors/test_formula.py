"""Fits by a formula: values of statsmodels, every door, what is refused, and predictions by what was saved."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from support.tables import ROOT

import linreg_fast
from linreg_fast import LinearFit, fit_file, fit_formula

pytest.importorskip("formulaic")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

DIAMONDS = ROOT.parent / "shared" / "data" / "diamonds.csv"
needs_diamonds = pytest.mark.skipif(not DIAMONDS.is_file(), reason="the real tables are not here")


@pytest.fixture
def frame():
    """y = 1 + 2 x + 10 for b + 20 for c, in whole numbers, without any residual."""
    x = np.arange(12.0)
    kind = list("abc") * 4
    y = 1 + 2 * x + np.array([{"a": 0, "b": 10, "c": 20}[k] for k in kind])
    return pd.DataFrame({"y": y, "x": x, "kind": kind, "w": np.arange(1.0, 13.0)})


@needs_diamonds
@pytest.mark.parametrize(
    "formula",
    [
        "price ~ carat + C(cut) + C(color)",
        "price ~ carat + cut*color",
        "log(price) ~ np.log(carat) + clarity",
        "price ~ 0 + carat + C(clarity)",
        "price ~ carat:cut + I(depth**2)",
        "price ~ C(cut, Treatment('Ideal')) + carat",
    ],
)
def test_values_of_statsmodels(formula):
    smf = pytest.importorskip("statsmodels.formula.api")
    data = pd.read_csv(DIAMONDS)
    fit, other = fit_formula(formula, data), smf.ols(formula.replace("log(price)", "np.log(price)"), data).fit()
    found = dict(zip(fit.feature_names, fit.coef, strict=True))
    errors = dict(zip(fit.feature_names, fit.stderr, strict=True))
    if fit.fit_intercept:
        found["Intercept"], errors["Intercept"] = fit.intercept, fit.intercept_stderr
    assert sorted(found) == sorted(other.params.index)
    for name, value in found.items():
        assert value == pytest.approx(other.params[name], rel=1e-9)
        assert errors[name] == pytest.approx(other.bse[name], rel=1e-9)
    some = data.sample(100, random_state=0)
    np.testing.assert_allclose(fit.predict(some), other.predict(some), rtol=1e-9)


def test_exact_values_names_and_reference(frame):
    fit = fit_formula("y ~ x + kind", frame)
    assert fit.feature_names == ("x", "kind[T.b]", "kind[T.c]")
    np.testing.assert_allclose([fit.intercept, *fit.coef], [1, 2, 10, 20], rtol=1e-13)
    assert fit.formula["references"] == {"kind": "a"}
    assert "kind: a" in repr(fit)


def doors(frame, tmp_path):
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=5)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return {
        "polars": pl.from_pandas(frame),
        "arrow": table,
        "categorical": frame.assign(kind=frame.kind.astype("category")),
        "polars categorical": pl.from_pandas(frame).with_columns(pl.col("kind").cast(pl.Categorical)),
        "list of frames": [frame[:5], frame[5:]],
        "callable": lambda: iter([frame[:7], frame[7:]]),
        "csv": tmp_path / "t.csv",
        "parquet": tmp_path / "t.parquet",
    }


@pytest.mark.parametrize("formula", ["y ~ x + kind", "y ~ poly(x, 2) + C(kind)", "y ~ center(x)*kind", "y ~ scale(x)"])
def test_every_door_has_the_same_columns(frame, tmp_path, formula):
    first = fit_formula(formula, frame)
    for name, data in doors(frame, tmp_path).items():
        fit = fit_formula(formula, data)
        assert fit.feature_names == first.feature_names, name
        np.testing.assert_allclose(fit.coef, first.coef, rtol=1e-12, atol=1e-12, err_msg=name)
        assert fit.formula == first.formula, name
    fit = fit_file(tmp_path / "t.parquet", formula=formula)
    np.testing.assert_allclose(fit.coef, first.coef, rtol=1e-12, atol=1e-12)


def test_levels_that_are_given(frame):
    levels = {"kind": ["c", "a", "b"]}
    fit = fit_formula("y ~ x + kind", iter([frame[:5], frame[5:]]), levels=levels)
    assert fit.feature_names == ("x", "kind[T.a]", "kind[T.b]")
    np.testing.assert_allclose(fit.coef, [2, -20, -10], rtol=1e-12)
    ordered = frame.assign(kind=pd.Categorical(frame.kind, ["b", "never", "a", "c"]))
    fit = fit_formula("y ~ x + kind", ordered)
    assert fit.feature_names == ("x", "kind[T.a]", "kind[T.c]")
    with pytest.raises(ValueError, match="'kind' is learnt from all rows in a first look"):
        fit_formula("y ~ x + kind", iter([frame]))
    with pytest.raises(ValueError, match="levels are given of 'x'"):
        fit_formula("y ~ x + kind", frame, levels={"x": [1]})
    with pytest.raises(ValueError, match="not different"):
        fit_formula("y ~ x + kind", frame, levels={"kind": ["a", "a"]})


def test_a_level_that_comes_later_is_named(frame):
    with pytest.raises(ValueError, match=r"column 'kind' has the level 'c' at row 2 of batch 0"):
        fit_formula("y ~ x + kind", frame, levels={"kind": ["a", "b"]})
    fit = fit_formula("y ~ x + kind", frame)
    with pytest.raises(ValueError, match=r"column 'kind' has the level 'odd' at row 3 of X"):
        fit.predict(frame.assign(kind=["a", "b", "c", "odd"] * 3))


@pytest.mark.parametrize(
    "formula", ["y ~ x + kind", "log(y) ~ poly(x, 3) + C(kind)", "y ~ bs(x, df=4)", "y ~ 0 + cr(x, df=4)"]
)
def test_predictions_after_save_and_load(frame, tmp_path, formula):
    fit = fit_formula(formula, frame)
    fit.save(tmp_path / "fit.json")
    again = LinearFit.load(tmp_path / "fit.json")
    some = frame.iloc[[3, 8]][["kind", "x"]]
    expected = np.asarray(fit.predict(frame))[[3, 8]]
    np.testing.assert_allclose(np.asarray(again.predict(some)), expected, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(again.predict(pl.from_pandas(some))), expected, rtol=1e-12)
    out = np.empty(2)
    assert again.predict(some, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_a_file_runs_nothing_that_a_formula_may_not_say(frame, tmp_path):
    state = fit_formula("y ~ x + kind", frame).to_dict()
    state["formula"]["text"] = "y ~ {__import__('os').mkdir('made')} + kind"
    fit = LinearFit.from_dict(state)
    with pytest.raises(ValueError, match="no function"):
        fit.predict(frame)
    del state["formula"]["levels"]
    with pytest.raises(ValueError, match="formula cannot be"):
        LinearFit.from_dict(state)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ nope", "names 'nope', which is no column; there are y, x, kind, w"),
        ("y ~ log(nope)", "names 'nope'"),
        ("y ~ nope(x)", r"there is no function 'nope'; a formula may have"),
        ("y ~ np.load(x)", "no function 'np.load'"),
        ("y ~ {__import__('os').getcwd()}", "no function"),
        ("y ~ {open('x')}", "no function 'open'"),
        ("y ~ {x.__class__}", "not allowed"),
        ("y ~ {(lambda: x)()}", "not allowed|no function"),
        ("y ~ lag(x)", "no function 'lag'"),
        ("y ~ C(x * 2)", "C takes a column"),
        ("y", "two sides"),
        ("~ x", "left side|two sides"),
        ("y ~ 1", "no column on its right"),
        ("y ~ x +", "cannot be read"),
        ("y ~ x | kind", "more than one part|cannot be read"),
    ],
)
def test_formulas_that_are_refused(frame, formula, message):
    with pytest.raises(ValueError, match=message):
        fit_formula(formula, frame)


def test_kinds_that_are_refused(frame, tmp_path):
    with pytest.raises(TypeError, match="formula must be a text"):
        fit_formula(3, frame)
    with pytest.raises(TypeError, match="'kind' on the left"):
        fit_formula("kind ~ x", frame)
    with pytest.raises(TypeError, match="a formula is for data frames"):
        fit_formula("y ~ x", [(np.ones((3, 1)), np.ones(3))])
    with pytest.raises(ValueError, match="no column 'v'"):
        fit_formula("y ~ x", frame, sample_weight="v")
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TypeError, match="stands in place of target"):
        fit_file(tmp_path / "t.csv", formula="y ~ x", target="y")
    fit = fit_formula("y ~ x + kind", frame)
    with pytest.raises(TypeError, match="must be a data frame with the columns x, kind"):
        fit.predict(np.ones((3, 2)))
    with pytest.raises(ValueError, match="lacks the columns 'x', 'kind'"):
        fit.predict(frame[["w"]])
    with pytest.raises(TypeError, match="column 'x' of X is of text"):
        fit.predict(frame.assign(x="1"))


@pytest.mark.parametrize("column", ["x", "y", "kind"])
def test_missing_values(frame, column):
    frame[column] = frame[column].astype(object)
    frame.loc[[4, 7], column] = None
    if column != "kind":
        frame[column] = frame[column].astype(float)
    with pytest.raises(ValueError, match=f"column '{column}' has a missing value at row 4 of batch 0"):
        fit_formula("y ~ x + kind", frame)
    fit = fit_formula("y ~ x + kind", frame, missing="drop")
    assert (fit.n_samples, fit.n_dropped) == (10, 2)
    np.testing.assert_allclose(fit.coef, [2, 10, 20], rtol=1e-12)
    if column != "y":
        assert np.flatnonzero(np.isnan(fit.predict(frame))).tolist() == [4, 7]
    learnt = fit_formula("y ~ center(x) + kind", frame, missing="drop")
    whole = fit_formula("y ~ center(x) + kind", frame.dropna().reset_index(drop=True))
    np.testing.assert_allclose([learnt.intercept, *learnt.coef], [whole.intercept, *whole.coef], rtol=1e-12)


def test_weights_and_several_targets(frame):
    frame["z"] = frame.y * frame.x
    fit = fit_formula("y + z ~ x + kind", frame, sample_weight="w")
    assert fit.coef.shape == (2, 3)
    assert fit.formula["target_names"] == ["y", "z"]
    X = np.column_stack([frame.x, frame.kind == "b", frame.kind == "c"])
    other = linreg_fast.fit(X, frame[["y", "z"]], sample_weight=frame.w)
    np.testing.assert_allclose(fit.coef, other.coef, rtol=1e-10, atol=1e-10)
    assert fit.sum_weight == math.fsum(frame.w)


def test_a_dot_stands_for_all_other_columns(frame):
    fit = fit_formula("y ~ .", frame.drop(columns="w"))
    assert fit.feature_names == ("x", "kind[T.b]", "kind[T.c]")
    assert np.asarray(fit.predict(frame)).shape == (12,)


def test_names_with_blanks(frame):
    fit = fit_formula("y ~ `the x` + np.log(`the x` + 1)", frame.rename(columns={"x": "the x"}))
    assert fit.n_features == 2
    assert "the x" in fit.feature_names[0]


def test_many_levels_in_little_memory(tmp_path):
    """500 levels of 200,000 rows would be 800 MB as one table."""
    code = """
import resource, numpy as np, pandas as pd, linreg_fast
n = 200_000
kind = np.arange(n) % 500
frame = pd.DataFrame({"y": kind * 2.0 + np.arange(n) % 7, "x": np.arange(n) % 7.0, "kind": kind})
import formulaic
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fit = linreg_fast.fit_formula("y ~ x + C(kind)", frame, n_threads=2)
used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
assert abs(fit.coef[0] - 1) < 1e-9 and abs(fit.coef[-1] - 998) < 1e-6, fit
print(used)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(done.stdout) < 300


@needs_diamonds
def test_the_command_line(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "linreg_fast.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    model = tmp_path / "fit.json"
    formula = "price ~ carat + C(cut) + color"
    done = run("fit", DIAMONDS, "--formula", formula, "--save", model)
    assert done.returncode == 0, done.stderr
    assert "C(cut): Fair, color: D" in done.stdout
    assert "C(cut)[T.Good]" in done.stdout
    fit = fit_formula(formula, DIAMONDS)
    found = json.loads(run("fit", DIAMONDS, "--formula", formula, "--json").stdout)
    assert found["coef"] == fit.coef.tolist()
    some = pd.read_csv(DIAMONDS).head(20)
    some.to_csv(tmp_path / "some.csv", index=False)
    done = run("predict", tmp_path / "some.csv", "--model", model, "--id", "cut")
    lines = done.stdout.split()
    assert lines[0] == "cut,prediction", done.stderr
    text = done.stdout.splitlines()[1:]
    np.testing.assert_allclose([float(line.split(",")[1]) for line in text], fit.predict(some), rtol=1e-12)
    done = run("fit", DIAMONDS, "--formula", "price ~ carrot")
    assert done.returncode == 1
    assert "'carrot'" in done.stderr
    assert run("fit", DIAMONDS, "--formula", formula, "--target", "price").returncode == 1
