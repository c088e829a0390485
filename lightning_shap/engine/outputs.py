"""Outputs: from what a model returns to one score per class, and to probabilities."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast, get_args

import torch

from lightning_shap.engine.incoming import strip_class
from lightning_shap.errors import ArgumentError, ArgumentTypeError, blame, show
from lightning_shap.explanation.classes import Classes, Returns

# The function returns a tensor. Were that written here, LightningCLI would refuse functions whose
# own annotations do not say so, and offer every subclass of tensors in its help.
Output = Literal["logit", "probability", "value"] | Callable[[Any], Any]

OUTPUTS = "give 'logit', 'probability', 'value' or a function"

NAMES: dict[Returns, str] = {
    "logits": "logit",
    "probabilities": "probability",
    "log-probabilities": "log-probability",
    "values": "value",
}
"""The word for one output of each kind, as it is explained."""


def read_returns(returns: Any, output: Output) -> Returns | None:
    """Returns what somebody says a model returns, None where nobody does.

    Raises:
        ArgumentError: If it is none of the names, or does not go with ``output``.
    """
    if returns is not None and not (isinstance(returns, str) and returns in get_args(Returns)):
        choices = ", ".join(map(repr, get_args(Returns)))
        raise ArgumentError("returns", f"unknown {show(returns)}; give one of {choices}, or None")
    if isinstance(output, str) and output == "value":
        if returns not in (None, "values"):
            raise ArgumentError("returns", f"got {returns!r} with output='value'; give one of them")
        return "values"
    if returns == "values" and isinstance(output, str) and output == "probability":
        raise ArgumentError("output", "got 'probability' with returns='values'; values have none")
    return cast(Returns | None, returns)


def find_logits(raw: Any) -> torch.Tensor:
    """Returns the tensor in an output: itself, ``.logits``, ``["logits"]`` or a tuple's first."""
    if isinstance(raw, torch.Tensor):
        return raw
    logits = raw.get("logits") if isinstance(raw, Mapping) else getattr(raw, "logits", None)
    if isinstance(logits, torch.Tensor):
        return logits
    if isinstance(raw, (tuple, list)) and raw and isinstance(raw[0], torch.Tensor):
        return raw[0]
    named = raw if isinstance(raw, Mapping) else getattr(raw, "__dict__", {})
    held = f" with {', '.join(map(repr, named))}" if named else ""
    raise ArgumentTypeError(
        "model",
        f"returned {type(raw).__name__}{held}, in which no logits were found; return a "
        "tensor (N, K), a tuple that begins with one, a dictionary with 'logits' or an object with "
        "`.logits`, or give `output` a function from the model's output to (N, K)",
    )


def make_probabilities(outputs: torch.Tensor, returns: Returns, multi_label: bool) -> torch.Tensor:
    """Returns the probabilities (N, K) that a model's outputs are, or stand for.

    Args:
        outputs: (N, K), of classes.
        returns: What they are: logits, whose softmax is taken, or the sigmoid of a single one or
            of classes that may coincide; probabilities, or their logarithms.
        multi_label: Several classes may be true at once.
    """
    if returns == "probabilities":
        return outputs
    if returns == "log-probabilities":
        return outputs.exp()
    classes = Classes(outputs.shape[1], multi_label=multi_label)
    return outputs.sigmoid() if classes.independent else outputs.softmax(dim=1)


def make_scorer(output: Output) -> Callable[[Any], torch.Tensor]:
    """Returns the function from a model's raw output to its scores, float64 (N, K).

    Args:
        output: A function of the raw output, or a name. Probabilities are made of the scores by
            :func:`make_probabilities`, once it is known what these are.

    Raises:
        ValueError: If ``output`` is none of these.
    """
    if callable(output):
        return lambda raw: _read_scores(_call(output, raw))
    if not isinstance(output, str):
        raise ArgumentTypeError("output", f"got {show(output)}; {OUTPUTS}")
    if output not in ("logit", "value", "probability"):
        raise ArgumentError("output", f"got {output!r}; {OUTPUTS}")
    return lambda raw: _read_scores(find_logits(raw))


def is_head(raw: Any, scores: torch.Tensor) -> bool:
    """Returns whether scores (N, K) are one of several heads, and not the first one there is.

    Args:
        raw: What the model returned.
        scores: What a function made of it.
    """
    heads = raw.values() if isinstance(raw, Mapping) else raw
    if not isinstance(raw, (Mapping, tuple, list)) or sum(map(_is_head, heads)) < 2:
        return False
    try:
        main = _read_scores(find_logits(raw))
    except ValueError:  # none that goes before the others
        return True
    return main.shape != scores.shape or not torch.equal(main, scores)


def _is_head(part: Any) -> bool:
    return isinstance(part, torch.Tensor) and part.ndim in (1, 2) and part.is_floating_point()


def _call(output: Callable[[Any], Any], raw: Any) -> Any:
    with blame("output", "its function fails on what the model returns"):
        return output(raw)


def _read_scores(scores: Any) -> torch.Tensor:
    if not isinstance(scores, torch.Tensor):
        raise ArgumentTypeError(
            "output", f"gave {type(scores).__name__}, where a tensor (N, K) is needed"
        )
    scores = strip_class(scores)
    if scores.ndim == 1:  # a binary model that drops its only class dimension
        scores = scores[:, None]
    if scores.ndim != 2:
        raise ArgumentError(
            "model",
            f"returned an output of shape {tuple(scores.shape)}, where (N, K) is needed; "
            "give `output` a function that reduces it",
        )
    return widen(scores)


def widen(numbers: torch.Tensor) -> torch.Tensor:
    """Returns numbers in double precision, on the host where the device has none (MPS)."""
    return numbers.cpu().double() if numbers.device.type == "mps" else numbers.double()
