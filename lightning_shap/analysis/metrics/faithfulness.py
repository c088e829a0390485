"""Metrics of explanations: does the output follow where the attributions point?

Source: Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation", 2018.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch

from lightning_shap.analysis.metrics.mean_of_maps import ExplanationMetric
from lightning_shap.analysis.metrics.rankings import Rankings, rank_all, read_inputs
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.incoming import check_model
from lightning_shap.engine.maskers import MaskerLike, paint_backgrounds
from lightning_shap.engine.outputs import Output
from lightning_shap.engine.question import Question
from lightning_shap.engine.sampled_game import SampledGame
from lightning_shap.errors import ArgumentError, check_count
from lightning_shap.explanation.classes import Returns
from lightning_shap.isolation.host import seed_all
from lightning_shap.isolation.isolated import isolating


class _AreaUnderCurve(ExplanationMetric):
    """Follows the output while pixels change sides, step by step: insertion or deletion.

    The curve is kept and not its area: the area of the mean curve is the mean of the areas.
    """

    name: ClassVar[str]
    removes: ClassVar[bool]

    curve_sum: torch.Tensor
    random_curve_sum: torch.Tensor

    def __init__(
        self,
        steps: int = 20,
        masker: MaskerLike = "blur",
        output: Output = "probability",
        returns: Returns | None = None,
        multi_label: bool = False,
        random_maps: int = 1,
        batch_size: int = 64,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.question = Question(
            masker=masker,
            output=output,
            returns=returns,
            multi_label=multi_label,
            batch_size=batch_size,
            seed=seed,
        )
        ends_alone = "with one, every map has the same curve"
        self.steps = check_count("steps", steps, least=2, why=ends_alone)
        self.random_maps = check_count("random_maps", random_maps, least=0)
        points = torch.zeros(self.steps + 1, dtype=torch.float32)
        self.add_state("curve_sum", points, "sum")
        self.add_state("random_curve_sum", points.clone(), "sum")

    @isolating("model")
    def update(
        self,
        model: Callable[..., Any],
        explanation: Any,
        images: torch.Tensor | None = None,
        targets: Any = None,
    ) -> None:
        """Follows the model's output for some images in the order of their attributions.

        Args:
            model: The explained model, as :func:`lightning_shap.explain` takes it.
            explanation: What ``explain`` returned or a slice of it, or attributions (N, H, W) or
                (N, C, H, W).
            images: (N, C, H, W), as the model takes them; those of the explanation where None.
            targets: The explained classes, (N,) or (N, K'); those of the explanation where None.

        Raises:
            ValueError: If shapes do not fit, or attributions are not finite.
        """
        check_model(model)
        maps, images, classes = read_inputs(explanation, images, targets)
        pixels = maps[0].size
        if self.steps > pixels:
            raise ArgumentError(
                "steps", f"got {self.steps}; give at most the images' {pixels} pixels"
            )
        seed_all(self.question.seed)
        masker, seed = self.question.masker, self.question.seed
        game = SampledGame(
            model,
            images,
            paint_backgrounds(masker, images, rows=self.steps, seed=seed),
            **self._asked(explanation),
            multi_label=self.question.multi_label,
            batch_size=self.question.batch_size,
        )
        ranks = rank_all(maps, images, self.random_maps, self.question.seed)
        sums = torch.from_numpy(self._follow(game, ranks, classes).sum(0)).to(self.curve_sum)
        self.maps = self.maps + classes.size
        self.curve_sum = self.curve_sum + sums[0]
        if self.random_maps:
            self.random_curve_sum = self.random_curve_sum + sums[1:].mean(0)

    def compute(self) -> torch.Tensor:
        """Returns how much better than random maps of the same regions; the area without these."""
        areas = self._areas()
        return areas.get(f"{self.name}_gap", areas[self.name])

    def areas(self) -> dict[str, torch.Tensor]:
        """Returns the mean area, that of random maps, and how much better than theirs it is.

        Of all processes, so that each of them has to ask.
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            process_group=self.process_group,
            should_sync=self.sync_on_compute,
            distributed_available=self.distributed_available_fn,
        ):
            return self._areas()

    @property
    def curve(self) -> torch.Tensor:
        """The mean output (steps + 1,) before the first step, after it, and so on to the last.

        Of this process alone.
        """
        return self.curve_sum / self.maps

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """True of the gap always, of the area where pixels appear."""
        return self.random_maps > 0 or not self.removes

    def _asked(self, explanation: Any) -> dict[str, Any]:
        """Returns what is followed, and of what it is made."""
        output = self.question.output
        known = getattr(getattr(explanation, "record", None), "returns", None)
        returns = self.question.returns or known
        no_classes = returns == "values" and output == "probability"
        return {"output": "value" if no_classes else output, "returns": returns}

    def _areas(self) -> dict[str, torch.Tensor]:
        area = self._area(self.curve_sum)
        if not self.random_maps:
            return {self.name: area}
        random = self._area(self.random_curve_sum)
        gap = random - area if self.removes else area - random
        return {self.name: area, f"{self.name}_random": random, f"{self.name}_gap": gap}

    def _area(self, curve_sum: torch.Tensor) -> torch.Tensor:
        return torch.trapezoid(curve_sum / self.maps, dx=1 / self.steps)

    def _follow(self, game: CoalitionGame, ranks: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Returns outputs (N, M, steps + 1) along the rankings (N, M, H, W)."""
        images, maps, height, width = ranks.shape
        counts = np.linspace(0, height * width, self.steps + 1).round().astype(np.int64)
        # All curves of an image have their first and last point in common.
        of_ends = np.repeat(np.arange(images), 2) * maps
        of_steps = np.repeat(np.arange(images * maps), self.steps - 1)
        rankings = np.concatenate([of_ends, of_steps])
        coalitions = Rankings(
            ranks.reshape(-1, height, width),
            rankings,
            np.concatenate(
                [np.tile(counts[[0, -1]], images), np.tile(counts[1:-1], images * maps)]
            ),
            removes=self.removes,
        )
        scores = game.play(rankings // maps, coalitions)
        wrong = classes[(classes < 0) | (classes >= scores.shape[1])]
        if wrong.size:
            raise ArgumentError(
                "targets", f"hold {wrong[0]}, but the model has {scores.shape[1]} classes"
            )
        scores = np.take_along_axis(scores, classes[rankings // maps, None], axis=1)[:, 0]
        ends = scores[: 2 * images].reshape(images, 1, 2).repeat(maps, axis=1)
        steps = scores[2 * images :].reshape(images, maps, self.steps - 1)
        return np.concatenate([ends[..., :1], steps, ends[..., 1:]], axis=-1)


class InsertionAUC(_AreaUnderCurve):
    """Area under the insertion curve: how early the output rises as pixels appear.

    Pixels appear on the masker's background in steps, those of the highest attribution first. All
    channels of a pixel appear at once, by the sum of their attributions; pixels of equal
    attribution, such as those of one region, in reading order.

    ``compute`` returns the area minus that of maps of the same regions in random order, a tensor as
    of any metric: higher is better, and 0 is no better than chance. The area alone says little,
    since coarse regions uncover whole objects at once, so that any blocky map does well, even a
    random one. ``areas`` returns ``insertion_auc``, ``insertion_auc_random`` and their difference
    ``insertion_auc_gap``, and ``curve`` the mean curve; ``random_maps=0`` gives the area of RISE.

    Metrics that wrap others work as usual. ``BootStrapper`` draws from tensors alone: give it
    attributions, images and targets as tensors, by name and before the model.

    Args:
        steps: Steps in which the pixels appear. An image costs ``2 + (steps - 1) * (1 +
            random_maps)`` model rows.
        masker: What absent pixels show, as in :func:`lightning_shap.explain`; RISE, and shap's
            examples, blur.
        output: What is followed, as in ``explain``.
        returns: What the model returns, as in ``explain``; what the explanation says where None.
        multi_label: Probabilities are sigmoids, as in ``explain``.
        random_maps: Random maps that each map is held against; 0 for none, and the plain area.
        batch_size: Rows per model call.
        seed: Seed of the random maps.
        kwargs: See ``torchmetrics.Metric``.

    Raises:
        ValueError: If an argument's value will not do.

    Example:
        >>> import torch
        >>> from lightning_shap import InsertionAUC
        >>> def model(images):  # sees the upper half alone
        ...     return images[:, 0, :2].mean((1, 2))[:, None]
        >>> attributions = torch.zeros(1, 4, 4)
        >>> attributions[0, :2] = 1.0
        >>> metric = InsertionAUC(steps=4, masker=0.0, output="logit", random_maps=100)
        >>> metric.update(model, attributions, images=torch.ones(1, 1, 4, 4), targets=[0])
        >>> metric.compute()  # maps that order the two halves at random have 0.45
        tensor(0.3000)
        >>> metric.areas()["insertion_auc"]
        tensor(0.7500)
        >>> metric.curve
        tensor([0.0000, 0.5000, 1.0000, 1.0000, 1.0000])
    """

    name = "insertion_auc"
    removes = False


class DeletionAUC(_AreaUnderCurve):
    """Area under the deletion curve: how early the output falls as pixels disappear.

    As :class:`InsertionAUC`, the other way round: from the whole image, those of the highest
    attribution disappear first, and a lower area is better. ``compute`` returns the area of the
    random maps minus that of the attributions, so that higher is better in both.

    Args:
        kwargs: Those of :class:`InsertionAUC`, ``steps`` being those in which the pixels disappear.
            With ``random_maps=0`` it is the plain area, of which a lower one is better.

    Example:
        >>> import torch
        >>> from torchmetrics import MetricCollection
        >>> from lightning_shap import DeletionAUC, InsertionAUC, explain
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> explanation = explain(model, torch.rand(2, 1, 8, 8), max_evals=20, topk=1)
        >>> metrics = MetricCollection([InsertionAUC(steps=8), DeletionAUC(steps=8)])
        >>> metrics.update(model, explanation)
        >>> sorted(metrics.compute())
        ['DeletionAUC', 'InsertionAUC']
    """

    name = "deletion_auc"
    removes = True
