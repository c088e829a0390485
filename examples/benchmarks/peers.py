"""Estimators of Shapley values to measure against, each as (game, budget, seed) -> values.

Every one sees a game only through its value function, and may ask for `budget` values of it, the
empty and the full coalition included. What cannot be done within a budget is left out.
"""

import contextlib
import io
import warnings
from collections.abc import Callable

import numpy as np
import torch
from games import Game

from lightning_shap.engine.methods.kernel.estimate import ShapleyEstimate, estimate, spend
from lightning_shap.engine.regions.boxes import Box

Estimator = Callable[[Game, int, int], np.ndarray | None]


def ours(game: Game, budget: int, seed: int) -> ShapleyEstimate:
    """This package's `method="kernel"`."""
    base, full = game.value(np.stack([np.zeros(game.players, bool), np.ones(game.players, bool)]))
    ends = np.array([[base]]), np.array([[full]])
    (spent,) = spend(
        game.grid,
        *ends,
        lambda chosen: [game.value(each)[:, None] for each in chosen],
        max_evals=budget,
        seed=seed,
    )
    return estimate(*spent, ends[0][0], ends[1][0], game.grid)


def shap_kernel(game: Game, budget: int, seed: int) -> np.ndarray:
    """KernelExplainer of shap, all features kept."""
    import shap

    np.random.seed(seed)
    explainer = shap.KernelExplainer(_on_floats(game), np.zeros((1, game.players)))
    return explainer.shap_values(
        np.ones(game.players), nsamples=budget - 2, l1_reg=False, silent=True
    )


def shap_permutation(game: Game, budget: int, seed: int) -> np.ndarray | None:
    """PermutationExplainer of shap."""
    import shap

    if budget < 2 * game.players + 1:
        return None
    masker = shap.maskers.Independent(np.zeros((1, game.players)))
    explainer = shap.PermutationExplainer(_on_floats(game), masker, seed=seed)
    found = explainer(np.ones((1, game.players)), max_evals=budget, silent=True)
    return found.values[0]


def shap_sampling(game: Game, budget: int, seed: int) -> np.ndarray:
    """SamplingExplainer of shap."""
    import shap

    np.random.seed(seed)
    explainer = shap.SamplingExplainer(_on_floats(game), np.zeros((1, game.players)))
    # It counts a present and an absent feature as one sample.
    return explainer.shap_values(
        np.ones(game.players), nsamples=budget // 2, min_samples_per_feature=2, silent=True
    )


def shap_partition(game: Game, budget: int, seed: int) -> np.ndarray:
    """PartitionExplainer of shap over the halving tree of rectangles: Owen values."""
    import shap

    np.random.seed(seed)
    masker = shap.maskers.Partition(np.zeros((1, game.players)), clustering=_rectangles(*game.grid))
    explainer = shap.PartitionExplainer(_on_floats(game), masker)
    found = explainer(np.ones((1, game.players)), max_evals=budget, silent=True)
    return found.values[0]


def captum_kernel(game: Game, budget: int, seed: int) -> np.ndarray:
    """KernelShap of captum."""
    from captum.attr import KernelShap

    torch.manual_seed(seed)
    np.random.seed(seed)
    explainer = KernelShap(_on_tensors(game))
    return explainer.attribute(torch.ones(1, game.players), n_samples=budget - 2)[0].numpy()


def captum_sampling(game: Game, budget: int, seed: int) -> np.ndarray | None:
    """ShapleyValueSampling of captum."""
    from captum.attr import ShapleyValueSampling

    orders = (budget - 2) // (game.players - 1)
    if not orders:
        return None
    torch.manual_seed(seed)
    np.random.seed(seed)
    explainer = ShapleyValueSampling(_on_tensors(game))
    return explainer.attribute(torch.ones(1, game.players), n_samples=orders)[0].numpy()


def from_shapiq(name: str, **options: object) -> Estimator:
    """One of shapiq's approximators."""

    def run(game: Game, budget: int, seed: int) -> np.ndarray:
        import shapiq
        from shapiq.approximator import ProxySPEX

        empty = game.value(np.zeros((1, game.players), dtype=bool))[0]
        kind = getattr(shapiq.approximator, name)
        approximator = kind(n=game.players, random_state=seed, **options)
        found = approximator.approximate(
            budget, lambda present: game.value(np.atleast_2d(present).astype(bool)) - empty
        )
        if isinstance(approximator, ProxySPEX) or found.index != "SV":
            return np.array([found[(player,)] for player in range(game.players)])
        return found.get_n_order_values(1)

    return run


