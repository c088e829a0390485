"""Call a model as often as you like: what is called is a copy, and the model never notices."""

import functools
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType, MethodType
from typing import Any, Literal, TypeVar, cast

import torch

from lightning_shap.isolation.class_state import classes_kept
from lightning_shap.isolation.copying import ModelCopy
from lightning_shap.isolation.interrupts import borrowed, undisturbed
from lightning_shap.isolation.modes import eager, module_of, unwrap
from lightning_shap.isolation.module_state import state_kept
from lightning_shap.isolation.random_states import Draws
from lightning_shap.isolation.reach import kinds_reached_from
from lightning_shap.isolation.signals import came_from_explanation

Isolation = Literal["copy", "restored", "none"]
"""How a model is kept from noticing its calls.

``"copy"``: they are made to a copy of it. ``"restored"``: it will not be copied, so what they
change in it is put back. ``"none"``: it is a function with no module behind it.
"""

Model = TypeVar("Model", bound=Callable[..., Any])
Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])

# A module that grows while it is copied, as another thread may make it, is copied once more.
TRIES = 3

_log = logging.getLogger(__name__)
_inside: ContextVar[Mapping[int, Isolation]] = ContextVar("inside", default=MappingProxyType({}))
_locks: weakref.WeakKeyDictionary[torch.nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


def isolated(model: Model, work: Callable[[Model], Result]) -> Result:
    """Runs some work with a copy of a model, or with the model itself and all put back after.

    Compiled parts run as they are written. Whatever is inside the module behind the model when the
    work begins may be used by :func:`isolated` again, at no cost.

    Args:
        model: A module, a bound method of one, or any function, which is used as it is.
        work: Gets the model to call.

    Returns:
        What the work returns.
    """
    module = module_of(model)
    if module is None or isolation_of(model) != "none":
        return undisturbed(lambda: work(model))

    def apart() -> Result:
        with eager():
            twin = _copy_of(module)
            if twin is not None:
                try:
                    with classes_kept(twin.kinds):
                        same = _same_of(model, twin.module)
                        return _within(twin.module, "copy", lambda: work(same))
                except MemoryError:
                    pass  # there may be room for one model where there is none for two
                finally:
                    twin.release()
            lock = _locks.setdefault(module, threading.RLock())
            with lock, classes_kept(kinds_reached_from(module)), state_kept(module):
                return _within(module, "restored", lambda: work(model))

    return undisturbed(apart)


def isolating(argument: str) -> Callable[[Function], Function]:
    """Makes a function get an isolated model in one of its arguments.

    Args:
        argument: Its name.
    """

    def decorated(function: Function) -> Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs)

            def work(model: Callable[..., Any]) -> Any:
                given.arguments[argument] = model
                return function(*given.args, **given.kwargs)

            model, precision = unwrap(given.arguments[argument])
            with precision:
                return isolated(model, work)

        return cast(Function, call)

    return decorated


def isolation_of(model: Callable[..., Any]) -> Isolation:
    """How a model is isolated where this is called."""
    return _inside.get().get(id(module_of(model)), "none")


def _within(module: torch.nn.Module, how: Isolation, work: Callable[[], Result]) -> Result:
    """Runs some work in which all parts of a module count as isolated."""
    outer = _inside.get()
    with borrowed(lambda: _inside.set(outer)):
        _inside.set({**outer, **{id(part): how for part in module.modules()}})
        return work()


def _same_of(model: Model, twin: torch.nn.Module) -> Model:
    """What the model is to its module, of the module's twin."""
    function = getattr(model, "__func__", None)
    return cast(Model, twin if function is None else MethodType(function, twin))


def _copy_of(module: torch.nn.Module) -> ModelCopy[torch.nn.Module] | None:
    for _ in range(TRIES):
        try:
            # A module's own way of being copied may draw its first weights anew.
            return Draws(0).call(lambda: ModelCopy(module))
        except Exception as error:
            if not came_from_explanation(error):
                raise
            reason = f"{type(error).__name__}: {error}"
            if not isinstance(error, RuntimeError) or "during iteration" not in reason:
                break
    _log.info("%s is restored, as it was not copied (%s)", type(module).__name__, reason)
    return None
