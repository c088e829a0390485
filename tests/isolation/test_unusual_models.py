"""Models that change while they are called, in ways of their own: trained to the same bits."""

import gc
import threading
import warnings
import weakref
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, seed_everything
from tiny_training import (
    CLASSES,
    TinyClassifier,
    lightning_warns,
    random_states,
    same,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)
from torch import nn
from torch.nn.functional import batch_norm, dropout
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from lightning_shap import ShapCallback

pytestmark = [
    pytest.mark.usefixtures("blank_pictures"),
    *lightning_warns,
    pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated"),
    pytest.mark.filterwarnings("ignore:.*reduce_range will be deprecated"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.*recommended to use .*sync_dist"),
    pytest.mark.filterwarnings("ignore:You have overridden .* in .LightningModule. but"),
]


class Plain(TinyClassifier):
    """No dropout, so that what is remembered is what differs."""

    def __init__(self):
        super().__init__(dropout=0.0)
        self.begin()

    def begin(self):
        """Whatever a model adds."""


class StockQat(Plain):
    """Fused observers write their minima and maxima past the version counter."""

    def begin(self):
        config = torch.ao.quantization.get_default_qat_qconfig("x86")
        self.net.train()
        self.net.qconfig = config
        self.net = torch.ao.quantization.prepare_qat(self.net)


class FxQat(Plain):
    """The same by the graph mode."""

    def begin(self):
        from torch.ao.quantization import get_default_qat_qconfig_mapping
        from torch.ao.quantization.quantize_fx import prepare_qat_fx

        self.net = prepare_qat_fx(
            self.net.train(), get_default_qat_qconfig_mapping("x86"), (torch.rand(2, 1, 8, 8),)
        )


class WritesData(Plain):
    def begin(self):
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls.data += 1
        return self.net(images) * (1 + 0.01 * self.calls)


class WritesThroughNumpy(Plain):
    def begin(self):
        self.register_buffer("calls", torch.zeros(2))

    def forward(self, images):
        self.calls.numpy()[...] += 1
        return self.net(images) * (1 + 0.01 * self.calls[0])


class AlwaysNorms(Plain):
    """Its running statistics follow each batch, in evaluation too."""

    def begin(self):
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("variance", torch.ones(1))

    def forward(self, images):
        images = batch_norm(images, self.mean, self.variance, training=True)
        return self.net(images) + self.mean


class ResizesBuffer(Plain):
    """At its first call, which is an explanation's."""

    def begin(self):
        self.register_buffer("template", torch.zeros(0))

    def forward(self, images):
        if not len(self.template):
            self.template.resize_(images[0].shape).copy_(images[0])
        return self.net(images - 0.1 * self.template)


class Scripted(Plain):
    def begin(self):
        self.net = torch.jit.script(self.net)


class Traced(Plain):
    def begin(self):
        self.net = torch.jit.trace(self.net, torch.rand(2, 1, 8, 8), check_trace=False)


class CountsInScript(Plain):
    def begin(self):
        class Counts(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("calls", torch.zeros(1))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                self.calls.add_(1)
                return x * (1 + 0.01 * self.calls)

        self.counts = torch.jit.script(Counts())
        self.counts.note = ["of Python's own"]

    def forward(self, images):
        self.counts.note.append(1)
        return self.counts(self.net(images)) * len(self.counts.note)


class Teacher(Plain):
    """An average of the weights, made anew at each call."""

    def begin(self):
        self.teacher = deepcopy(self.net).requires_grad_(False)

    def forward(self, images):
        with torch.no_grad():
            for mine, own in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
                mine.lerp_(own, 0.1)
        return self.net(images) + 0.1 * self.teacher(images)


class NormsItsWeights(Plain):
    def forward(self, images):
        with torch.no_grad():
            self.net[5].weight.div_(self.net[5].weight.norm(dim=1, keepdim=True).clamp(min=0.5))
        return self.net(images)


class BuildsItself(Plain):
    """A layer is made at the first call."""

    def forward(self, images):
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.rand(1, CLASSES))
        return self.net(images) * self.scale

    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), lr=0.05)


class HooksItself(Plain):
    """Behind a flag, at the first call."""

    def begin(self):
        self.is_hooked = False

    def forward(self, images):
        if not self.is_hooked:
            self.net[5].register_forward_hook(lambda layer, inputs, output: output * 1.1)
            self.is_hooked = True
        return self.net(images)


