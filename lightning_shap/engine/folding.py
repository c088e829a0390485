"""Fold batch norms into the convolutions before them: a twentieth to a fifth of a CPU's time.

Which norm follows which convolution is seen while the model runs, and not read from its code. That
its outputs stay as they were is tried on two images, and else nothing is folded. Nothing depends on
the clock, so that the same arguments give the same bytes.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_weights
from torch.utils.weak import WeakTensorKeyDictionary

from lightning_shap.engine.last_operation import list_tensors
from lightning_shap.isolation.host import Watching
from lightning_shap.isolation.modes import module_of, outside_inference

CONVOLUTIONS = ("convolution", "conv2d")  # the second in inference mode
SAME = 1e-4  # of the outputs, as norms; rounding is 3e-6 at most


class NormFolder(Watching):
    """Watches a model run for convolutions whose outputs go into a batch norm and nowhere else.

    Args:
        model: Whatever is called.
        convolutions: Those of its that :meth:`fold` may change, with weights of their own.
        images: With which it is called; the model may change them.
    """

    def __init__(
        self, model: Callable[..., Any], convolutions: Sequence[nn.Conv2d], images: torch.Tensor
    ) -> None:
        super().__init__()
        self._module, self._images = module_of(model), images[:2].clone()
        self._convolutions = {id(one.weight): one for one in convolutions}
        # How often each kernel, and what it made, was taken by an operation.
        self._uses: Any = WeakTensorKeyDictionary({one.weight: [0] for one in convolutions})
        self._kernels: Any = WeakTensorKeyDictionary()  # by what they made
        self._pairs: list[tuple[torch.Tensor, torch.Tensor, list[int]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self._convolutions:
            return result
        for tensor in list_tensors([args, [*kwargs.values()]]):
            if tensor in self._uses:
                self._uses[tensor][0] += 1
        name = func.overloadpacket.__name__
        if name in CONVOLUTIONS and id(args[1]) in self._convolutions:
            self._kernels[result], self._uses[result] = args[1], [0]
        elif "batch_norm" in name and args[0] in self._kernels and args[1] is not None:
            self._pairs.append((self._kernels[args[0]], args[1], self._uses[args[0]]))
        return result

    def fold(self, call: Callable[[torch.Tensor], torch.Tensor], outputs: torch.Tensor) -> None:
        """Folds what was seen, unless the model's outputs are others then.

        Args:
            call: Calls the model, which this does once more with the first two images: batch norms
                without statistics take no single one.
            outputs: What it returned for all images.
        """
        parts = () if self._module is None else self._module.modules()
        norms = {
            id(weight): part
            for part in parts
            if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None
            for name, weight in part.named_parameters(recurse=False)
            if name == "weight"
        }
        found = [
            (self._convolutions[id(kernel)], norms[id(scale)])
            for kernel, scale, uses in self._pairs
            if id(scale) in norms and uses == self._uses[kernel] == [1]
        ]
        with ExitStack() as undo:
            for convolution, norm in found:
                _fold(convolution, norm, undo)
            if found and _are_alike(call(self._images), outputs[: len(self._images)]):
                undo.pop_all()


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d, undo: ExitStack) -> None:
    """Gives a convolution what the norm does, which is left with what it holds, as an activation.

    Args:
        convolution: Of a copy.
        norm: Of the same copy, in evaluation mode.
        undo: Gets what takes it back.
    """
    kernel, bias = convolution.weight, convolution.bias
    undo.callback(setattr, kernel, "data", kernel.data)
    undo.callback(setattr, convolution, "bias", bias)
    undo.callback(vars(norm).pop, "forward", None)
    assert norm.running_mean is not None  # as for all norms that are folded
    assert norm.running_var is not None
    running = (norm.running_mean, norm.running_var, norm.eps)
    with outside_inference(), torch.no_grad():  # gradients of pixels may be asked for later
        folded, shift = fuse_conv_bn_weights(kernel, bias, *running, norm.weight, norm.bias)
    kernel.data, convolution.bias = folded.data, shift
    vars(norm)["forward"] = nn.Sequential(*norm.children()).forward


def _are_alike(outputs: torch.Tensor, others: torch.Tensor) -> bool:
    if outputs.shape != others.shape:
        return False
    norm = torch.linalg.vector_norm
    return bool(norm(outputs - others) <= SAME * norm(others))
