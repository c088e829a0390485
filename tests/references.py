"""Numbers and pictures that are to stay as they are, each kept in a file beside its test.

``WRITE_REFERENCES=1 python -m pytest tests/...`` writes them anew, for a change that is meant.
"""

import os
from pathlib import Path

import numpy as np


def check_reference(path: Path, found: dict[str, np.ndarray], tolerance: float) -> None:
    """Holds arrays against those kept in an npz file, to a share of the largest of each."""
    if os.environ.get("WRITE_REFERENCES"):
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, **found)
    with np.load(path) as kept:
        assert {*kept} == {*found}
        for name, array in found.items():
            assert array.shape == kept[name].shape, name
            expected = kept[name].astype(float)
            allowed = tolerance * np.abs(expected).max()
            np.testing.assert_allclose(array, expected, rtol=0, atol=allowed, err_msg=name)
