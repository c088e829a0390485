"""Explanations in TensorBoard's event files, where its readers find them for the page.

Each is two values of one event. The facts are a *tensor*, of which TensorBoard reads all steps at
once; the rest is a *blob sequence*, which it reads one by one as they are asked for: the values
and, with the first explanation of some images, what all of them share.
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from lightning_shap.page.data import PageData
from lightning_shap.page.tensorboard import is_tensorboards, write_summary

PLUGIN = "shap"
EXPLANATION, FACTS = "explanation", "facts"  # the ends of tags


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
        DATA_CLASS_TENSOR,
        Summary,
    )

    blobs = [page.values]
    if written.lacks(experiment, page.key):
        blobs.append(page.samples)
    facts = [page.facts_with(numbers)]
    values = [
        _value(f"{tag}/{FACTS}", facts, DATA_CLASS_TENSOR),
        _value(f"{tag}/{EXPLANATION}", blobs, DATA_CLASS_BLOB_SEQUENCE),
    ]
    write_summary(experiment, Summary(value=values), step)


def _value(tag: str, texts: list[bytes], data_class: int) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(texts))])
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=texts)
    plugin_data = SummaryMetadata.PluginData(plugin_name=PLUGIN)
    metadata = SummaryMetadata(plugin_data=plugin_data, data_class=data_class)
    return Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
