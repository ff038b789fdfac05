# SPDX-License-Identifier: BSD-3-Clause
"""The commands of linreg-fast: fit, predict, plan, info, demo and bench.

typer, rich and pyarrow are an extra and are imported when a command needs them. The annotations of the
commands are text until typer reads them, so that this module can be imported without it.
"""

from __future__ import annotations

import functools
import importlib
import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import linreg_fast
from linreg_fast.cli import pictures
from linreg_fast.cli.arguments import command_line, names, text_options
from linreg_fast.cli.many import ManyAsked, fit_many
from linreg_fast.cli.terminal import BAR_SECONDS, console, finite, print_facts, print_json, print_table, warn
from linreg_fast.inference import summary

if TYPE_CHECKING:
    from linreg_fast.streams.rows import Stream

NEEDED = ("typer", "rich", "pyarrow")
WARNINGS = (
    linreg_fast.ConditionWarning,
    linreg_fast.ConvergenceWarning,
    linreg_fast.LeftOutWarning,
    linreg_fast.PrecisionWarning,
    linreg_fast.RankWarning,
)
TABLE = "Table: Parquet, text (.csv, .tsv, .txt, packed or not), Arrow, .npy; a folder; - for standard input."


def main() -> None:
    """Run the command line; the entry point of `linreg-fast`."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(f'linreg-fast needs {", ".join(missing)}: pip install "linreg_fast[cli]"', file=sys.stderr)
        raise SystemExit(1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the terminal cannot show is no error
    application()()


def application() -> Any:
    """The commands as a typer application."""
    import typer

    app = typer.Typer(
        help="Linear regression by closed form and by gradient descent, on tables in files.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for function in (fit, predict, plan, info, demo, bench):
        app.command()(_reporting(function))
    return app


def _argument(help: str, **settings: Any) -> Any:
    import typer

    return typer.Argument(help=help, show_default=False, **settings)


def _option(help: str, *names: str, **settings: Any) -> Any:
    import typer

    return typer.Option(*names, help=help, **settings)


def _reporting(function: Callable[..., None]) -> Callable[..., None]:
    """The command, with errors and warnings as one line each on stderr, and exit code 1 for an error."""
    import typer

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        with warnings.catch_warnings():
            for category in WARNINGS:
                warnings.simplefilter("always", category)
            warnings.showwarning = lambda message, *_, **__: warn(command_line(str(message)))
            try:
                function(*args, **kwargs)
            except BrokenPipeError:  # the reader of our output has seen enough
                raise
            except (ValueError, TypeError, OSError, NotImplementedError, MemoryError) as error:
                typer.echo(f"error: {command_line(str(error))}", err=True)
                raise typer.Exit(1) from None

    return run


def fit(
    file: Annotated[Path, _argument(TABLE)],
    target: Annotated[list[str] | None, _option("Column to explain; several as a,b or one by one.")] = None,
    formula: Annotated[str, _option('In place of target and features, such as "price ~ carat + C(cut)".')] = "",
    features: Annotated[str, _option("Columns to explain it by, a,b,c; without it all columns of numbers.")] = "",
    exclude: Annotated[str, _option("Columns that are no features, a,b,c.")] = "",
    weight: Annotated[str, _option("Column of weights.")] = "",
    solver: Annotated[str, _option("auto, cholesky, qr, svd or gd.")] = "auto",
    l2: Annotated[float, _option("Penalty on the squares of the coefficients.")] = 0.0,
    cov: Annotated[str, _option("Standard errors: nonrobust, HC0, HC1, HC2 or HC3.")] = "nonrobust",
    cluster: Annotated[str, _option("Column of the keys of clusters: standard errors by clusters.")] = "",
    no_intercept: Annotated[bool, _option("Fit through the origin.", "--no-intercept")] = False,
    drop_missing: Annotated[bool, _option("Leave out rows with missing values.", "--drop-missing")] = False,
    delimiter: Annotated[str, _option("Text: between fields, one character or 'tab'.")] = "",
    decimal: Annotated[str, _option("Text: the decimal point.")] = "",
    thousands: Annotated[str, _option("Text: what groups digits in threes.")] = "",
    null: Annotated[list[str] | None, _option("Text: a token for a missing value; may stand several times.")] = None,
    encoding: Annotated[str, _option("Text: Python's name of the encoding.")] = "",
    quote: Annotated[str | None, _option("Text: the quote around fields, '' for none.")] = None,
    comment: Annotated[str, _option("Text: what lines to be passed over start with.")] = "",
    skip_rows: Annotated[int, _option("Text: lines before the head.")] = 0,
    no_header: Annotated[bool, _option("Text: columns are named 0, 1 ...", "--no-header")] = False,
    as_json: Annotated[bool, _option("Print one JSON object.", "--json")] = False,
    save: Annotated[Path | None, _option("File to keep the fit in, for predict.")] = None,
    checkpoint: Annotated[Path | None, _option("File to keep the state in and to resume from.")] = None,
    threads: Annotated[int | None, _option("At most so many threads of the fit, -1 for all.")] = None,
    by: Annotated[str, _option("A fit for each group: columns of keys, a,b.")] = "",
    rolling: Annotated[str, _option("A fit for each row over a window: 250 rows, or 30min, 12h, 7D with --on.")] = "",
    on: Annotated[str, _option("Column of the times of rows, ascending.")] = "",
    stats: Annotated[str, _option("With --by and --rolling: stderr,tvalues,rss,r2 and such.")] = "",
    output: Annotated[Path | None, _option("Where these fits go: .csv or .parquet; else CSV is printed.")] = None,
    plot: Annotated[Path | None, _option("Picture, .png or .svg or .pdf: diagnostics, or the fits.")] = None,
) -> None:
    """Fit one or several columns of a table, in one file or several, by its other columns.

    Names with commas stand in double quotes, as in --features '"price, net",area'.
    """
    if bool(formula) == bool(target) or (formula and (features or exclude or by or rolling or no_intercept)):
        raise ValueError(
            "either --target says what to explain, with --features and --exclude, or --formula says all of it"
        )
    target = target or []
    if plot is not None:
        pictures.check(plot)
    if by or rolling:
        asked = ManyAsked(target, features, exclude, weight, by, rolling, on, stats, output, plot)
        text = text_options(
            delimiter=delimiter, decimal=decimal, thousands=thousands, null_values=null, encoding=encoding,
            quote=quote, comment=comment, skip_rows=skip_rows, header=not no_header,
        )  # fmt: skip
        without = {
            "--solver": solver != "auto",
            "--cov": cov != "nonrobust",
            "--cluster": cluster,
            "--json": as_json,
            "--save": save,
            "--checkpoint": checkpoint,
        }
        for option, given in without.items():
            if given:
                raise ValueError(f"{option} is not for --by and --rolling")
        fit_many(file, asked, text, l2=l2, fit_intercept=not no_intercept, drop=drop_missing, n_threads=threads)
        return
    if on or stats or output is not None:
        raise ValueError("--on, --stats and --output are for --by and --rolling")
    from rich.console import Console

    from linreg_fast.options import FitOptions
    from linreg_fast.passes.progress import reporting
    from linreg_fast.streams import fitting, formulas, sources
    from linreg_fast.streams.choice import Roles, warn_left_out
    from linreg_fast.streams.rows import Stream
    from linreg_fast.streams.standard_input import readable

    importlib.import_module("scipy.linalg")  # its import is no part of the seconds below
    start = time.perf_counter()
    targets = [name for one in target for name in names(one)]
    if plot is not None and len(targets) > 1:
        raise ValueError(f"--plot is for one target; got {', '.join(targets)}")
    roles = Roles(
        targets if len(targets) > 1 else "".join(targets),
        names(features) or None,
        names(weight)[0] if weight else None,
        names(exclude),
    )
    if cluster and (formula or cov not in ("nonrobust", "cluster")):
        raise ValueError("--cluster is for --target, and a kind of errors of its own beside those of --cov")
    roles = fitting.without_keys(roles, cluster or None)
    csv = text_options(
        delimiter=delimiter, decimal=decimal, thousands=thousands, null_values=null, encoding=encoding,
        quote=quote, comment=comment, skip_rows=skip_rows, header=not no_header,
    )  # fmt: skip
    options = FitOptions(
        solver=solver,
        l2=l2,
        fit_intercept=not no_intercept,
        missing="drop" if drop_missing else "raise",
        n_threads=threads,
    )
    console = Console(stderr=True)
    with readable(file) as path, reporting(console.is_interactive, console, BAR_SECONDS) as bar:
        if formula:
            by_name = formulas.Asked(formula, {}, roles.weight, options.missing)
            stream, specification = fitting.formula_stream(formulas.of_files(path, csv), by_name, options)
            targets = specification["target_names"]
        else:
            stream, specification = Stream(sources.of_files(path, roles, csv), options), None
        again = functools.partial(sources.of_files, path, csv=csv)
        keyed = fitting.keyed_tables(stream, roles, cluster or None, again)
        asked_errors = fitting.of_stream("cluster" if cluster else cov, keyed)
        found = fitting.fit_source(stream, checkpoint, bar or False, asked_errors)
        result = found.__replace__(formula=specification)
        seconds = time.perf_counter() - start
        if plot is not None:
            pictures.draw_fit(plot, found, stream, targets[0], bar)
    warn_left_out(stream.source.left_out)
    stream.source.noticed.warn()
    if save is not None:
        result.save(save)
    if as_json:
        print_json(_fit_state(result, stream, targets) | {"seconds": seconds})
    else:
        _print_fit(result, stream, targets, seconds)


def predict(
    file: Annotated[Path, _argument(TABLE)],
    model: Annotated[Path, _option("What fit --save wrote.")],
    output: Annotated[Path | None, _option("Where to write: .csv or .parquet; else CSV is printed.")] = None,
    id: Annotated[str, _option("Columns to carry over into the predictions, a,b.")] = "",
    delimiter: Annotated[str, _option("Text: between fields, one character or 'tab'.")] = "",
    decimal: Annotated[str, _option("Text: the decimal point.")] = "",
    thousands: Annotated[str, _option("Text: what groups digits in threes.")] = "",
    null: Annotated[list[str] | None, _option("Text: a token for a missing value; may stand several times.")] = None,
    encoding: Annotated[str, _option("Text: Python's name of the encoding.")] = "",
    quote: Annotated[str | None, _option("Text: the quote around fields, '' for none.")] = None,
    comment: Annotated[str, _option("Text: what lines to be passed over start with.")] = "",
    skip_rows: Annotated[int, _option("Text: lines before the head.")] = 0,
    no_header: Annotated[bool, _option("Text: columns are named 0, 1 ...", "--no-header")] = False,
) -> None:
    """Predict by a saved fit: one row for each row of the table, nan where a value is missing."""
    import typer

    from linreg_fast.cli import tables
    from linreg_fast.streams.standard_input import readable

    if output is not None:
        tables.check_output(output)
    csv = text_options(
        delimiter=delimiter, decimal=decimal, thousands=thousands, null_values=null, encoding=encoding,
        quote=quote, comment=comment, skip_rows=skip_rows, header=not no_header,
    )  # fmt: skip
    saved = linreg_fast.LinearFit.load(model)
    if saved.feature_names is None:
        raise ValueError(f"{model} holds no column names: fit with feature_names, or from a table that has some")
    with readable(file) as path:
        if saved.formula is not None:
            X, carried = tables.read_by_formula(Path(path), saved, names(id), csv)
        else:
            X, carried = tables.read_rows(Path(path), saved.feature_names, names(id), csv)
    predictions = saved.predict(X)
    missing = int(np.isnan(predictions if predictions.ndim == 1 else predictions.sum(axis=1)).sum())
    if missing:
        warn(f"{missing} of {len(X)} rows have missing values: nan is predicted for them")
    text = tables.write(predictions, carried, output)
    if output is None:
        typer.echo(text, nl=False)


def plan(
    rows: Annotated[int, _argument("Number of rows.")],
    columns: Annotated[int, _argument("Number of columns.")],
    targets: Annotated[int, _option("Number of targets.")] = 1,
    dtype: Annotated[str, _option("NumPy's name of the type of the numbers.")] = "float64",
    order: Annotated[str, _option("C or F: by rows or by columns.")] = "C",
    threads: Annotated[int | None, _option("Number of threads, -1 for all.")] = None,
    as_json: Annotated[bool, _option("Print one JSON object.", "--json")] = False,
) -> None:
    """Say which solver a problem of this size gets, why, and what each would cost."""
    chosen = linreg_fast.plan((rows, columns, targets), dtype=dtype, order=order, n_threads=threads)
    if as_json:
        print_json(asdict(chosen))
        return
    heads = ["solver", "passes", "operations", "bytes read", "memory", "seconds", ""]
    table = []
    for one in chosen.candidates:
        mark = "chosen" if (one.solver, one.passes) == (chosen.solver, chosen.passes) else ""
        numbers = [f"{value:.3g}" for value in (one.flops, one.bytes_read, one.memory, one.seconds)]
        table.append((one.solver, one.passes, *numbers, mark if one.possible else "not possible"))
    print_table(heads, table, right=(2, 3, 4, 5))
    facts = {"solver": chosen.solver, "why": chosen.reason, "threads": str(chosen.n_threads)}
    print_facts(facts | {"copies": "; ".join(chosen.copies) or "none"})


def info(as_json: Annotated[bool, _option("Print one JSON object.", "--json")] = False) -> None:
    """Say which version, level, threads and BLAS are in use."""
    config = linreg_fast.show_config()
    if as_json:
        print_json(config)
        return
    print_facts({name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in config.items()})


def demo(
    rows: Annotated[int, _option("Rows of the generated table.", min=100)] = 2_000_000,
    picture: Annotated[Path, _option("Where to draw, if matplotlib is there.")] = Path("linreg-fast-demo.png"),
) -> None:
    """Fit a real table of 31 trees and a generated one of 10 columns, against plain NumPy."""
    from linreg_fast.cli import demo

    demo.trees(console(), picture)
    demo.against_numpy(console(), rows)


def bench(
    quick: Annotated[bool, _option("Small tables and few rounds, seconds instead of minutes.", "--quick")] = False,
    no_peers: Annotated[bool, _option("Leave out other libraries than NumPy.", "--no-peers")] = False,
    levels: Annotated[bool, _option("Measure the lower levels of the kernels too.", "--levels")] = False,
    threads: Annotated[int | None, _option("Number of threads, -1 for all.")] = None,
    json_file: Annotated[Path | None, _option("File to write all figures to.", "--json")] = None,
) -> None:
    """Measure this machine's limits, linreg_fast, NumPy and the peers that are installed; needs some 2 GB."""
    from rich.console import Console
    from rich.progress import track

    from linreg_fast.bench import cases as bench_cases
    from linreg_fast.bench import report
    from linreg_fast.bench.timing import pinned
    from linreg_fast.passes.threads import threads as count_threads

    if json_file is not None:
        json_file.touch()  # a file that cannot be written is told now, not after minutes
    workers = count_threads(threads)
    screen = Console(stderr=True)
    with pinned(workers):
        cases = bench_cases.cases(quick, not no_peers, levels, workers)
        tables = track(cases, "measuring", console=screen, transient=True, disable=not screen.is_interactive)
        rows = [row for case in tables for row in case()]
        what_ran = report.about(rows, workers)
    if json_file is not None:
        json_file.write_text(json.dumps(finite({"about": what_ran, "rows": rows}), indent=1, allow_nan=False))
    heads = report.columns(rows)
    print_table(heads, [report.cells(row, heads) for row in rows], right=tuple(range(2, len(heads) - 1)))
    for text in [report.legend(what_ran), *(note for row in rows for note in row["notes"])]:
        console().print(text)


