"""Call a model as often as you like: what is called is a copy, and the model never notices."""

import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any, TypeVar, cast

import torch

from lightning_shap.isolation.copying import Copy
from lightning_shap.isolation.host import lend_to_classes, run_as_written, undisturbed
from lightning_shap.isolation.modes import module_of, unwrap

Model = TypeVar("Model", bound=Callable[..., Any])
Root = TypeVar("Root")
Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])

# The attribute by which a module is known to be a copy that lasts as long as its explanation.
MARK = "is_lightning_shaps_copy"


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
        CopyError: If it cannot be copied.
    """
    module = module_of(model)
    if module is None or is_copy(model):
        return undisturbed(lambda note: work(model))

    def apart(twin: torch.nn.Module) -> Result:
        for part in twin.modules():
            vars(part)[MARK] = True
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
        CopyError: If it cannot be copied.
    """

    def apart(note: Any) -> Result:
        run_as_written(note)
        copied = Copy(original, with_data=with_data)
        try:
            lend_to_classes(note, copied.of_classes)
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


def is_copy(model: Callable[..., Any]) -> bool:
    """Returns whether a model is a copy, or a method of one; a function without module is none."""
    return MARK in getattr(module_of(model), "__dict__", {})
