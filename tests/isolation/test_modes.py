import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode_stack,
    is_in_torch_dispatch_mode,
)

from lightning_shap import explain
from lightning_shap.isolation.host import Watching, seed_all, undisturbed
from lightning_shap.isolation.modes import evaluation_mode, module_of


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5))

    def forward(self, images):
        return self.head(self.norm(images))


def modes(module):
    return [m.training for m in module.modules()]


def test_every_sub_module_gets_its_own_mode_back():
    network = Network().train()
    network.norm.eval()  # frozen by its owner
    before = modes(network)
    with evaluation_mode(network):
        assert not any(modes(network))
    assert modes(network) == before


def test_modes_come_back_after_an_error_and_after_a_forward_that_changes_them():
    network = Network().train()
    network.norm.eval()
    before = modes(network)

    def fail():
        network.norm.train()
        raise KeyError

    with pytest.raises(KeyError), evaluation_mode(network):
        fail()
    assert modes(network) == before


def test_a_bound_method_brings_its_module_along():
    network = Network().train()
    assert module_of(network.forward) is network
    assert module_of(lambda images: images) is None
    assert module_of([].append) is None
    with evaluation_mode(network.forward):
        assert not network.norm.training
    assert network.norm.training


def test_autograd_is_off_within_and_as_it_was_after():
    with evaluation_mode(Network()):
        assert not torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    with torch.no_grad():
        with evaluation_mode(Network()):
            pass
        assert not torch.is_grad_enabled()


def test_weights_that_autocast_casts_within_are_cast_anew_after():
    linear, images = torch.nn.Linear(4, 3), torch.rand(2, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with evaluation_mode(linear):
            before = linear(images)
        with torch.no_grad():
            linear.weight.add_(1.0)  # a step of training, which a kept copy would not know of
        scores = linear(images)
        scores.sum().backward()
    assert (scores > before + 0.1).all()
    torch.testing.assert_close(linear.weight.grad, images.sum(0).expand(3, 4), rtol=0.02, atol=0)


class CountsCasts(TorchDispatchMode):
    """Counts how often weights of four by three are cast."""

    casts = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.casts += func.overloadpacket.__name__ == "_to_copy" and args[0].shape == (3, 4)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(("is_copy", "casts"), [(False, 3), (True, 1)])
def test_autocast_casts_the_weights_of_a_copy_once(is_copy, casts):
    linear, images = torch.nn.Linear(4, 3), torch.rand(2, 4)
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        CountsCasts() as counted,
        evaluation_mode(linear, is_copy=is_copy),
    ):
        for _ in range(3):
            linear(images)
    assert counted.casts == casts


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def seeded_draws(seed, *, fails=False):
    def work(note):
        seed_all(seed)
        drawn.append(draws())
        if fails:
            raise KeyError

    drawn = []
    with pytest.raises(KeyError) if fails else nullcontext():
        undisturbed(work)
    return drawn[0]


@pytest.mark.parametrize("fails", [False, True])
def test_random_states_come_back(fails):
    seed_all(1)
    expected = draws()
    seed_all(1)
    first = seeded_draws(3, fails=fails)
    assert draws() == expected
    assert seeded_draws(3) == first


def test_a_large_seed_will_do_for_every_generator():
    assert seeded_draws(2**40) == seeded_draws(2**40)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
@pytest.mark.parametrize("freeze", [torch.jit.freeze, torch.jit.optimize_for_inference])
def test_frozen_modules_which_have_no_mode_are_explained(freeze):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten()).eval()
    images = torch.rand(2, 3, 8, 8)
    found = explain(freeze(torch.jit.script(network)), images, topk=1, max_evals=20)
    assert np.allclose(found.values, explain(network, images, topk=1, max_evals=20).values)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of tracing
def test_a_watching_mode_that_an_interrupt_kept_from_leaving_is_left():
    class Interrupted(Watching):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

        def __exit__(self, *error):
            raise KeyboardInterrupt

    def work(note):
        with Interrupted():
            torch.ones(2).sum()

    with pytest.raises(KeyboardInterrupt):
        undisturbed(work)
    assert not _get_current_dispatch_mode_stack()
    assert not is_in_torch_dispatch_mode()
    traced = torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.rand(2, 1, 2, 2), check_trace=False)
    assert "_convolution" in str(traced.inlined_graph)
