"""What holds for all tests."""

import os

# shap's explainer compiles for half a minute what is quick enough in plain Python at this size.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The networks here are too small for more, and the machine may be shared."""
    torch.set_num_threads(1)
