"""Everything an explanation might disturb in its host stands as before, also after a failure."""

import gc
import importlib
import signal
import threading
import warnings

import matplotlib
import pytest
import torch
from pytorch_lightning import Callback
from tiny_training import (
    FaultyClassifier,
    TinyClassifier,
    lightning_warns,
    random_states,
    same,
    tiny_loaders,
    tiny_trainer,
)

from lightning_shap import ShapCallback

pytestmark = lightning_warns


def host_state(module):
    """What an explanation might change."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "generators": random_states(),
        "modes": [part.training for part in module.modules()],
        "parameters": [(p.detach().clone(), p.requires_grad) for p in module.parameters()],
        "gradients": [
            None if p.grad is None else p.grad.detach().clone() for p in module.parameters()
        ],
        "identities": [id(tensor) for tensor in (*module.parameters(), *module.buffers())],
        "buffers": [buffer.clone() for buffer in module.buffers()],
        "hooks": [len(getattr(part, name)) for part in module.modules() for name in hooks],
        "attributes": [sorted(vars(part)) for part in module.modules()],
        "autocast": [
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_cache_enabled(),
        ],
        "grad mode": [torch.is_grad_enabled(), torch.is_inference_mode_enabled()],
        "anomalies": torch.is_anomaly_enabled(),
        "deterministic": [
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
        ],
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "python threads": threading.active_count(),
        "default dtype": str(torch.get_default_dtype()),
        "matplotlib": [matplotlib.get_backend(), pyplot.get_fignums()],
        "signals": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)],
        "warnings": len(warnings.filters),
        "stance": str(torch._dynamo.eval_frame._stance),
    }


class Before(Callback):
    """Ahead of ours in the list."""

    def on_train_epoch_end(self, trainer, pl_module):
        for parameter in pl_module.parameters():  # what accumulation would leave
            parameter.grad = torch.ones_like(parameter)
        self.state = host_state(pl_module)


class After(Callback):
    """Behind ours."""

    compared = 0

    def __init__(self, before):
        self.before = before

    def on_train_epoch_end(self, trainer, pl_module):
        state = host_state(pl_module)
        for name, expected in self.before.state.items():
            assert same(state[name], expected), name
        self.compared += 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_an_explanation_leaves_no_trace(tmp_path, precision):
    before = Before()
    after = After(before)
    ours = ShapCallback(n_samples=3, max_evals=12, on_error="raise", explain_untrained=False)
    trainer = tiny_trainer(tmp_path, before, ours, after, precision=precision)
    trainer.fit(TinyClassifier(), *tiny_loaders())
    assert after.compared == 2


@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_failed_explanation_leaves_no_trace(tmp_path, call):
    before = Before()
    after = After(before)
    ours = ShapCallback(n_samples=3, max_evals=12, explain_untrained=False)

    def fail(number, scores):
        torch.rand(3)
        if number >= call:
            raise RuntimeError("no more")

    module = FaultyClassifier(fail)
    trainer = tiny_trainer(tmp_path, before, ours, after, max_epochs=1)
    with pytest.warns(UserWarning, match="no more"):
        trainer.fit(module, *tiny_loaders())
    assert after.compared == 1
    assert next(module.calls) > call


def test_explaining_every_epoch_keeps_nothing(tmp_path):
    class Census(Callback):
        def __init__(self):
            self.counts = []

        def on_train_epoch_end(self, trainer, pl_module):
            gc.collect()
            tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
            self.counts.append((len(tensors), sum(t.numel() for t in tensors)))

    census = Census()
    ours = ShapCallback(n_samples=3, max_evals=12, on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, census, max_epochs=4)
    trainer.fit(TinyClassifier(), *tiny_loaders())
    assert census.counts[1] == census.counts[-1]