class HookOnTheWhole(Plain):
    """The part that is explained writes to the whole."""

    def begin(self):
        self.calls, self.seen = 0, []
        self.net.register_forward_hook(self.note)
        self.net[5].register_forward_pre_hook(lambda layer, inputs: self.seen.append(len(inputs)))

    def note(self, layer, inputs, output):
        self.calls += 1
        return output * (1 + 0.01 * self.calls + 0.01 * len(self.seen))


class ParentByWeakReference(Plain):
    def begin(self):
        self.calls = 0
        self.net.owner = weakref.ref(self)
        self.net.register_forward_hook(self.count)

    @staticmethod
    def count(layer, inputs, output):
        whole = layer.owner()
        whole.calls += 1
        return output * (1 + 0.01 * whole.calls)


class TrainsItsMode(Plain):
    """Leaves a part in training mode."""

    def forward(self, images):
        self.net[1].train()
        return self.net(images)


class Thaws(Plain):
    def forward(self, images):
        self.net[0].weight.requires_grad_(not self.net[0].weight.requires_grad)
        return self.net(images)

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.net[0].weight.requires_grad_(True)
        return loss


class SpectralNorm(Plain):
    def begin(self):
        self.net[5] = nn.utils.parametrizations.spectral_norm(self.net[5])


class OldSpectralNorm(Plain):
    def begin(self):
        self.net[5] = nn.utils.spectral_norm(self.net[5])


class WeightNorm(Plain):
    def begin(self):
        self.net[5] = nn.utils.parametrizations.weight_norm(self.net[5])


