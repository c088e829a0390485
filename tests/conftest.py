"""What holds for all tests."""

import gc
import importlib
import logging
import os
import sys

# shap's explainer compiles for half a minute what is quick enough in plain Python at this size.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
# The networks are too small for more, the tests share the cores among them, and so may others.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis  # noqa: F401, before the freeze below: it asks the collector for generators
import numpy as np
import pytest
import torch

_RUNNING = []


def pytest_xdist_auto_num_workers(config):
    """Spreads the whole suite over the cores, but not tests that were named: those start sooner."""
    return None if config.args_source is config.ArgsSource.TESTPATHS else 0


def pytest_collection_modifyitems(config, items):
    """Leaves out what is slow, unless ``-m`` speaks of it."""
    if "slow" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_collection_finish():
    """Spares the collector, and processes that are forked, what was imported: it stays anyway."""
    importlib.import_module("hypothesis")  # which looks for what holds a generator
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Notes which test runs, its fixtures included."""
    _RUNNING.append(item)
    try:
        return (yield)
    finally:
        _RUNNING.pop()


def _refuse_programs(event, _):
    """Keeps the default run quick: only a test that is marked may start another program."""
    if event != "subprocess.Popen" or not _RUNNING:
        return
    if not any(map(_RUNNING[-1].get_closest_marker, ("integration", "loggers", "slow"))):
        raise RuntimeError("Mark this test as integration: it starts another program.")


sys.addaudithook(_refuse_programs)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The networks here are too small for more, and the machine may be shared."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def loggers_keep_their_levels():
    """Gives Lightning's loggers back what a command quietened, for the tests that follow."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def no_warning_is_lost(monkeypatch):
    """In a training our warnings never raise, not even where warnings are errors: here they do."""
    messages = sys.modules.get("lightning_shap.training.messages")
    lost = []
    if messages is not None:
        monkeypatch.setattr(messages, "_write_plainly", lost.append)
    yield
    assert lost == []


@pytest.fixture
def blank_pictures(monkeypatch):
    """Spares trainings of which something else is asked their pictures, most of what they take."""
    blank = np.zeros((8, 8, 3), np.uint8)
    for drawn in ("plot", "draw_card"):
        monkeypatch.setattr(
            f"lightning_shap.training.logs.logbook.{drawn}", lambda *args, **kwargs: blank
        )
