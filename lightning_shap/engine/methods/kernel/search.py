"""One image's coalitions: designed beforehand, or searched for where few can be afforded.

With less than two evaluations a patch only a part of the picture can be resolved, and which part
matters shows in the values. SHAP's descent down halves of halves looks there, and a regression over
its coalitions is closer than the Owen values that they stand for. A network that is nearly additive
needs no search: a design then resolves every patch.
"""

import numpy as np

from lightning_shap.engine.methods.descent import Descent
from lightning_shap.engine.methods.kernel.design import (
    LOOKS,
    coalitions_of_boxes,
    single_coalitions,
    tree_of,
)
from lightning_shap.engine.methods.kernel.estimate import design, few
from lightning_shap.engine.regions.boxes import Box

NEARLY_ADDITIVE = 0.01  # of the variance may be left; photographs leave 0.01 to 0.22 of it


class Search:
    """The coalitions of one image, asked for round by round, and their values.

    Args:
        grid: Patches down and across.
        base: (K,), the value of the empty coalition.
        full: (K,), the value of the full coalition.
        max_evals: Values to spend, ``base`` and ``full`` included.
        seed: Chooses the coalitions of a design.

    Attributes:
        coalitions: bool (R, n), those evaluated so far.
        values: float64 (R, K), the game at them.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        base: np.ndarray,
        full: np.ndarray,
        *,
        max_evals: int,
        seed: int,
    ) -> None:
        self.grid, self.base, self.full, self.seed = grid, base, full, seed
        self.rows = max(0, max_evals - 2)
        self.coalitions = np.zeros((0, grid[0] * grid[1]), dtype=bool)
        self.values = np.zeros((0, len(base)))
        self._planned = self.coalitions
        self._descent: Descent[Box] | None = None
        if few(self.rows, self.coalitions.shape[1]):
            self._descent = Descent(
                tree_of(grid), base, full, max_rows=self.rows, rows_per_round=LOOKS
            )
        else:
            self._planned = design(grid, max_evals, seed)

    def ask(self) -> np.ndarray:
        """Returns the coalitions to evaluate next, bool (R, n); none when there are no more."""
        if self._descent is not None:
            return coalitions_of_boxes(self.grid, self._descent.ask())
        asked, self._planned = self._planned, self._planned[:0]
        return asked

    def answer(self, coalitions: np.ndarray, values: np.ndarray) -> None:
        """Takes the values (R, K) of the coalitions asked for."""
        self.coalitions = np.vstack([self.coalitions, coalitions])
        self.values = np.vstack([self.values, values])
        if self._descent is not None and len(values):
            self._descent.answer(values)
            if len(self.coalitions) == LOOKS and self._nearly_additive():
                self._descent = None
                self._planned = single_coalitions(self.grid, self.rows - LOOKS, self.seed) > 0

    def _nearly_additive(self) -> bool:
        """Returns whether quarters add the same with the other half absent and present."""
        everyone = np.ones((1, self.coalitions.shape[1]))
        present = np.vstack([0 * everyone, everyone, self.coalitions])
        values = np.vstack([self.base, self.full, self.values])
        values = values - values.mean(0)
        present = present - present.mean(0)
        left = values - present @ np.linalg.lstsq(present, values, rcond=None)[0]
        return bool(((left**2).sum(0) <= NEARLY_ADDITIVE * (values**2).sum(0)).all())
