"""A copy of a model on which shap's DeepExplainer may hang its hooks.

shap leaves attributes on modules, clears gradients, its hooks do not stand layers that work in
place, and its rule for max pooling loses what overlapping windows share. So it gets a copy, in
which the same is computed in a way that it can follow, and which knows where it is when something
fails.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeGuard

import torch

from lightning_shap.game import out_of_memory
from lightning_shap.isolation.modes import module_of


class HookableCopy(torch.nn.Module):
    """The model's copy, in evaluation mode, its weights constants, nothing in it in place.

    Args:
        model: An ``nn.Module`` or a method of one.

    Raises:
        ValueError: If it is a plain function, or has a module that will not be copied.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        super().__init__()
        module = module_of(model)
        if module is None:
            raise ValueError(
                "method: 'deep' walks through the modules of an nn.Module, and model is a "
                f"{type(model).__name__}; give the module, or method 'gradient', 'partition' or "
                "'kernel'"
            )
        try:
            with torch.inference_mode(False):  # whose tensors know no gradients
                self.module = copy.deepcopy(module)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"method: 'deep' works on a copy, and {type(module).__name__} will not be copied "
                f"({error}); give 'gradient', 'partition' or 'kernel'"
            ) from error
        # A method of the module is called on the copy; a module is called as one.
        self._method = None if model is module else getattr(model, "__func__", None)
        self._running: list[str] = []  # the modules that the forward pass is in, outermost first
        self._called: set[str] = set()  # leaves that this forward pass has been through
        self._reached = ""  # the leaf that the backward pass came to last
        for path, part in list(self.module.named_modules()):
            if path and _overlaps(part):
                parent, _, name = path.rpartition(".")
                setattr(self.module.get_submodule(parent), name, SeparateWindows(part))
        self.eval().requires_grad_(False)
        for path, part in self.module.named_modules():
            self._prepare(path, part)

    def forward(self, images: torch.Tensor) -> Any:
        """The model's raw output."""
        self._running.clear()
        self._called.clear()
        self._reached = ""
        return self.module(images) if self._method is None else self._method(self.module, images)

    @contextmanager
    def naming_what_fails(self) -> Iterator[None]:
        """Turns a failure of shap's, or its warning, into one sentence that names the module."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="unrecognized nn.Module")
                yield
        except (RuntimeError, AssertionError, UserWarning) as error:
            if out_of_memory(error):
                raise
            path = self._running[-1] if self._running else self._reached
            kind = type(self.module.get_submodule(path)).__name__
            reason = str(error).partition("\n")[0]
            if reason.startswith("unrecognized"):
                reason = "it has no rule for such modules"
            raise ValueError(
                f"method: shap's DeepExplainer cannot handle {f'{path!r}, a ' * bool(path)}{kind}: "
                f"{reason}; give method 'gradient', 'partition' or 'kernel'"
            ) from error

    def _prepare(self, path: str, part: torch.nn.Module) -> None:
        if getattr(part, "inplace", False):
            setattr(part, "inplace", False)  # noqa: B010 - not every module has it
        part.register_forward_pre_hook(partial(self._enter, path))
        part.register_forward_hook(self._leave)
        if not any(part.children()):
            part.__class__ = _with_cloned_output(type(part))
            part.register_full_backward_hook(partial(self._reach, path))

    def _enter(self, path: str, part: torch.nn.Module, _: Any) -> None:
        self._running.append(path)
        # Where shap has a rule to apply it keeps the module's input as its parameter `x`.
        if path in self._called and "x" in part._parameters:
            raise RuntimeError("the model calls it twice, and of two calls shap knows only one")
        self._called.add(path)

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def _reach(self, path: str, *_: Any) -> None:
        self._reached = path


class SeparateWindows(torch.nn.Module):
    """Max pooling whose windows overlap, with each window laid out by itself.

    Where windows share a maximum, shap would credit it to one of them: every ResNet's attributions
    would miss most of the output.

    Args:
        pool: The ``MaxPool2d`` to replace.
    """

    def __init__(self, pool: torch.nn.MaxPool2d) -> None:
        super().__init__()
        self.kernel, self.stride = _pair(pool.kernel_size), _pair(pool.stride)
        self.padding = _pair(pool.padding)
        self.pool = torch.nn.MaxPool2d(self.kernel)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What the pooling gives."""
        down, across = self.padding
        below_all = float(images.detach().min()) - 1  # infinity has no difference to itself
        padded = torch.nn.functional.pad(images, (across, across, down, down), value=below_all)
        windows = padded.unfold(2, self.kernel[0], self.stride[0])
        windows = windows.unfold(3, self.kernel[1], self.stride[1])
        apart = windows.transpose(3, 4)  # rows, rows of a window, columns, columns of a window
        pooled: torch.Tensor = self.pool(apart.flatten(4).flatten(2, 3))
        return pooled


def _overlaps(part: torch.nn.Module) -> TypeGuard[torch.nn.MaxPool2d]:
    return (
        type(part) is torch.nn.MaxPool2d
        and any(s < k for s, k in zip(_pair(part.stride), _pair(part.kernel_size), strict=True))
        and _pair(part.dilation) == (1, 1)
        and not part.ceil_mode
        and not part.return_indices
    )


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _with_cloned_output(kind: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """The same kind of module, by the same name, whose output may be changed in place.

    Behind a backward hook an output is a view that must not be, which every residual network's
    ``x += shortcut`` does. A forward hook would come too early: the view is made after it.
    """

    def call(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        output = kind.__call__(self, *args, **kwargs)
        return output.clone() if isinstance(output, torch.Tensor) else output

    return type(kind.__name__, (kind,), {"__call__": call})
