"""Watches a model run, for the operation that made its outputs: a sigmoid, or a layer.

Values alone cannot tell a young network's logits of 0.05 from the probabilities of another. The
operation can: it is followed from the images through whatever only moves numbers about, such as a
slice or a cast, to what the model returns.
"""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from lightning_shap.explanation.classes import Returns
from lightning_shap.isolation.host import Watching

MAKES: dict[str, Returns] = {
    "sigmoid": "probabilities",
    "hardsigmoid": "probabilities",
    "softmax": "probabilities",
    "safe_softmax": "probabilities",
    "log_softmax": "log-probabilities",
    "log_sigmoid": "log-probabilities",
    "log_sigmoid_forward": "log-probabilities",
}
"""Results of operations on any numbers."""

# What a layer makes are logits, whatever goes in. Each backend has names of its own for them.
LAYER = re.compile(r"(add|badd)?(b?mm|mv)|matmul|dot|.*linear|.*conv(olution|[123]d).*")

MOVES = {
    *("reshape_alias", "to_copy", "unsafe_view", "alias", "as_strided", "cat", "chunk", "clone"),
    *("contiguous", "copy", "detach", "dropout", "expand", "flatten", "flip", "gather", "index"),
    *("index_select", "lift_fresh", "max", "min", "amax", "amin", "narrow", "permute", "reshape"),
    *("select", "slice", "split", "split_with_sizes", "squeeze", "stack", "t", "to", "topk"),
    *("transpose", "unbind", "unsqueeze", "view", "where"),
}
"""Operations that make nothing of numbers but to move, pick or copy them."""

TURNS: dict[tuple[str, Returns], Returns] = {
    ("exp", "log-probabilities"): "probabilities",
    ("log", "probabilities"): "log-probabilities",
    ("mean", "probabilities"): "probabilities",  # of an ensemble, or of several views
    ("clamp", "probabilities"): "probabilities",
}
"""Results of operations on what another has made."""


class LastOperation(Watching):
    """Watches a model run, and knows of each tensor what the operation made that it came from.

    Nothing about the run changes: operations are called as they are, and looked at afterwards.

    Args:
        images: The model's input, plain numbers.

    Attributes:
        largest: Bytes of the largest tensor that was made.
    """

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self.largest = images.nbytes
        self._made: Any = WeakTensorKeyDictionary()
        self._made[images] = "logits"

    def made(self, tensor: torch.Tensor) -> Returns | None:
        """Returns what a tensor holds by the operation that made it, None where none was seen."""
        found: Returns | None = self._made.get(tensor)
        return found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        try:
            # Without what marks those that write in place, or that torch calls its own.
            self._note(func.overloadpacket.__name__.strip("_"), args, kwargs, result)
            if not func.is_view:  # which share another's memory
                sizes = [tensor.nbytes for tensor in list_tensors([result])]
                self.largest = max([self.largest, *sizes])
        except Exception:  # an operation in some form that is not known: nor is what it made
            self._made.clear()
        return result

    def _note(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        if name == "copy":  # into a tensor, whose own numbers are gone
            args = args[1:]
        given = [t for t in list_tensors([args, [*kwargs.values()]]) if t.is_floating_point()]
        makes = _judge(name, {self._made.get(tensor) for tensor in given})
        numbers = sum(tensor.numel() for tensor in given)
        for tensor in list_tensors([result]):
            # Of some of the classes, a softmax would be another than the model's.
            part = makes == "logits" and name in MOVES and tensor.numel() != numbers
            self._made[tensor] = makes if tensor.is_floating_point() and not part else None


def _judge(name: str, kinds: set[Returns | None]) -> Returns | None:
    """Returns what an operation makes of tensors of these kinds, None where that may be all."""
    if name in MAKES:
        return MAKES[name]
    if LAYER.fullmatch(name):
        return "logits"
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    return kind if kind is None or name in MOVES else TURNS.get((name, kind))


def list_tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yields the tensors in lists and tuples, and in those that these hold."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from list_tensors(value)
