"""Names that libraries keep to themselves: few, known, there, and not missed where they go."""

import ast
import random
import re
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch._dynamo.eval_frame
import torchmetrics
from lightning_fabric import Fabric
from lightning_fabric.utilities.distributed import DistributedSamplerWrapper
from torch.distributed import distributed_c10d as c10d
from torch.utils import _python_dispatch as modes
from torch.utils.tensorboard import SummaryWriter

import lightning_shap
from lightning_shap.isolation.host import run_as_written, undisturbed

PACKAGE = Path(lightning_shap.__file__).parent


def is_private(name):
    return bool(re.fullmatch(r"_[a-zA-Z]\w*", name))


def borrowed_names():
    """Private names that the package uses and does not define, with the files that do."""
    trees = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    own, used = set(), {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                own.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                own |= {node.attr} if getattr(node.value, "id", "") in {"self", "cls"} else set()
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
    for path, tree in trees.items():
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        endings = {part for text in texts for part in text.values}  # of names of our own
        for node in ast.walk(tree):
            names = []
            if node in endings:
                continue
            if isinstance(node, ast.Attribute):
                names = [node.attr]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = [node.value]
            elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("lightn"):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            for name in filter(is_private, names):
                if name not in own:
                    used.setdefault(name, set()).add(path.relative_to(PACKAGE).as_posix())
    return used


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    experiment = SummaryWriter(tmp_path_factory.mktemp("events"))
    yield experiment
    experiment.close()


def event_writer(experiment):
    return experiment._get_file_writer().event_writer


def thread_of(experiment):
    return event_writer(experiment)._async_writer._worker


# Whether each is still what it was.
KNOWN = {
    "_modules": lambda e: "_modules" in vars(torch.nn.Module()),
    # Lightning: the step at which it logs what an epoch ends with
    "_batches_that_stepped": lambda _: hasattr(
        pl.Trainer(logger=False).fit_loop.epoch_loop, "_batches_that_stepped"
    ),
    # torch: a copied tensor keeps the class that its owner gave it
    "_make_subclass": lambda e: isinstance(
        torch.Tensor._make_subclass(torch.nn.Parameter, torch.zeros(1)), torch.nn.Parameter
    ),
    # TensorBoard's writer: pictures at a tenth of the cost, events taken back from a full disk
    "_get_file_writer": lambda e: callable(e._get_file_writer),
    "_writer": lambda e: event_writer(e)._async_writer._writer,
    "_async_writer": lambda e: event_writer(e)._async_writer,
    "_file_name": lambda e: Path(event_writer(e)._file_name).is_file(),
    "_general_file_writer": lambda e: event_writer(e)._general_file_writer.fs_supports_append,
    "_byte_queue": lambda e: event_writer(e)._async_writer._byte_queue.maxsize >= 0,
    "_worker": thread_of,
    "_flush_secs": lambda e: thread_of(e)._flush_secs > 0,
    "_AsyncWriterThread": lambda e: type(thread_of(e)).__name__ == "_AsyncWriterThread",
    # torch: compiled code that runs as it is written, modes that see each operation
    "_stance": lambda _: torch._dynamo.eval_frame._stance.stance,
    "_set_stance": lambda _: callable(torch._dynamo.eval_frame._set_stance),
    "_dynamo": lambda _: torch._dynamo,
    "_python_dispatch": lambda _: modes.TorchDispatchMode,
    "_push_mode": lambda _: callable(modes._push_mode),
    "_pop_mode": lambda _: callable(modes._pop_mode),
    "_get_current_dispatch_mode_stack": lambda _: modes._get_current_dispatch_mode_stack() == [],
    "_torchdynamo_orig_callable": lambda _: torch.compile(abs_of)._torchdynamo_orig_callable,
    "_compiled_call_impl": lambda _: torch.nn.Module._compiled_call_impl is None,
    "_orig_mod": lambda _: torch.compile(torch.nn.Identity())._orig_mod.training,
    "_c10d_functional": lambda _: torch.ops._c10d_functional.all_reduce,
    # torch: the store that ranks find each other by
    "_get_default_store": lambda _: callable(c10d._get_default_store),
    # torch: what a module and a tensor are made of, what a worker knows of itself
    "_parameters": lambda _: "_parameters" in vars(torch.nn.Module()),
    "_buffers": lambda _: "_buffers" in vars(torch.nn.Module()),
    "_version": lambda _: torch.zeros(1).add_(1)._version == 1,
    "_C": lambda _: torch._C.DisableTorchFunctionSubclass(),
    "_utils": lambda _: torch.utils.data._utils.worker,
    "_worker_info": lambda _: torch.utils.data._utils.worker._worker_info is None,
    # NumPy's and Python's own generators
    "_rand": lambda _: np.random.mtrand._rand is np.random.rand.__self__,
    "_bit_generator": lambda _: np.random.mtrand._rand._bit_generator,
    "_inst": lambda _: random._inst is random.getstate.__self__,
    # Lightning: what prepares a batch, what its loaders wrap
    "_compiler_ctx": lambda _: "_compiler_ctx" in vars(pl.LightningModule()),
    "_trainer": lambda _: "_trainer" in vars(pl.LightningModule()),
    "_data_source": lambda _: pl.Trainer(logger=False).fit_loop.epoch_loop.val_loop._data_source,
    "_strategy": lambda _: (
        Fabric(accelerator="cpu", devices=1).setup(torch.nn.Identity())._strategy.precision
    ),
    "_sampler": lambda _: (
        DistributedSamplerWrapper([0, 1], num_replicas=1, rank=0).dataset._sampler == [0, 1]
    ),
    # torchmetrics' own way to write a metric's plot
    "_plot": lambda _: callable(torchmetrics.Metric._plot),
}

# Python's own, for good.
OF_PYTHON = {"_exit", "_fields", "_getframe"}
ENDINGS = {"_like"}  # of public names, such as `zeros_like`


def abs_of(value):
    return abs(value)


def test_no_other_is_used():
    used = borrowed_names().keys() - OF_PYTHON - ENDINGS
    assert used <= KNOWN.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_it_is_still_there(name, writer):
    assert KNOWN[name](writer)


def test_without_torchs_own_name_of_it_the_stance_is_the_default_again(monkeypatch):
    stances = []
    monkeypatch.delattr("torch._dynamo.eval_frame._set_stance")
    monkeypatch.setattr("torch.compiler.set_stance", stances.append)
    undisturbed(run_as_written)
    assert stances[0] == "force_eager"
    assert stances[-1] == "default"