class OldWeightNorm(Plain):
    """Keeps its weight as a tensor in the middle of a graph, which a deep copy refuses."""

    def begin(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.net[5] = nn.utils.weight_norm(self.net[5])


class Pruned(Plain):
    def begin(self):
        nn.utils.prune.random_unstructured(self.net[5], "weight", 0.3)


class Orthogonal(Plain):
    def begin(self):
        self.net[5] = nn.utils.parametrizations.orthogonal(self.net[5])


class Graph(Plain):
    """A graph of torch.fx."""

    def begin(self):
        self.net = torch.fx.symbolic_trace(self.net)


class Recurrent(Plain):
    def begin(self):
        self.rnn = nn.LSTM(8, 4, batch_first=True)
        self.state = None

    def forward(self, images):
        states, last = self.rnn(images[:, 0])
        self.state = [part.mean().detach() for part in last]
        return self.net(images) + states[:, -1, :CLASSES] + sum(self.state)


class Metrics(Plain):
    def begin(self):
        self.accuracy = MulticlassAccuracy(CLASSES)
        self.kept = {"loss": [MeanMetric()]}

    def forward(self, images):
        scores = self.net(images)
        self.kept["loss"][0].update(scores.detach().mean())
        self.accuracy.update(scores.detach(), torch.zeros(len(scores), dtype=torch.long))
        return scores * (1 + self.kept["loss"][0].compute() + 0.1 * self.accuracy.compute())


class Locked(Plain):
    def begin(self):
        self.lock, self.again = threading.Lock(), threading.RLock()
        self.calls = 0

    def forward(self, images):
        with self.lock, self.again, self.again:
            self.calls += 1
        return self.net(images) * (1 + 0.01 * self.calls)


class KeepsActivations(Plain):
    """With their graphs."""

    def begin(self):
        self.kept = []

    def forward(self, images):
        scores = self.net(images)
        self.kept = [*self.kept[-2:], scores.mean()]
        return scores + sum(float(one.detach()) for one in self.kept)


class DropsOut(Plain):
    def forward(self, images):
        return self.net(dropout(images, 0.2, training=True))


class DrawsFromAll(Plain):
    def forward(self, images):
        import random

        factor = random.uniform(0.9, 1.1) * np.random.uniform(0.9, 1.1)
        return self.net(images + 0.1 * torch.randn_like(images)) * factor


class BatchesChange(Plain):
    """Its input in place."""

    def forward(self, images):
        images.mul_(2).sub_(0.5)
        return self.net(images)


class Compiles(Plain):
    def begin(self):
        self.scale = torch.compile(lambda x: x * 1.5, backend="eager")

    def forward(self, images):
        return self.scale(self.net(images))


class WeightsOfInference(Plain):
    """A frozen part whose weights were made in inference mode."""

    def begin(self):
        with torch.inference_mode():
            self.frozen = nn.Linear(64, CLASSES).requires_grad_(False)

    def forward(self, images):
        with torch.no_grad():
            extra = self.frozen(images.flatten(1))
        return self.net(images) + extra.clone()


class Singleton(Plain):
    """A part is the same in each copy."""

    def begin(self):
        class Only(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("calls", torch.zeros(()))

            def __deepcopy__(self, memo):
                return self

            def forward(self, scores):
                self.calls += 1
                return scores * (1 + 0.01 * self.calls)

        self.only = Only()

    def forward(self, images):
        return self.only(self.net(images))


class SharesItsWeights(Plain):
    """A part's copies share its weights."""

    def begin(self):
        class Sharing(nn.Linear):
            def __deepcopy__(self, memo):
                twin = Sharing(CLASSES, CLASSES)
                twin.weight, twin.bias = self.weight, self.bias
                return twin

            def forward(self, scores):
                with torch.no_grad():
                    self.weight.mul_(0.99)
                return super().forward(scores)

        self.last = Sharing(CLASSES, CLASSES)

    def forward(self, images):
        return self.last(self.net(images))


class DrawsItsCopies(Plain):
    """A part's copies draw their first weights."""

    def begin(self):
        class Anew(nn.Linear):
            def __deepcopy__(self, memo):
                twin = Anew(CLASSES, CLASSES)
                twin.load_state_dict(self.state_dict())
                return twin

        self.last = Anew(CLASSES, CLASSES)

    def forward(self, images):
        return self.last(self.net(images))


class TidiesUp(Plain):
    """Its end is noticed."""

    ended = 0

    def begin(self):
        class Part(nn.Module):
            def __del__(self):
                TidiesUp.ended += 1

            def forward(self, scores):
                self.calls = getattr(self, "calls", 0) + 1
                return scores * (1 + 0.01 * self.calls)

        self.part = Part()

    def forward(self, images):
        return self.part(self.net(images))


class KeepsTheRun(Plain):
    """Holds on to what no copy of a module should copy."""

    def forward(self, images):
        if self._trainer is not None:
            self.run = SimpleNamespace(trainer=self.trainer, loaders=self.trainer.val_dataloaders)
            assert self.trainer.val_dataloaders is None or self.run.trainer is self.trainer
        return self.net(images)


class NeverUsesIts(Plain):
    """Holds things that cannot be copied, and leaves them alone."""

    def begin(self):
        self.stream = (number for number in range(10))
        self.event, self.thread = threading.Event(), threading.current_thread()
        self.proxies = {"self": weakref.proxy(self)}


class Tied(Plain):
    def begin(self):
        self.out = nn.Linear(4 * 64, CLASSES)
        self.out.weight = self.net[5].weight
        self.net[5].twin = [self.out]

    def forward(self, images):
        with torch.no_grad():
            self.out.weight.mul_(0.99)
        return self.net(images) + self.out.bias


class SlicesOfOneBuffer(Plain):
    def begin(self):
        self.register_buffer("whole", torch.zeros(4))
        self.register_buffer("part", self.whole[1:2])

    def forward(self, images):
        self.part += 1
        return self.net(images) * (1 + 0.01 * self.whole.sum())


class BatchStatistics(Plain):
    """A batch norm without statistics of its own, and one that averages for ever."""

    def begin(self):
        self.net[1] = nn.BatchNorm2d(4, momentum=None)
        self.last = nn.BatchNorm1d(CLASSES, track_running_stats=False)

    def forward(self, images):
        return self.last(self.net(images))


class Checkpointed(Plain):
    def forward(self, images):
        return torch.utils.checkpoint.checkpoint(self.net, images, use_reentrant=False)


class PatchedForward(Plain):
    """A method of an instance, around the one of its class."""

    def begin(self):
        inner, self.calls = self.net.forward, 0

        def forward(images):
            self.calls += 1
            return inner(images) * (1 + 0.01 * self.calls)

        self.net.forward = forward


class AdaptsAtTestTime(Plain):
    """Follows a gradient in its forward, which leaves gradients behind."""

    def forward(self, images):
        if not self.training:
            with torch.enable_grad():
                self.net(images.clone()).std().backward()
        return self.net(images)

    def on_train_batch_start(self, batch, batch_idx):
        self.zero_grad()


class CountsInItsClass(Plain):
    """All of its objects count together."""

    calls, seen = 0, []

    def begin(self):
        type(self).calls = 0
        type(self).seen = []

    def forward(self, images):
        type(self).calls += 1
        self.seen.append(len(images))
        return self.net(images) * (1 + 0.01 * self.calls + 0.001 * len(self.seen))


class Distributed(Plain):
    """A part is wrapped for ranks, of which there is one."""

    def begin(self):
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        self.wrapped = [nn.parallel.DistributedDataParallel(self.net)]

    def forward(self, images):
        return self.wrapped[0](images)

    def teardown(self, stage):
        torch.distributed.destroy_process_group()


MODELS = Plain.__subclasses__()


class Witness(Callback):
    def __init__(self):
        self.saw = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        modes = [part.training for part in pl_module.modules()]
        self.saw.append((outputs["loss"].item(), random_states(), modes))


def trained(kind, folder, *callbacks, data=None):
    """All there is to compare of a training."""
    seed_everything(7, verbose=False)
    witness = Witness()
    trainer = tiny_trainer(folder, *callbacks, witness, max_epochs=2)
    gc.collect()  # of an earlier training
    TidiesUp.ended = 0
    module = kind()
    if data is None:
        trainer.fit(module, *tiny_loaders(8, 4))
    else:
        trainer.fit(module, datamodule=data())
    return {
        "weights and buffers": module.state_dict(),
        "gradients": [p.grad for p in module.parameters()],
        "trained": [p.requires_grad for p in module.parameters()],
        "attributes": [sorted(vars(part)) for part in module.modules()],
        "hooks": [len(part._forward_hooks) for part in module.modules()],
        "steps": witness.saw,
        "metrics": [
            {name: value for name, value in metrics.items() if not name.startswith("shap")}
            for _, metrics in trainer.logger.metrics
            if not all(name.startswith("shap") for name in metrics)
        ],
    }


def check(kind, folder, monkeypatch, data=None, **arguments):
    ours = ShapCallback(n_samples=2, max_evals=6, batch_size=4, on_error="raise", **arguments)
    without = trained(kind, folder / "without", data=data)
    with_it = trained(kind, folder / "with", ours, data=data)
    for part, expected in without.items():
        if part != "metrics":
            assert same(with_it[part], expected), part
    assert ours.explanation is not None
    return ours.explanation.record


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_it_is_trained_to_the_same_bits(kind, tmp_path, monkeypatch):
    record = check(kind, tmp_path, monkeypatch)
    assert record.isolation == "copy"
    assert TidiesUp.ended == 0 or kind is not TidiesUp


WITH_HOOKS = (HookOnTheWhole, ParentByWeakReference, Plain, StockQat, Scripted, OldWeightNorm)


@pytest.mark.parametrize("kind", WITH_HOOKS, ids=lambda kind: kind.__name__)
def test_it_is_if_only_a_part_is_explained(kind, tmp_path, monkeypatch):
    assert check(kind, tmp_path, monkeypatch, module="net").isolation == "copy"


class Counted(torch.utils.data.Dataset):
    """Counts what is read, in itself, its class and a transform, and shows it in its images."""

    read_by_all = 0

    def __init__(self):
        Counted.read_by_all = 0
        self.data, self.read, self.by_row = tiny_data(8), 0, {}
        self.transform = SimpleNamespace(calls=[])

    def __len__(self):
        return len(self.data)

    def __getitem__(self, row):
        image, label = self.data[row]
        self.read += 1
        Counted.read_by_all += 1
        self.by_row[row] = self.by_row.get(row, 0) + 1
        self.transform.calls.append(row)
        counted = self.read + Counted.read_by_all + self.by_row[row] + len(self.transform.calls)
        return image + 0.01 * counted, label


class CountedData(LightningDataModule):
    """Counts the batches that it prepares."""

    def __init__(self):
        super().__init__()
        self.dataset, self.prepared, self.sizes = Counted(), 0, []

    def train_dataloader(self):
        return DataLoader(self.dataset, 4)

    def val_dataloader(self):
        return DataLoader(self.dataset, 4)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.prepared += 1
        self.sizes.append(len(batch[0]))
        return batch[0] + 0.01 * self.prepared + 0.01 * len(self.sizes), batch[1]


class CountsTransfers(Plain):
    """Does so itself."""

    def begin(self):
        self.transferred, self.seen = 0, {"rows": [0]}

    def on_before_batch_transfer(self, batch, dataloader_idx):
        self.transferred += 1
        self.seen["rows"][0] += len(batch[0])
        return batch[0] + 0.01 * self.transferred + 0.01 * self.seen["rows"][0], batch[1]


@pytest.mark.parametrize("kind", [Plain, CountsTransfers])
def test_it_is_if_what_prepares_the_samples_counts(kind, tmp_path, monkeypatch):
    check(kind, tmp_path, monkeypatch, data=CountedData, samples=[1, 5])