def boosted_trees(*, corrected: bool) -> Estimator:
    """Returns what fits trees of depth 3 to pairs of coalitions and takes their Shapley values.

    Corrected by those of what the trees leave, by weighted least squares, as ProxySHAP does.
    """

    def run(game: Game, budget: int, seed: int) -> np.ndarray:
        import lightgbm
        import shap

        rng, players = np.random.default_rng(seed), game.players
        sizes = rng.integers(1, players, ((budget - 2) // 2, 1))
        some = rng.random((len(sizes), players)).argsort(1) < sizes
        present = np.vstack([np.ones(players, bool), some, np.zeros(players, bool), ~some])
        values = game.value(present)
        trees = lightgbm.LGBMRegressor(
            n_estimators=300,
            max_depth=3,
            min_child_samples=5,
            random_state=seed,
            n_jobs=1,
            verbosity=-1,
        ).fit(present.astype(float), values)
        explainer = shap.TreeExplainer(trees, np.zeros((1, players)))
        found = explainer.shap_values(np.ones((1, players)))[0]
        left = values - trees.predict(present.astype(float))
        odd = (left[: len(some) + 1] - left[len(some) + 1 :]) / 2
        if corrected:
            # The first pair, of everyone and nobody, is met exactly: by a large weight.
            root = np.append(1e4, 1 / np.sqrt(sizes * (players - sizes)))
            signs = np.where(present[: len(odd)], 0.5, -0.5)
            found = found + np.linalg.lstsq(signs * root[:, None], odd * root, rcond=None)[0]
        return found + (values[0] - values[len(odd)] - found.sum()) / players

    return run


PEERS: dict[str, Estimator] = {
    "shap Kernel": shap_kernel,
    "shap Permutation": shap_permutation,
    "shap Sampling": shap_sampling,
    "shap Partition": shap_partition,
    "captum KernelShap": captum_kernel,
    "captum Sampling": captum_sampling,
    "KernelSHAP": from_shapiq("KernelSHAP"),
    "KernelSHAP paired": from_shapiq("KernelSHAP", pairing_trick=True),
    "kADDSHAP": from_shapiq("kADDSHAP"),
    "kADDSHAP paired": from_shapiq("kADDSHAP", pairing_trick=True),
    "SVARM": from_shapiq("SVARM", pairing_trick=True),
    "PermutationSV": from_shapiq("PermutationSamplingSV"),
    "UnbiasedKernelSHAP": from_shapiq("UnbiasedKernelSHAP", pairing_trick=True),
    "boosted trees": boosted_trees(corrected=False),
    "boosted trees, corrected": boosted_trees(corrected=True),
    "ProxySPEX": from_shapiq("ProxySPEX", index="SV", max_order=1),
}


def attempt(estimator: Estimator, game: Game, budget: int, seed: int) -> np.ndarray | None:
    """The estimator's values, or None where it cannot work within the budget."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(ValueError, IndexError, np.linalg.LinAlgError),
    ):
        warnings.simplefilter("ignore")
        found = estimator(game, budget, seed)
        if found is not None and np.isfinite(found).all():
            return np.asarray(found, dtype=float)
    return None


def _on_floats(game: Game) -> Callable[[np.ndarray], np.ndarray]:
    return lambda present: game.value(np.asarray(present) > 0.5)


def _on_tensors(game: Game) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda present: torch.from_numpy(game.value(present.numpy() > 0.5))


def _rectangles(rows: int, columns: int) -> np.ndarray:
    """The halving tree of rectangles as a SciPy linkage, as shap's image masker builds it."""
    merges: list[tuple[int, int, int, int]] = []

    def build(box: Box) -> tuple[int, int, int]:
        halves = box.halve()
        if halves is None:
            return box.top * columns + box.left, 1, 0
        (first, many, deep), (second, more, deeper) = (build(half) for half in halves)
        depth = 1 + max(deep, deeper)
        merges.append((first, second, depth, many + more))
        return rows * columns + len(merges) - 1, many + more, depth

    build(Box(0, rows, 0, columns, 0, 1))
    return np.array(merges, dtype=float)
