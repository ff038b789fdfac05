"""Turn pytest-benchmark's JSON into a Markdown table, and a picture where matplotlib is there.

Run:  python benchmarks/table.py kernels.json solvers.json --picture docs/benchmarks.png [--readme README.md]

With --readme the table replaces what stands between the two benchmark marks of that file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

BEGIN, END = "<!-- benchmarks -->", "<!-- end of benchmarks -->"


def rows(paths: list[str]) -> tuple[list[tuple[str, str, float, float]], str]:
    """(operation, shape, our median, NumPy's median) for each pair, and a line on the machine."""
    pairs: dict[tuple[str, int, int], dict[str, float]] = {}
    about = ""
    for path in paths:
        report = json.loads(Path(path).read_text())
        for one in report["benchmarks"]:
            info = one["extra_info"]
            key = info["operation"], info["rows"], info["columns"]
            pairs.setdefault(key, {})[info["side"]] = one["stats"]["median"]
            config = info["config"]
            about = (
                f"{report['machine_info']['cpu'].get('brand_raw', config['machine'])}, level {config['level']}, "
                f"{config['threads']} threads each, NumPy {config['numpy']} with {config['blas']}"
            )
    # solvers other than auto are held against the same NumPy time
    for (operation, n, p), sides in pairs.items():
        if operation.startswith("fit (") and "numpy" not in sides:
            sides["numpy"] = pairs.get(("fit (auto)", n, p), {}).get("numpy", float("nan"))
    return [
        (operation, f"{n:,} x {p}", sides["linreg_fast"], sides["numpy"])
        for (operation, n, p), sides in sorted(pairs.items(), key=lambda item: (item[0][0], item[0][1] * item[0][2]))
    ], about


def duration(seconds: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} us"


def markdown(found: list[tuple[str, str, float, float]], about: str) -> str:
    lines = [
        "| operation | rows x columns | linreg_fast | NumPy | ratio |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {a} | {b} | {duration(c)} | {duration(d)} | {d / c:.1f} |" for a, b, c, d in found),
        "",
        f"Medians; {about}.",
    ]
    return "\n".join(lines)


def picture(found: list[tuple[str, str, float, float]], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    chosen = [row for row in found if row[0] in ("cost", "gradient", "fit (auto)", "cross products")]
    figure, axes = plt.subplots(figsize=(7, 0.28 * len(chosen) + 1), layout="constrained")
    axes.barh([f"{a}  {b}" for a, b, _, _ in chosen], [d / c for _, _, c, d in chosen], color="#2b6cb0")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("times faster than NumPy")
    axes.invert_yaxis()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", nargs="+")
    parser.add_argument("--picture")
    parser.add_argument("--readme")
    arguments = parser.parse_args()
    found, about = rows(arguments.json)
    text = markdown(found, about)
    print(text)
    if arguments.picture:
        picture(found, arguments.picture)
    if arguments.readme:
        readme = Path(arguments.readme)
        before, _, rest = readme.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
