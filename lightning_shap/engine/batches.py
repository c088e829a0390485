"""Explanations of any number of images, batch by batch."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from lightning_shap.engine.explain import explain
from lightning_shap.errors import ArgumentError, ArgumentTypeError, show
from lightning_shap.explanation.explanation import ImageExplanation


def explain_batches(
    model: Callable[..., Any], batches: Iterable[Any], **arguments: Any
) -> Iterator[ImageExplanation]:
    """Explains one batch after the other, as each is asked for, and keeps none.

    An image is explained as :func:`lightning_shap.explain` would explain its batch, so that data of
    any length takes the memory of one batch.

    Args:
        model: As ``explain`` takes it.
        batches: A DataLoader, or whatever yields images (N, C, H, W) or begins each batch with them
            and, where there are some, their labels.
        arguments: Those of ``explain`` but ``images`` and ``labels``.

    Yields:
        The explanation of each batch.

    Raises:
        ValueError: As ``explain``, once there is a batch.
        TypeError: Likewise, or if a batch does not begin with images.

    Example:
        >>> import torch, lightning_shap
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> data = TensorDataset(torch.rand(6, 1, 8, 8), torch.arange(6) % 3)
        >>> loader = DataLoader(data, batch_size=4)
        >>> [len(e) for e in lightning_shap.explain_batches(model, loader, max_evals=20, topk=1)]
        [4, 2]
    """
    if "labels" in arguments:
        raise ArgumentError("labels", "those of all batches were given; give (images, labels) each")
    for batch in batches:
        parts = batch if isinstance(batch, (list, tuple)) else (batch,)
        if not parts or not isinstance(parts[0], torch.Tensor):
            raise ArgumentTypeError(
                "batches", f"got {show(batch)}; give images (N, C, H, W), or (images, labels)"
            )
        yield explain(model, parts[0], labels=parts[1] if len(parts) > 1 else None, **arguments)
