"""The model is not called, and what is shared by a whole process is its owner's."""

import gc
import itertools
import os
import queue
import random
import signal
import sys
import threading
import time
from collections import OrderedDict
from copy import deepcopy

import numpy as np
import pytest
import torch
from tiny_training import random_states, same
from torch.nn.functional import dropout
from torch.utils._python_dispatch import (
    _get_current_dispatch_mode_stack,
    is_in_torch_dispatch_mode,
)

from lightning_shap import InsertionAUC, explain
from lightning_shap.errors import ArgumentError
from lightning_shap.isolation.isolated import is_copy, isolated

IMAGES = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
CALLS = []  # of a module of Python's: no copy has its own


class Small(torch.nn.Module):
    """Has modes, buffers and something to remember."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten()
        )
        self.head = torch.nn.Linear(8, 3)
        self.flag = False

    def forward(self, images):
        CALLS.append((id(self), self.training))
        return self.head(self.net(images))


@pytest.fixture
def model():
    torch.manual_seed(0)
    CALLS.clear()
    return Small().train()


def test_the_model_itself_is_never_called_and_keeps_its_mode(model):
    modes = []

    def progress(done, total):
        modes.append([part.training for part in model.modules()])

    explanation = explain(model, IMAGES, max_evals=8, progress=progress)
    assert explanation.record.isolation == "copy"
    assert CALLS
    assert all(owner != id(model) and not training for owner, training in CALLS)
    assert all(map(all, modes))


def test_a_method_is_called_of_the_copy(model):
    values = explain(model.forward, IMAGES, max_evals=8).values
    assert all(owner != id(model) for owner, _ in CALLS)
    assert np.array_equal(values, explain(model, IMAGES, max_evals=8).values)


def test_a_metric_calls_a_copy_too(model):
    explanation = explain(model, IMAGES, max_evals=8, topk=1)
    CALLS.clear()
    InsertionAUC(steps=4).update(model, explanation)
    assert CALLS
    assert all(owner != id(model) for owner, _ in CALLS)


def test_a_copy_multiplies_as_the_original_does_to_the_bit():
    """Torch multiplies by a weight otherwise where it is a view, in which a gradient gets lost."""
    attention = torch.nn.MultiheadAttention(64, 2, batch_first=True).eval()
    tokens = torch.rand(2, 5, 64)
    with torch.no_grad():
        expected, _ = attention(tokens, tokens, tokens, need_weights=False)
        found, _ = isolated(
            attention, lambda copy: copy(tokens, tokens, tokens, need_weights=False)
        )
        assert attention.in_proj_weight.t().requires_grad
        assert isolated(attention, lambda copy: copy.in_proj_weight.t().requires_grad)
    assert torch.equal(found, expected)


def test_a_function_is_called_as_it_is(model):
    explanation = explain(lambda images: model.eval()(images).detach(), IMAGES, max_evals=8)
    assert explanation.record.isolation == "none"
    assert {owner for owner, _ in CALLS} == {id(model)}


def test_empty_dictionaries_of_a_copy_are_its_own_and_shared_where_they_were(model):
    model.one = model.other = OrderedDict()
    model.third, model.filled = OrderedDict(), OrderedDict(a=1)
    model.marked = OrderedDict()
    model.marked.mark = [5]

    def work(twin):
        assert twin.one is twin.other
        assert len({*map(id, (model.one, model.third, twin.one, twin.third))}) == 4
        assert twin.filled == {"a": 1}
        assert twin.marked.mark == [5]
        assert twin.marked.mark is not model.marked.mark
        twin.one["b"] = 2
        twin.register_forward_hook(print)
        return twin.other

    assert isolated(model, work) == {"b": 2}
    assert not model.one
    assert not model._forward_hooks


def test_a_compiled_module_runs_as_it_is_written_and_a_function_that_calls_it_compiled(model):
    graphs = []

    def count(graph, inputs):
        return lambda *given: graphs.append(1) or graph.forward(*given)

    compiled = torch.compile(model.eval(), backend=count)
    values = explain(compiled, IMAGES, max_evals=10).values
    assert not graphs
    found = explain(lambda images: compiled(images), IMAGES, max_evals=10)
    assert graphs
    np.testing.assert_allclose(found.values, values, rtol=0, atol=1e-6 * np.abs(values).max())


def test_what_is_isolated_is_not_isolated_again(model):
    def work(twin):
        assert twin is not model
        assert is_copy(twin)
        assert is_copy(twin.net)
        assert not is_copy(model)
        inner = isolated(twin.net, lambda net: net)
        assert inner is twin.net
        return twin

    assert isolated(model, work) is not model
    assert not is_copy(model)


def test_a_copy_gives_its_memory_back_at_once(model):
    model.itself = [model]  # which only a collection of garbage would find
    gc.disable()
    try:
        twin = isolated(model, lambda twin: twin)
        assert sum(tensor.numel() for tensor in twin.parameters()) == 0
    finally:
        gc.enable()
    assert sum(tensor.numel() for tensor in model.parameters()) > 0


def test_where_there_is_no_room_for_a_copy_the_model_is_left_alone(model):
    def work(twin):
        twin.net[0].weight.data.zero_()
        raise MemoryError("batch_size: not even one row fits into the memory")

    before = model.net[0].weight.detach().clone()
    with pytest.raises(MemoryError, match="not even one row"):
        isolated(model, work)
    assert torch.equal(model.net[0].weight, before)


def written(folder):
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder)


UNCOPIED = {
    "a generator": (lambda path: (n for n in itertools.count()), next, "generator"),
    "a file": (lambda path: (path / "calls").open("w"), lambda f: f.write("a"), "TextIOWrapper"),
    "a binary file": (
        lambda path: (path / "calls").open("wb"),
        lambda f: f.write(b"a"),
        "BufferedWriter",
    ),
    "a queue": (lambda path: queue.Queue(), lambda q: q.put(1), "Queue"),
    "a simple queue": (lambda path: queue.SimpleQueue(), lambda q: q.put(1), "SimpleQueue"),
    "an event": (lambda path: threading.Event(), lambda e: e.set(), "Event"),
    "a generator in a list": (lambda path: [iter(n for n in [1])], lambda x: next(x[0]), "gener"),
    "a writer of events": (written, lambda w: w.add_scalar("calls", 1), "Queue|Thread|Writer"),
}


@pytest.mark.parametrize("name", UNCOPIED)
def test_what_cannot_be_copied_or_put_back_is_declined_in_a_sentence(name, tmp_path, model):
    make, use, kind = UNCOPIED[name]

    class Uses(Small):
        def forward(self, images):
            if self.busy:
                use(self.thing)
            return super().forward(images)

    module = Uses()
    module.thing, module.busy = make(tmp_path), False
    try:
        assert explain(module, IMAGES, max_evals=4).record.isolation == "copy"  # it uses it not
        module.busy = True
        with pytest.raises(ArgumentError, match=rf"model: uses a .*({kind}).*, which cannot"):
            explain(module, IMAGES, max_evals=4)
    finally:
        getattr(module.thing, "close", lambda: None)()


# Signals and other threads.


def test_an_error_that_a_signals_handler_raises_goes_through():
    from lightning_shap.isolation.signals import came_from_explanation

    class DeadlineError(Exception):
        pass

    def handler(number, frame):
        raise DeadlineError

    class Interrupted(Small):
        def forward(self, images):
            if len(CALLS) == 2:
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().forward(images)

    class Wrapping(Interrupted):
        def forward(self, images):
            try:
                return super().forward(images)
            except Exception as error:
                raise ValueError("in the model") from error

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for kind, error in ((Interrupted, DeadlineError), (Wrapping, ValueError)):
            CALLS.clear()
            with pytest.raises(error) as caught:
                explain(kind(), IMAGES, max_evals=12, batch_size=2)
            assert not came_from_explanation(caught.value)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ZeroDivisionError) as caught:
        explain(lambda images: 1 / 0, IMAGES)
    assert came_from_explanation(caught.value)


def test_a_handler_finds_the_model_as_it_was_and_what_it_writes_stays(model):
    class Batching(Small):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, images):
            self.calls += 1
            if self.calls == 3:
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().forward(images)

    model = Batching().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = []

    def handler(number, frame):
        found.append((model.state_dict(), [part.training for part in model.modules()]))
        model.preempted = True

    outer = signal.signal(signal.SIGUSR1, handler)
    try:
        explain(model, IMAGES, max_evals=20, batch_size=2)
    finally:
        signal.signal(signal.SIGUSR1, outer)
    assert len(found) == 1
    assert same(found[0][0], before)
    assert all(found[0][1])
    assert model.preempted


def test_items_that_a_thread_appends_stay(model):
    model.seen, over = [], threading.Event()
    appended = itertools.count()

    def append():
        while not over.is_set():
            model.seen.append(next(appended))
            time.sleep(1e-4)

    thread = threading.Thread(target=append)
    thread.start()
    try:
        for _ in range(20):
            explain(model, IMAGES, max_evals=8)
    finally:
        over.set()
        thread.join()
    assert model.seen == list(range(len(model.seen)))


@pytest.mark.parametrize("method", ["partition", "gradient"])
def test_threads_may_explain_one_model_at_once(model, method):
    expected = explain(model, IMAGES, max_evals=20, method=method).values
    modes, dtype = [part.training for part in model.modules()], torch.get_default_dtype()
    found, problems = [], []

    def work():
        try:
            for _ in range(13):
                values = explain(model, IMAGES, max_evals=20, method=method, batch_size=4).values
                found.append(np.abs(values - expected).max())
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(found) == 52
    assert max(found) < 1e-5
    assert [part.training for part in model.modules()] == modes
    assert torch.get_default_dtype() == dtype
    assert torch.is_grad_enabled()


class Drawing(Small):
    """From every generator there is, and from some of them only at later calls."""

    def forward(self, images):
        scores = super().forward(dropout(images, 0.5, training=True))
        if len(CALLS) % 7 > 3:
            scores = scores * np.random.normal(1, 0.1) * random.gauss(1, 0.1)
        return scores


def test_a_model_that_draws_gets_the_same_numbers_each_time_and_leaves_no_trace():
    torch.manual_seed(0)
    model = Drawing()
    before, values = random_states(), []
    for _ in range(3):
        CALLS.clear()
        values.append(explain(model, IMAGES, max_evals=20, batch_size=2, seed=1).values)
        assert same(random_states(), before)
        random.random(), np.random.rand(), torch.rand(3)
        before = random_states()
    assert np.array_equal(values[0], values[1])
    assert np.array_equal(values[0], values[2])
    CALLS.clear()
    other = explain(model, IMAGES, max_evals=20, batch_size=2, seed=2).values
    assert not np.array_equal(values[0], other)


def test_threads_that_explain_one_drawing_model_get_values_as_alone():
    class Drops(Small):
        def forward(self, images):
            return super().forward(dropout(images, 0.5, training=True))

    torch.manual_seed(0)
    model = Drops()
    expected = explain(model, IMAGES, max_evals=20, batch_size=2).values
    before, found = random_states(), []

    def work():
        found.append(explain(model, IMAGES, max_evals=20, batch_size=2).values)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(random_states(), before)
    assert len(found) == 3
    assert all(np.array_equal(values, expected) for values in found)


def test_models_that_do_not_draw_are_called_for_their_rows_and_to_try_folded_norms(model):
    record = explain(model, IMAGES, max_evals=10, batch_size=4).record
    assert len(CALLS) == -(-int(record.evaluations.sum()) // 4) + 1


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("method", ["partition", "gradient"])
def test_in_every_grad_mode(model, mode, method):
    expected = explain(model, IMAGES, max_evals=12, method=method).values
    with mode():
        assert np.array_equal(explain(model, IMAGES, max_evals=12, method=method).values, expected)


# Interrupts at any line.


class Stop(BaseException):
    """As Ctrl-C is, but nobody else's."""


