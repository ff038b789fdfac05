# SPDX-License-Identifier: BSD-3-Clause
"""Linear regression by closed form and by gradient descent, with a compiled core."""

import importlib
from typing import TYPE_CHECKING, Any

from linreg_fast.config import show_config
from linreg_fast.fitting import fit
from linreg_fast.inputs.kinds import LeftOutWarning
from linreg_fast.inputs.rounding import PrecisionWarning
from linreg_fast.objective import cost, gradient
from linreg_fast.passes.threads import set_num_threads
from linreg_fast.planning import Plan, plan
from linreg_fast.result import LinearFit
from linreg_fast.robust import robust
from linreg_fast.solvers.descent import ConvergenceWarning, LearningRateError
from linreg_fast.solvers.solution import ConditionWarning, RankWarning

if TYPE_CHECKING:
    from linreg_fast.formula import fit_formula
    from linreg_fast.many.batched import batched
    from linreg_fast.many.expanding import expanding, recursive
    from linreg_fast.many.fits import Fits
    from linreg_fast.many.grouped import grouped
    from linreg_fast.many.rolling import rolling
    from linreg_fast.many.state import State
    from linreg_fast.moments.clusters import cluster_bootstrap, cluster_cov, cluster_jackknife
    from linreg_fast.moments.groups import by_group
    from linreg_fast.moments.moments import Moments
    from linreg_fast.moments.penalties import cross_validate, l2_path
    from linreg_fast.moments.stepwise import stepwise
    from linreg_fast.polynomial import fit_polynomial
    from linreg_fast.streams.fitting import fit_file, fit_stream

__version__ = "0.1.0"

__all__ = [
    "ConditionWarning",
    "ConvergenceWarning",
    "Fits",
    "LearningRateError",
    "LeftOutWarning",
    "LinearFit",
    "Moments",
    "Plan",
    "PrecisionWarning",
    "RankWarning",
    "State",
    "__version__",
    "batched",
    "by_group",
    "cluster_bootstrap",
    "cluster_cov",
    "cluster_jackknife",
    "cost",
    "cross_validate",
    "expanding",
    "fit",
    "fit_file",
    "fit_formula",
    "fit_polynomial",
    "fit_stream",
    "gradient",
    "grouped",
    "l2_path",
    "plan",
    "recursive",
    "robust",
    "rolling",
    "set_num_threads",
    "show_config",
    "stepwise",
]

# Imported when first asked for: whoever only fits does not wait for them.
_LATER = {
    "Fits": "many.fits",
    "batched": "many.batched",
    "Moments": "moments.moments",
    "State": "many.state",
    "by_group": "moments.groups",
    "cluster_bootstrap": "moments.clusters",
    "cluster_cov": "moments.clusters",
    "cluster_jackknife": "moments.clusters",
    "cross_validate": "moments.penalties",
    "expanding": "many.expanding",
    "grouped": "many.grouped",
    "fit_polynomial": "polynomial",
    "fit_formula": "formula",
    "fit_file": "streams.fitting",
    "fit_stream": "streams.fitting",
    "l2_path": "moments.penalties",
    "recursive": "many.expanding",
    "rolling": "many.rolling",
    "stepwise": "moments.stepwise",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
