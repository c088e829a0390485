"""Trainings with either copy of Lightning."""

from importlib.util import module_from_spec, spec_from_file_location
from types import SimpleNamespace

import pytest
import tiny_training

from lightning_shap.training import lightning


@pytest.fixture(scope="session", params=lightning.NAMES)
def tiny(request):
    """``tiny_training``, as it is with one copy of Lightning."""
    spec = spec_from_file_location("tiny_training_too", tiny_training.__file__)
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTNING_COPY", request.param)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def draws_if_asked(request):
    """Draws a training's pictures only for tests that are marked, since these look at them."""
    if request.node.get_closest_marker("draws") is None:
        request.getfixturevalue("blank_pictures")


@pytest.fixture(autouse=True)
def reads_in_this_process(monkeypatch):
    """Reads a copy of the data, as on systems that cannot fork; tests in samples/ do fork."""
    system = SimpleNamespace(platform="win32")
    monkeypatch.setattr("lightning_shap.training.samples.reading_process.sys", system)