def host(model):
    return {
        "modes": [part.training for part in model.modules()],
        "weights": model.state_dict(),
        "attributes": [sorted(vars(part)) for part in model.modules()],
        "generators": random_states(),
        "grad mode": [torch.is_grad_enabled(), torch.is_inference_mode_enabled()],
        "autocast": [torch.is_autocast_cache_enabled(), torch.is_autocast_enabled("cpu")],
        "dtype": str(torch.get_default_dtype()),
        "watched": [len(_get_current_dispatch_mode_stack()), is_in_torch_dispatch_mode()],
        "stance": str(sys.modules["torch._dynamo.eval_frame"]._stance),
        "profiler": sys.getprofile() is None,
        "numpy": np.random.rand.__self__ is np.random.mtrand._rand,
        "is a copy": is_copy(model),
    }


MOMENTS = 40
MODELS = {
    "copied": Small,
    "unwilling": type("Alone", (Small,), {"__deepcopy__": lambda self, memo: 1 / 0}),
    "drawing": Drawing,
}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
# Where Python itself cannot raise, as in the callback of a weak reference, it says so and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("method", ["partition", "gradient"])
@pytest.mark.parametrize("name", MODELS)
def test_an_interrupt_at_any_moment_leaves_no_trace(name, method):
    import torch._dynamo.eval_frame

    def interrupt(number, frame):
        raise Stop

    torch.manual_seed(0)
    model = MODELS[name]().train()
    model.net[1].eval()
    chance, ask = random.Random(4), {"max_evals": 12, "batch_size": 4, "method": method}
    explain(model, IMAGES, **ask)
    started = time.perf_counter()
    explain(model, IMAGES, **ask)
    lasts = time.perf_counter() - started
    before, interrupted = deepcopy(host(model)), 0
    outer = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()  # what is raised in other people's callbacks of the collector goes nowhere
    try:
        for _ in range(MOMENTS):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, lasts))
                    explain(model, IMAGES, **ask)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                interrupted += 1
            now = host(model)
            for part, expected in before.items():
                assert same(now[part], expected), (part, interrupted)
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, outer)
    assert interrupted > MOMENTS / 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stops", [50, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MODELS)
def test_an_interrupt_at_any_line_leaves_no_trace(name, stops):
    import torch._dynamo.eval_frame

    torch.manual_seed(0)
    model = MODELS[name]().train()
    lines, stop_at = 0, None

    def trace(frame, event, argument):
        nonlocal lines
        if f"{os.sep}lightning_shap{os.sep}" not in frame.f_code.co_filename:
            return None
        lines += 1
        if lines == stop_at:
            sys.settrace(None)
            raise Stop
        return trace

    def explained():
        nonlocal lines
        lines = 0
        outer = sys.gettrace()
        sys.settrace(trace)
        try:
            explain(model, IMAGES, max_evals=4, masker=0.0)
        finally:
            sys.settrace(outer)

    explained()
    explained()
    before, count = deepcopy(host(model)), lines
    assert count > 1000
    interrupted = 0
    for stop_at in range(1, count, count // stops):
        try:
            explained()
        except Stop:
            interrupted += 1
        now = host(model)
        for part, expected in before.items():
            assert same(now[part], expected), (part, stop_at)
    assert interrupted > 2 / 3 * stops
