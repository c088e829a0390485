"""Refusals: of a copy as a whole, and of what stands in it for what no copy can have."""

from typing import Any, NoReturn

import torch

from lightning_shap.errors import ArgumentError

ADVICE = ', so explaining would change it; explain a part without it (module="net" of a callback)'


class CopyError(ArgumentError):
    """There is no copy of a model that an explanation could call in its place."""


class Uncopied:
    """Stands in a copy for what cannot be copied, and says so when a ``forward`` uses it.

    Most such things are never used by a ``forward``. Where one is, the original cannot be used in
    its place either: nothing would set it back.

    Args:
        kind: What it stands for.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        kind = self._kind
        raise ArgumentError(
            "model",
            f"uses a {kind.__module__}.{kind.__qualname__}, which cannot be copied or set back, so "
            "an explanation would change it; leave it alone unless the module is training, or "
            "explain the part that needs none",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by Python itself, or by a debugger
            raise AttributeError(name)
        return self._refuse()

    __call__ = __iter__ = __next__ = __enter__ = __exit__ = __len__ = __bool__ = __await__ = _refuse
    __getitem__ = __setitem__ = __delitem__ = __contains__ = __add__ = __iadd__ = _refuse


class Unwrapped(torch.nn.Module):
    """Stands in a copy for a wrapper that would compile it, or talk to other ranks when called."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Returns what the wrapped module gives."""
        (inner,) = self.children()
        return inner(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # some wrappers have what the wrapped module has
            (inner,) = self.children()
            return getattr(inner, name)
