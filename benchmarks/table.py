"""Turn the figures of a benchmark into a Markdown table, and a picture where matplotlib is there.

Run:  linreg-fast bench --levels --json bench.json
      python benchmarks/table.py bench.json --into README.md --picture docs/benchmarks.png
or:   python -m pytest benchmarks --benchmark-enable --benchmark-json=kernels.json
      python benchmarks/table.py kernels.json

With --into the table replaces what stands between the two benchmark marks of that file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from linreg_fast.bench.peers import PACKAGES
from linreg_fast.bench.report import cells, columns, duration, legend
from linreg_fast.bench.timing import NUMPY, OURS

BEGIN, END = "<!-- benchmarks -->", "<!-- end of benchmarks -->"


def markdown(heads: list[str], rows: list[tuple[str, ...]], *texts: str) -> str:
    lines = [heads, ["---"] * 2 + ["---:"] * (len(heads) - 2), *rows]
    return "\n\n".join(["\n".join(f"| {' | '.join(line)} |" for line in lines), *texts])


def bench_table(report: dict[str, Any]) -> str:
    """The table of `linreg-fast bench --json`."""
    rows = report["rows"]
    heads = columns(rows)
    notes = [f"- {note}" for row in rows for note in row["notes"]]
    texts = [legend(report["about"]), *(["\n".join(notes)] if notes else [])]
    return markdown(heads, [cells(row, heads) for row in rows], *texts)


def pytest_table(report: dict[str, Any]) -> str:
    """The table of pytest-benchmark's JSON: each operation by the kernels and by NumPy."""
    pairs: dict[tuple[str, int, int], dict[str, float]] = {}
    for one in report["benchmarks"]:
        info = one["extra_info"]
        pairs.setdefault((info["operation"], info["rows"], info["columns"]), {})[info["side"]] = one["stats"]["median"]
    # solvers other than auto are held against the same NumPy time
    for (operation, n, p), sides in pairs.items():
        if operation.startswith("fit (") and "numpy" not in sides:
            sides["numpy"] = pairs.get(("fit (auto)", n, p), {}).get("numpy", float("nan"))
    rows = []
    for (operation, n, p), sides in sorted(pairs.items(), key=lambda item: (item[0][0], item[0][1] * item[0][2])):
        ours, numpy = sides["linreg_fast"], sides["numpy"]
        times = duration(ours), duration(numpy), f"{numpy / ours:.2f}"
        rows.append((operation, f"{n:,} x {p:,}", *times))
    config = info["config"]
    about = f"level {config['level']}, {config['threads']} threads each, NumPy {config['numpy']} with {config['blas']}"
    heads = ["operation", "rows x columns", "linreg_fast", "NumPy", "NumPy / linreg_fast"]
    return markdown(heads, rows, f"Medians; {report['machine_info']['cpu'].get('brand_raw', '')}, {about}.")


def picture(report: dict[str, Any], path: str) -> None:
    """Times of the plain fits over the machine's limit, of every library, as bars."""
    from matplotlib.figure import Figure

    rows = [row for row in report["rows"] if row["what"] == "fit" and row["limit"] is not None]
    names = [name for name in (OURS, NUMPY, *PACKAGES) if any(name in row["seconds"] for row in rows)]
    figure = Figure(figsize=(8, 0.17 * len(names) * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(names)
    for i, name in enumerate(names):
        there = [(at + i * height, row["seconds"][name] / row["limit"])
                 for at, row in enumerate(rows) if name in row["seconds"]]  # fmt: skip
        axes.barh(*zip(*there, strict=True), height, label=name)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("time of a fit over the machine's limit")
    axes.set_yticks(
        [at + 0.4 - height / 2 for at in range(len(rows))], [f"{row['rows']:,} x {row['columns']:,}" for row in rows]
    )
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--picture", help="of the figures of linreg-fast bench")
    arguments = parser.parse_args()
    report = json.loads(arguments.json.read_text())
    text = pytest_table(report) if "benchmarks" in report else bench_table(report)
    print(text)
    if arguments.picture:
        picture(report, arguments.picture)
    if arguments.into:
        before, begin, rest = arguments.into.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"{arguments.into} has no {BEGIN} ... {END} to write between")
        arguments.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