STATISTICS = (
    "r2", "r2_adjusted", "residual_std", "cov_type", "stderr", "tvalues", "pvalues", "intercept_stderr",
    "intercept_tvalue", "intercept_pvalue", "log_likelihood", "aic", "bic",
)  # fmt: skip


def _fit_state(result: linreg_fast.LinearFit, stream: Stream, targets: list[str]) -> dict[str, Any]:
    return result.to_dict() | {
        **{name: getattr(result, name) for name in STATISTICS},
        "conf_int": result.conf_int(),
        "intercept_conf_int": result.intercept_conf_int(),
        "f_test": result.f_test()._asdict(),
        "target": targets if len(targets) > 1 else targets[0],
        "left_out": stream.source.left_out,
        "dropped_rows": stream.dropped,
        "plan": {name: getattr(result.plan, name) for name in ("solver", "reason", "seconds")},
    }


def _print_fit(result: linreg_fast.LinearFit, stream: Stream, targets: list[str], seconds: float) -> None:
    coef = np.atleast_2d(result.coef)
    rows = [np.atleast_1d(result.intercept)] if result.fit_intercept else []
    labels = ["intercept"] if result.fit_intercept else []
    table = [
        (name, *(f"{b:.10g}" for b in row))
        for name, row in zip([*labels, *(result.feature_names or ())], [*rows, *coef.T], strict=True)
    ]
    heads = [f"coefficient for {target}" for target in targets]
    if len(targets) == 1 and np.isfinite(result.stderr).any():
        _, (_, *errors, _, _) = summary.coefficients(result, 0, 0.95)
        columns = [summary.aligned(column, digits) for column, digits in zip(errors, (6, 4, 3), strict=True)]
        table = [(*row, *cells) for row, cells in zip(table, zip(*columns, strict=True), strict=True)]
        heads += summary.HEADS[1:]
    print_table(["column", *heads], table, right=tuple(range(1, len(heads) + 1)))
    dropped = f", {stream.dropped} with missing values dropped" if stream.dropped else ""
    facts = {
        "R2": _each(result.r2),
        "residual standard deviation": _each(result.residual_std),
        "standard errors": summary.errors(result),
        "rows": f"{result.n_samples}{dropped}",
        "solver": " -> ".join(result.solver_path),
        "why": result.reason,
        "digits": f"{result.digits:.1f}",
        "rcond": f"{result.rcond:.3g}",
        "rank": f"{result.rank} of {result.n_features}",
        "seconds": f"{seconds:.3g} to read and fit",
    }
    if result.solver == "gd":
        facts["steps"] = f"{result.n_iter}, {'converged' if result.converged else 'not converged'}"
    if result.formula and result.formula["references"]:
        facts["reference"] = ", ".join(f"{name}: {level}" for name, level in result.formula["references"].items())
    if stream.source.left_out:
        facts["left out"] = ", ".join(f"{name or repr(name)} ({why})" for name, why in stream.source.left_out.items())
    print_facts(facts)


def _each(values: Any) -> str:
    """A number of each target."""
    return ", ".join(f"{value:.6g}" for value in np.atleast_1d(values))
