"""What the programs of this folder share: where golden files lie, numbers that 32 bits hold, numeric derivatives."""

import json
import platform
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "test" / "golden" / "numpy"


def single(values):
    """Float64 values that 32-bit floats hold exactly: the product reads the very same numbers."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def listed(value):
    """Plain lists and numbers; NaN and infinities as words, which JSON has no other way to say."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [listed(item) for item in value]
    if isinstance(value, np.ndarray):
        return listed(value.tolist())
    if isinstance(value, (np.floating, float)):
        number = float(f"{float(value):.9g}")  # 9 digits tell all 32-bit floats apart
        return number if np.isfinite(number) else str(number)
    if isinstance(value, np.integer):
        return int(value)
    return value


def write(name, program, cases):
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {"program": f"scripts/goldens/{program}", "numpy": np.__version__, "python": platform.python_version()}
    lines = ",\n".join(json.dumps(listed(case)) for case in cases)
    (FOLDER / name).write_text(f'{{"made": {json.dumps(made)}, "cases": [\n{lines}\n]}}\n')
    print(f"{name}: {len(cases)} cases")


def gradient(function, at, step=1e-6):
    """Central differences of a function of one float64 vector."""
    result = np.zeros(len(at))
    for index in range(len(at)):
        above, below = at.copy(), at.copy()
        above[index] += step
        below[index] -= step
        result[index] = (function(above) - function(below)) / (2 * step)
    return result
