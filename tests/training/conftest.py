"""Trainings with either copy of Lightning."""

from importlib.util import module_from_spec, spec_from_file_location

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
