"""Explanations in TensorBoard's event files, where its readers find them for the page.

Each is a *blob sequence*: the facts, the values and, with the first explanation of some images,
what all of them share. TensorBoard reads these one by one, as they are asked for.
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from lightning_shap.page.data import PageData
from lightning_shap.picture_events import is_tensorboards, write_summary

PLUGIN = "shap"
EXPLANATION = "explanation"  # the end of a tag


class Written:
    """Which samples the event files of a writer hold."""

    def __init__(self) -> None:
        self._keys: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()

    def lacks(self, experiment: Any, key: str) -> bool:
        """Whether they must be written, still."""
        return key not in self._keys.get(experiment, ())

    def add(self, experiment: Any, key: str) -> None:
        """They are written."""
        self._keys.setdefault(experiment, set()).add(key)


written = Written()


def add_explanation(
    experiment: Any, tag: str, page: PageData, step: int, numbers: Mapping[str, float]
) -> None:
    """Adds an explanation to a TensorBoard writer, for the page; nothing to one of other makes.

    Args:
        experiment: A ``SummaryWriter``.
        tag: The callback's.
        page: The explanation.
        step: Where it stands.
        numbers: What is logged beside it.
    """
    if not is_tensorboards(experiment):
        return
    from tensorboard.compat.proto.summary_pb2 import (
        DATA_CLASS_BLOB_SEQUENCE,
        Summary,
        SummaryMetadata,
    )
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    blobs = [page.facts_with(numbers), page.values]
    if written.lacks(experiment, page.key):
        blobs.append(page.samples)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(blobs))])
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=blobs)
    metadata = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name=PLUGIN),
        data_class=DATA_CLASS_BLOB_SEQUENCE,
    )
    value = Summary.Value(tag=f"{tag}/{EXPLANATION}", tensor=tensor, metadata=metadata)
    write_summary(experiment, Summary(value=[value]), step)
