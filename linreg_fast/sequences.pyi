from typing import Any

import numpy as np
from numpy.typing import NDArray

def numbers(values: Any) -> NDArray[np.float64] | None: ...
