"""What is explained: from a model's raw output to one score per class."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from lightning_shap.classes import Classes
from lightning_shap.errors import ArgumentError, ArgumentTypeError, naming, shown

# The function returns a tensor. Were that written here, LightningCLI would refuse functions whose
# own annotations do not say so, and offer every subclass of tensors in its help.
Output = Literal["logit", "probability", "value"] | Callable[[Any], Any]

OUTPUTS = "give 'logit', 'probability', 'value' or a function"


def logits_of(raw: Any) -> torch.Tensor:
    """The tensor in an output: itself, ``.logits``, ``["logits"]`` or a tuple's first item."""
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


def probabilities_of(logits: torch.Tensor, multi_label: bool) -> torch.Tensor:
    """Softmax over the classes; a sigmoid for one output or for classes that may coincide."""
    classes = Classes(logits.shape[1], multi_label=multi_label)
    return logits.sigmoid() if classes.independent else logits.softmax(dim=1)


def value_function(output: Output, multi_label: bool = False) -> Callable[[Any], torch.Tensor]:
    """The function from a model's raw output to float64 scores (N, K).

    Args:
        output: ``"logit"``, ``"probability"``, ``"value"`` or a function of the raw output.
        multi_label: Probabilities are sigmoids, each class for itself.

    Raises:
        ValueError: If ``output`` is none of these.
    """
    if callable(output):
        return lambda raw: _rows_of_scores(_called(output, raw))
    if not isinstance(output, str):
        raise ArgumentTypeError("output", f"got {shown(output)}; {OUTPUTS}")
    if output in ("logit", "value"):
        return lambda raw: _rows_of_scores(logits_of(raw))
    if output == "probability":
        return lambda raw: probabilities_of(_rows_of_scores(logits_of(raw)), multi_label)
    raise ArgumentError("output", f"got {output!r}; {OUTPUTS}")


def _called(output: Callable[[Any], Any], raw: Any) -> Any:
    with naming("output", "its function fails on what the model returns"):
        return output(raw)


def _rows_of_scores(scores: Any) -> torch.Tensor:
    if not isinstance(scores, torch.Tensor):
        raise ArgumentTypeError(
            "output", f"gave {type(scores).__name__}, where a tensor (N, K) is needed"
        )
    if scores.ndim == 1:  # a binary model that drops its only class dimension
        scores = scores[:, None]
    if scores.ndim != 2:
        raise ArgumentError(
            "model",
            f"returned an output of shape {tuple(scores.shape)}, where (N, K) is needed; "
            "give `output` a function that reduces it",
        )
    # MPS has no float64, so the accumulation starts on the host there.
    return scores.cpu().double() if scores.device.type == "mps" else scores.double()
