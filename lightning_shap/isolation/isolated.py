"""Call a model as often as you like: what is called is a copy, and the model never notices."""

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType, MethodType
from typing import Any, Literal, TypeVar, cast

import torch

from lightning_shap.isolation.copying import Copy
from lightning_shap.isolation.host import lend_to_classes, note, run_as_written, undisturbed
from lightning_shap.isolation.modes import module_of, unwrap

Isolation = Literal["copy", "none"]
"""How a model is kept from noticing its calls.

``"copy"``: they are made to a copy of it. ``"none"``: it is a function with no module behind it.
"""

Model = TypeVar("Model", bound=Callable[..., Any])
Root = TypeVar("Root")
Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])

# What grows while it is copied, as another thread may make it, is copied once more.
TRIES = 3

_inside: ContextVar[Mapping[int, Isolation]] = ContextVar("inside", default=MappingProxyType({}))


def isolated(model: Model, work: Callable[[Model], Result]) -> Result:
    """Runs some work with a copy of a model, and leaves random states as they were.

    Compiled parts run as they are written. Whatever is inside the module behind the model when the
    work begins may be used by :func:`isolated` again, at no cost.

    Args:
        model: A module, a bound method of one, or any function, which is used as it is.
        work: Gets the model to call.

    Returns:
        What the work returns.

    Raises:
        CopyError: If there is no copy that has nothing of the model's.
    """
    module = module_of(model)
    if module is None or isolation_of(model) != "none":
        return undisturbed(lambda: work(model))

    def apart(twin: torch.nn.Module) -> Result:
        outer = _inside.get()
        note(lambda: _inside.set(outer))
        _inside.set({**outer, **{id(part): "copy" for part in twin.modules()}})
        function = getattr(model, "__func__", None)
        return work(cast(Model, twin if function is None else MethodType(function, twin)))

    return with_copy(module, apart)


def with_copy(original: Root, work: Callable[[Root], Result], *, with_data: bool = False) -> Result:
    """Runs some work with a copy of any object, or of a tuple of several.

    Args:
        original: Is left as it is, as are random states and users' classes.
        work: Gets the copy.
        with_data: Copy data sets and loaders too, however large.

    Raises:
        CopyError: If there is no copy that has nothing of the original's.
    """

    def apart() -> Result:
        run_as_written()
        copied = _copy_of(original, with_data)
        try:
            lend_to_classes(copied.of_classes)
            return work(copied.root)
        finally:
            copied.release()

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
    """Returns how a model is isolated where this is called."""
    return _inside.get().get(id(module_of(model)), "none")


def _copy_of(original: Root, with_data: bool) -> Copy[Root]:
    for _ in range(TRIES - 1):
        try:
            return Copy(original, with_data=with_data)
        except RuntimeError as error:
            if "during iteration" not in str(error):
                raise
    return Copy(original, with_data=with_data)
