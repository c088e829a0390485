"""Twins of tensors: the same values, and the same memory shared among the twins."""

import copy
from collections import defaultdict
from collections.abc import Sequence

import torch

PLAIN = (torch.Tensor, torch.nn.Parameter)


def tensor_twins(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
    """For each tensor one of the same values, strides and class, outside of any graph.

    Those that share memory get twins that share theirs, as the flat weights of an LSTM do; a
    deep copy of parameters would give each its own.

    Args:
        tensors: All different.

    Returns:
        Their twins; None for the kinds that know best themselves how they are copied.
    """
    sharing: dict[tuple[torch.device, int], list[torch.Tensor]] = defaultdict(list)
    for tensor in tensors:
        if _is_plain(tensor):
            sharing[_memory_of(tensor)].append(tensor)
    memories = {
        key: group[0].untyped_storage().clone()
        for key, group in sharing.items()
        if len(group) > 1 and key[1]
    }
    return [_twin(tensor, memories) for tensor in tensors]


def _twin(
    tensor: torch.Tensor, memories: dict[tuple[torch.device, int], torch.UntypedStorage]
) -> torch.Tensor | None:
    if not _is_plain(tensor):
        return None if tensor.is_leaf else copy.deepcopy(tensor.detach())
    values = tensor.detach()
    memory = memories.get(_memory_of(tensor))
    if memory is None:
        twin = values.clone(memory_format=torch.preserve_format)
    else:
        twin = values.new_empty(0)
        twin.set_(memory, values.storage_offset(), values.size(), values.stride())
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin.requires_grad_(tensor.requires_grad and tensor.is_leaf)


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is no more than numbers in memory."""
    return (
        type(tensor) in PLAIN
        and tensor.layout is torch.strided
        and not (tensor.is_quantized or tensor.is_meta or tensor.is_nested)
        and not (tensor.is_conj() or tensor.is_neg())
    )


def _memory_of(tensor: torch.Tensor) -> tuple[torch.device, int]:
    return tensor.device, tensor.untyped_storage().data_ptr()
