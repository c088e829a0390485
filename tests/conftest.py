"""What holds for all tests."""

import os
import sys

# shap's explainer compiles for half a minute what is quick enough in plain Python at this size.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The networks here are too small for more, and the machine may be shared."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_warning_is_lost(monkeypatch):
    """In a training our warnings never raise, not even where warnings are errors: here they do."""
    messages = sys.modules.get("lightning_shap.training.messages")
    lost = []
    if messages is not None:
        monkeypatch.setattr(messages, "_write_plainly", lost.append)
    yield
    assert lost == []
