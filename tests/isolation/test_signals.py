"""What a signal's handler raises is known from what it interrupted."""

import os
import signal

import pytest

from lightning_shap.isolation.signals import came_from_explanation


class DeadlineError(Exception):
    pass


def stop(number, frame):
    raise DeadlineError


class Handlers:
    def method(self, number, frame):
        stop(number, frame)

    def __call__(self, number, frame):
        stop(number, frame)


@pytest.fixture(params=[stop, Handlers().method, Handlers()], ids=["function", "method", "object"])
def handler(request):
    before = signal.signal(signal.SIGUSR2, request.param)
    yield
    signal.signal(signal.SIGUSR2, before)


def test_an_error_of_a_handler_is_known(handler):
    with pytest.raises(DeadlineError) as caught:
        os.kill(os.getpid(), signal.SIGUSR2)
    assert not came_from_explanation(caught.value)


def test_the_same_error_raised_by_anything_else_is_not_a_handlers(handler):
    def raises():
        raise DeadlineError

    with pytest.raises(DeadlineError) as caught:
        raises()
    assert came_from_explanation(caught.value)
