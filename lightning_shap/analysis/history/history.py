"""The history of one training: its snapshots, the numbers of each, and how it ended."""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_shap.analysis.history.conclusion import Summary, summarize_history
from lightning_shap.analysis.history.numbers import MetricName, measure_maps
from lightning_shap.analysis.history.snapshot import Snapshot
from lightning_shap.explanation.maps import Maps

if TYPE_CHECKING:
    from lightning_shap.explanation.explanation import ImageExplanation

MOST = 64  # epochs that are kept; once there are more, every second one goes
MOST_BYTES = 2**20  # of them in a checkpoint, where every second one goes likewise
VERSION = 1  # of what a checkpoint holds


class History:
    """Takes in one explanation after the other.

    Args:
        metrics: The numbers that are wanted.
    """

    def __init__(self, metrics: Sequence[MetricName]) -> None:
        self.metrics = metrics
        self.begin()

    def begin(self) -> None:
        """Begins a new training."""
        self.control: Snapshot | None = None
        self.epochs: list[Snapshot] = []  # explained ones, in their order
        self._added = 0
        self._stride = 1  # of the epochs but the latest, one in so many is kept
        self._of = ""  # which images they are of, and how explained

    @property
    def snapshots(self) -> list[Snapshot]:
        """The control, where there is one, and the epochs."""
        return [*([] if self.control is None else [self.control]), *self.epochs]

    def add(
        self, explanation: "ImageExplanation", title: str, *, is_control: bool = False
    ) -> dict[str, float]:
        """Keeps an epoch, or the control, and returns its numbers by name."""
        if self._of != (of := _identify(explanation)):
            self.begin()  # there are other samples now, as once a sanity check is over
            self._of = of
        numbers = self.numbers(explanation, self._latest)
        snapshot = Snapshot.of(explanation, title, is_control=is_control)
        if is_control:
            self.control = snapshot
        else:
            self._keep(snapshot)
        return numbers

    def _keep(self, snapshot: Snapshot) -> None:
        if self.epochs and (self._added - 1) % self._stride:
            self.epochs.pop()
        self.epochs.append(snapshot)
        self._added += 1
        if len(self.epochs) > MOST:
            self.epochs = self.epochs[::2]
            self._stride *= 2

    def numbers(
        self, explanation: "ImageExplanation", previous: Maps | None = None
    ) -> dict[str, float]:
        """Returns the numbers of an explanation that is no epoch's, as the final one."""
        same = self.control is not None and self._of == _identify(explanation)
        control = self.control.maps if self.control is not None and same else None
        return measure_maps(explanation, previous, control, self.metrics)

    def end(self, final: "ImageExplanation", half: "ImageExplanation | None" = None) -> Summary:
        """Returns how it ended.

        Args:
            final: The explanation of the model that the training leaves behind.
            half: One of half the evaluations, for a method that does not err by chance.
        """
        return summarize_history(self.control, self.epochs, final, half)

    def state_dict(self) -> dict[str, Any]:
        """Returns what a resumed run needs: the snapshots, fewer epochs where they are large."""
        epochs, stride = self.epochs, self._stride
        while len(epochs) > 2 and sum(len(one.packed) for one in epochs) > MOST_BYTES:
            epochs, stride = [*epochs[:-1:2], epochs[-1]], 2 * stride
        control = [] if self.control is None else [self.control]
        snapshots = [
            torch.from_numpy(np.frombuffer(one.packed, dtype=np.uint8).copy())
            for one in (*control, *epochs)
        ]
        if not snapshots:
            return {}
        state = {"version": VERSION, "of": self._of, "added": self._added, "stride": stride}
        return {**state, "chapters": snapshots}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another run was, if it is of the same images.

        Raises:
            ValueError: If the state is of another version.
            KeyError: If something of it is missing.
        """
        if not state:
            return
        if state["version"] != VERSION:
            raise ValueError(f"version {state['version']}, not {VERSION}")
        snapshots = [Snapshot.unpack(one.numpy().tobytes()) for one in state["chapters"]]
        self._of, self._added, self._stride = state["of"], state["added"], state["stride"]
        self.control = next((one for one in snapshots if one.is_control), None)
        self.epochs = [one for one in snapshots if not one.is_control]

    @property
    def _latest(self) -> Maps | None:
        return self.epochs[-1].maps if self.epochs else None


def _identify(explanation: "ImageExplanation") -> str:
    """Returns what tells explanations of other images, or made in another way, apart."""
    record, images = explanation.record, np.ascontiguousarray(explanation.data)
    return f"{record.method} {record.output} {images.shape} {zlib.crc32(images.data):08x}"
