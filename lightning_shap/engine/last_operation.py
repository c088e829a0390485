"""Watches a model run, for the operation that made its outputs: a sigmoid, or a layer.

Values alone cannot tell a young network's logits of 0.05 from the probabilities of another. The
operation can: it is followed from the images through whatever only moves numbers about, such as a
slice or a cast, to what the model returns.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from lightning_shap.engine.outputs import Made
from lightning_shap.explanation.classes import Returns

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

BOUNDS = {"tanh", "hardtanh", "clamp", "minimum", "maximum", "exp", "erf"}
"""Operations after which logits may be something else: only their values can tell."""

TURNS: dict[tuple[str, Made], Made] = {
    ("exp", "log-probabilities"): "probabilities",
    ("log", "probabilities"): "log-probabilities",
    ("mean", "probabilities"): "probabilities",  # of an ensemble, or of several views
    ("clamp", "probabilities"): "probabilities",
    ("exp", "logits"): "squashed",
}
"""Results of operations on what another has made."""

SQUASHED = {"probabilities", "squashed"}
LOGARITHMS = {"log", "log1p", "log2", "log10", "logit"}
"""Operations by which probabilities become something else again."""

UNSEEN = "unseen"  # of a tensor that no operation made while the model ran


class LastOperation(TorchDispatchMode):
    """Watches a model run, and knows of each tensor what the operation made that it came from.

    Nothing about the run changes: operations are called as they are, and looked at afterwards.

    Args:
        images: The model's input, plain numbers.
    """

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self._made: Any = WeakTensorKeyDictionary()
        self._made[images] = "logits"
        self._picks = False

    def made(self, tensor: torch.Tensor) -> Made | None:
        """Returns what a tensor holds by the operation that made it, None where none was seen."""
        found: Made | None = self._made.get(tensor)
        return found

    @contextmanager
    def picking(self) -> Iterator[None]:
        """Takes arithmetic from now on for somebody's own, after which logits may be anything."""
        self._picks = True
        yield
        self._picks = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        try:
            # Without what marks those that write in place, or that torch calls its own.
            self._note(func.overloadpacket.__name__.strip("_"), args, kwargs, result)
        except Exception:  # an operation in some form that is not known: nor is what it made
            self._made.clear()
        return result

    def _note(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        made = list(_list_tensors([result]))
        if not made:
            return
        if name == "copy":  # into a tensor, whose own numbers are gone
            args = args[1:]
        given = [
            one for one in _list_tensors([args, [*kwargs.values()]]) if one.is_floating_point()
        ]
        makes = self._judge(name, [self._made.get(one, UNSEEN) for one in given])
        numbers = sum(one.numel() for one in given)
        for one in made:
            # Of some of the classes, a softmax would be another than the model's.
            part = self._picks and makes == "logits" and name in MOVES and one.numel() != numbers
            self._made[one] = makes if one.is_floating_point() and not part else None

    def _judge(self, name: str, known: list[Any]) -> Made | None:
        """Returns what an operation makes of tensors of known kinds, None where that may be all."""
        if name in MAKES:
            return MAKES[name]
        if LAYER.fullmatch(name):
            return "logits"
        if name in MOVES:
            return known[0] if known and {*known} == {known[0]} - {UNSEEN} else None
        seen = [kind for kind in known if kind != UNSEEN]  # all else are weights, or constants
        if len(seen) == 1 and (name, seen[0]) in TURNS:
            return TURNS[name, seen[0]]
        if seen and {*seen} <= SQUASHED and name not in LOGARITHMS and not self._picks:
            return "squashed"
        fresh = name.startswith("new_") or name.endswith("_like")
        free = self._picks or fresh or name in BOUNDS or (name in ("mul", "div") and len(seen) > 1)
        return "logits" if {*seen} == {"logits"} and not free else None


def _list_tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yields the tensors in lists and tuples, and in those that these hold."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _list_tensors(value)
