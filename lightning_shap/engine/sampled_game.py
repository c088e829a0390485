"""The game of SHAP's own expectation: absent regions show one other image after the other."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from lightning_shap.engine.game import CoalitionGame, Coalitions


class SampledGame(CoalitionGame):
    """A coalition game whose outputs are means over some backgrounds.

    All coalitions of an image share its backgrounds, so that a difference of two is no difference
    of what was drawn.

    Args:
        model: As of any game.
        images: Likewise.
        backgrounds: What absent pixels show: tensors of the images' shape, or one
            :class:`.inpainting.Inpainting`.
        options: See :class:`.game.CoalitionGame`.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        images: torch.Tensor,
        backgrounds: Sequence[Any],
        **options: Any,
    ) -> None:
        super().__init__(model, images, backgrounds[0], **options)
        self._backgrounds = [background.to(self.images) for background in backgrounds]

    def play(self, image_indices: Sequence[int] | np.ndarray, coalitions: Coalitions) -> np.ndarray:
        """Returns the outputs under some coalitions; a row for each background."""
        outputs = []
        for background in self._backgrounds:
            self.background = background
            outputs.append(super().play(image_indices, coalitions))
        return outputs[0] if len(outputs) == 1 else np.mean(outputs, axis=0)
