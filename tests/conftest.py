"""What several test files share: small generic models and images."""

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


class Generic(torch.nn.Module):
    """A small network without symmetries, so that no two of its regions are worth the same."""

    def __init__(self, shape, classes=3, seed=0, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        pixels = int(torch.tensor(shape).prod())
        self.hidden = torch.nn.Linear(pixels, 8, dtype=dtype)
        self.scores = torch.nn.Linear(8, classes, dtype=dtype)
        with torch.no_grad():
            for parameter in self.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(drawn * parameter.shape[-1] ** -0.5)

    def forward(self, images):
        return self.scores(torch.tanh(3 * self.hidden(images.flatten(1))))


def generic_images(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
