"""Weights, optimizer states, metrics and checkpoints are the same bits with and without."""

import random
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, seed_everything
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from pytorch_lightning.tuner import Tuner
from tiny_training import (
    CLASSES,
    KeepingLogger,
    TinyClassifier,
    lightning_warns,
    random_states,
    same,
    session_of,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)
from torch.nn.functional import cross_entropy, dropout
from torch.utils.data import DataLoader, Dataset

from lightning_shap import ShapCallback, explain
from lightning_shap.engine.methods.registry import METHODS

pytestmark = [
    *lightning_warns,
    pytest.mark.filterwarnings("ignore:ShapCallback logs nothing"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


class FrozenNorm(TinyClassifier):
    """A frozen batch norm that its owner keeps in evaluation mode inside a training module."""

    def __init__(self):
        super().__init__()
        self.net[1].requires_grad_(False)

    def on_train_epoch_start(self):
        self.net[1].eval()


class Manual(TinyClassifier):
    """Two optimizers, stepped by hand, the second one every other batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        convolution, linear = self.optimizers()
        loss = self.loss(batch)
        self.manual_backward(loss)
        convolution.step()
        convolution.zero_grad()
        if batch_idx % 2:
            linear.step()
            linear.zero_grad()
        self.log("train/loss", loss)

    def configure_optimizers(self):
        return [
            torch.optim.SGD(self.net[:2].parameters(), lr=0.1, momentum=0.9),
            torch.optim.Adam(self.net[5].parameters(), lr=0.01),
        ]


class CompiledPart(TinyClassifier):
    """One compiled sub-module."""

    def __init__(self):
        super().__init__()
        self.compiled = torch.compile(self.net, backend="eager")

    def forward(self, images):
        return self.compiled(images)


class CompiledInPlace(TinyClassifier):
    """Compiled without a wrapper."""

    def __init__(self):
        super().__init__()
        self.net.compile(backend="eager")


class CompiledStep(TinyClassifier):
    """A compiled function of its own calls it."""

    def __init__(self):
        super().__init__()
        self.scores = torch.compile(self.forward, backend="eager")

    def loss(self, batch):
        return cross_entropy(self.scores(batch[0]), batch[1])


class Counting(TinyClassifier):
    """Changes a buffer at each call, in training or not, and replaces another."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, images):
        self.calls += 1
        self.seen = self.seen + len(images)
        return self.net(images) + 1e-3 * self.calls


class Remembering(TinyClassifier):
    """Keeps what it sees in attributes of every kind, and trains by it."""

    def __init__(self):
        super().__init__()
        self.calls, self.last, self.total = 0, None, torch.zeros(())
        self.means, self.by_size = [], {}
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, images):
        self.calls += 1
        self.total += images.mean()
        self.last = images[:1].mean()
        self.means.append(self.last)
        self.by_size[len(images), self.calls] = 1
        self.net[4].flattened = self.calls
        noise = torch.rand((), generator=self.generator)
        kept = self.calls + len(self.means) + len(self.by_size)
        factor = 1 + 1e-3 * (kept + noise + self.total)
        return self.net(images) * factor

    def on_validation_epoch_end(self):
        torch.stack(self.means).sum()
        self.means.clear()


class Lazy(TinyClassifier):
    """Layers take their sizes and first weights from the first batch."""

    def __init__(self):
        super().__init__()
        self.net[5] = torch.nn.LazyLinear(CLASSES)


class Traced(TinyClassifier):
    """TorchScript runs by plans that it makes when a module is first called."""

    def __init__(self):
        super().__init__()
        self.net = torch.jit.trace(self.net, torch.rand(2, 1, 8, 8), check_trace=False)


class LoggingForward(TinyClassifier):
    """Logs from its forward, which is called for other reasons than training too."""

    def forward(self, images):
        scores = self.net(images)
        if self._trainer is not None and not self.trainer.sanity_checking:
            self.log("scores/mean", scores.mean(), on_epoch=True, batch_size=len(images))
        return scores


class Merging(TinyClassifier):
    """Changes its weights by rounding whenever its mode is switched, as LoRA layers do."""

    def train(self, mode=True):
        super().train(mode)
        if self._trainer is not None and self.trainer.training:
            with torch.no_grad():
                self.net[5].weight.mul_(0.9).div_(0.9)
        return self


class Drawing(TinyClassifier):
    """Drops out in evaluation too, as Monte-Carlo dropout does."""

    def forward(self, images):
        return self.net(dropout(images, 0.2, training=True)) * random.uniform(0.9, 1.1)


class Augmented(Dataset):
    """Draws from every generator there is."""

    def __init__(self, rows=12):
        self.images, self.labels = tiny_data(rows).tensors

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index]
        image = image + 0.1 * torch.randn_like(image) + 0.1 * random.random()
        return image * float(np.random.uniform(0.9, 1.1)), self.labels[index]


class OwnDraws(Dataset):
    """Draws from generators of its own: an attribute's, a transform's, a closure's, a class's."""

    numpy = np.random.default_rng(3)

    def __init__(self):
        OwnDraws.numpy = np.random.default_rng(3)  # the same in each run
        self.images, self.labels = tiny_data(12).tensors
        self.python = random.Random(3)
        mine = torch.Generator().manual_seed(3)
        self.transforms = [lambda image: image + 0.1 * torch.randn(image.shape, generator=mine)]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index] + 0.1 * self.python.random()
        for transform in self.transforms:
            image = transform(image)
        return image * float(self.numpy.uniform(0.9, 1.1)), self.labels[index]


def one_data_set_twice(**options):
    dataset = OwnDraws()
    return DataLoader(dataset, 4, **options), DataLoader(dataset, 4)


class PlateauScheduled(TinyClassifier):
    """Clips, schedules by a metric."""

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "val/loss"},
        }


class Sized(TinyClassifier):
    """Has a batch size to be found."""

    def __init__(self):
        super().__init__()
        self.batch_size = 2

    def train_dataloader(self):
        return DataLoader(tiny_data(20), self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(tiny_data(8, seed=1), 4)


class SlowAverage(EMAWeightAveraging):
    """An average far from the weights."""

    def __init__(self):
        super().__init__(decay=0.8)


def fit(trainer, module, loaders):
    trainer.fit(module, *loaders)


def fit_twice(trainer, module, loaders):
    trainer.fit(module, *loaders)
    trainer.fit_loop.max_epochs += 1
    trainer.fit(module, *loaders)


def fit_compiled(trainer, module, loaders):
    trainer.fit(torch.compile(module, backend="eager"), *loaders)


def tune(trainer, module, loaders):
    Tuner(trainer).lr_find(module, *loaders, num_training=5)
    trainer.fit(module, *loaders)


def of_data(dataset, **options):
    return lambda: (DataLoader(dataset(), 4, shuffle=True, **options), tiny_loaders()[1])


@dataclass
class Situation:
    """What is trained, and how."""

    module: type = TinyClassifier
    trainer: dict = field(default_factory=dict)
    loaders: object = tiny_loaders
    before: list = field(default_factory=list)  # classes of callbacks ahead of ours
    after: list = field(default_factory=list)
    run: object = fit
    shap: list = field(default_factory=lambda: [{}])


SITUATIONS = {
    "dropout and batch norm": Situation(),
    "frozen batch norm in a training module": Situation(FrozenNorm),
    "augmentation": Situation(loaders=of_data(Augmented)),
    "augmentation in workers": Situation(loaders=of_data(Augmented, num_workers=1)),
    "augmentation in persistent workers": Situation(
        loaders=of_data(Augmented, num_workers=1, persistent_workers=True)
    ),
    "shuffled validation": Situation(
        loaders=lambda: (tiny_loaders()[0], DataLoader(tiny_data(12), 4, shuffle=True))
    ),
    "random samples picked by index": Situation(
        loaders=lambda: (DataLoader(Augmented(), 4), DataLoader(Augmented(), 4)),
        shap=[{"samples": [1, 5]}],
    ),
    "samples picked from a data set with generators of its own": Situation(
        loaders=one_data_set_twice, shap=[{"samples": [1, 5]}]
    ),
    "the same, in workers": Situation(
        loaders=lambda: one_data_set_twice(num_workers=1), shap=[{"samples": [1, 5]}]
    ),
    "accumulation and clipping": Situation(
        trainer={"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}
    ),
    "manual optimisation, several optimizers": Situation(Manual),
    "learning rate on plateau": Situation(PlateauScheduled),
    "bf16-mixed": Situation(trainer={"precision": "bf16-mixed"}),
    "bf16-true": Situation(trainer={"precision": "bf16-true"}),
    "64-true": Situation(trainer={"precision": "64-true"}),
    "validation within an epoch": Situation(trainer={"val_check_interval": 0.4}),
    "validation beyond an epoch": Situation(
        trainer={"val_check_interval": 7, "check_val_every_n_epoch": None, "max_epochs": 3}
    ),
    "no validation loader": Situation(loaders=lambda: tiny_loaders()[:1]),
    "no validation loader, accumulation": Situation(
        loaders=lambda: tiny_loaders()[:1], trainer={"accumulate_grad_batches": 3}
    ),
    "limited batches": Situation(
        trainer={"limit_train_batches": 3, "limit_val_batches": 1, "num_sanity_val_steps": 1}
    ),
    "limited to no validation": Situation(trainer={"limit_val_batches": 0}),
    "samples given, no sanity check": Situation(
        trainer={"num_sanity_val_steps": 0}, shap=[{"samples": tiny_data(3).tensors}]
    ),
    "averaging before": Situation(before=[WeightAveraging]),
    "averaging after": Situation(after=[WeightAveraging]),
    "exponential averaging before": Situation(before=[SlowAverage]),
    "exponential averaging after": Situation(after=[SlowAverage]),
    "stochastic weight averaging": Situation(
        before=[lambda: StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=1)],
        trainer={"max_epochs": 3},
    ),
    "early stopping": Situation(
        after=[lambda: EarlyStopping("val/loss", patience=0, stopping_threshold=9.0)]
    ),
    "a compiled part": Situation(CompiledPart),
    "a part compiled in place": Situation(CompiledInPlace),
    "a compiled module": Situation(run=fit_compiled),
    "inference mode off": Situation(trainer={"inference_mode": False}),
    "overfit batches": Situation(trainer={"overfit_batches": 2}),
    "fast dev run": Situation(trainer={"fast_dev_run": 2}),
    "no logger": Situation(trainer={"logger": False}),
    "deterministic, anomalies detected": Situation(
        trainer={"deterministic": True, "detect_anomaly": True}
    ),
    "learning rate finder": Situation(before=[lambda: LearningRateFinder(num_training_steps=5)]),
    "learning rate tuned": Situation(run=tune),
    "batch size finder": Situation(
        Sized,
        loaders=lambda: (),
        before=[lambda: BatchSizeFinder(steps_per_trial=1, max_trials=2)],
    ),
    "two callbacks": Situation(shap=[{}, {"tag": "other", "output": "probability", "topk": 2}]),
    "fit called twice": Situation(run=fit_twice),
    "steps end in mid-epoch": Situation(trainer={"max_steps": 7}),
    "a buffer that counts calls": Situation(Counting),
    "attributes that remember": Situation(Remembering),
    "lazy layers, no validation": Situation(Lazy, loaders=lambda: tiny_loaders()[:1]),
    "a traced model that an explanation is the first to call": Situation(
        Traced, trainer={"limit_val_batches": 0}
    ),
    "a model that draws in evaluation": Situation(Drawing),
    "a forward that logs": Situation(LoggingForward),
    "a module that changes when its mode is set": Situation(Merging),
    "the best checkpoint explained": Situation(shap=[{"explain_checkpoint": "best"}]),
    "a compiled function": Situation(CompiledStep),
    "a part explained": Situation(shap=[{"module": "net"}]),
    "files written": Situation(shap=[{"save_dir": "pictures"}]),
    "everything measured": Situation(
        shap=[
            {
                "metrics": ["settled", "changed", "where", "sure", "faithful"],
                "evolution": "animated",
                "summary": 32,
                "max_evals": 16,
                "save_dir": "pictures",
            }
        ]
    ),
}


# What is called for its mistakes in a way of its own.
CHOSEN = {
    "dropout and batch norm": {},
    "bf16-mixed": {},
    "averaging before": {},
    "a compiled part": {},
    "a part compiled in place": {},
    "a compiled module": {},
    "a compiled function": {},
    "a buffer that counts calls": {},
    "attributes that remember": {},
    "a model that draws in evaluation": {},
    "a forward that logs": {},
    "a module that changes when its mode is set": {},
    "validation within an epoch": {},
    "no validation loader": {},
    "augmentation in workers": {},
    "a part explained": {"module": "net"},
    "fit called twice": {"samples": "mixed"},
}


@pytest.fixture(autouse=True)
def no_determinism_is_left():
    """A trainer sets it for the process, and leaves it so."""
    yield
    torch.use_deterministic_algorithms(False)


DRAWN = ("dropout and batch norm", "no logger", "files written", "everything measured")


@pytest.fixture(autouse=True)
def draws_in_some_situations(request):
    """Drawing is the same in all of them, and takes longer than the training."""
    if request.node.name not in [f"test_training_is_the_same_to_the_bit[{one}]" for one in DRAWN]:
        request.getfixturevalue("blank_pictures")


class Witness(Callback):
    """Sees each batch, the modes it is trained in, and the generators after it."""

    def __init__(self):
        self.saw = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        modes = [module.training for module in pl_module.modules()]
        self.saw.append((deepcopy(batch), modes, random_states()))

    def on_train_end(self, trainer, pl_module):
        self.optimizers = deepcopy([one.state_dict() for one in trainer.optimizers])


def trained(situation, folder, monkeypatch, shap):
    """Everything that training leaves behind."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    seed_everything(7, verbose=False)
    witness, logger = Witness(), KeepingLogger()
    keeper = ModelCheckpoint(folder / "kept", monitor=None, save_top_k=-1, save_last=True)
    callbacks = [
        *[make() for make in situation.before],
        *shap,
        *[make() for make in situation.after],
        witness,
        keeper,
    ]
    options = {"enable_checkpointing": True, **situation.trainer}
    trainer = tiny_trainer(folder, *callbacks, **{"logger": logger, **options})
    module = situation.module()
    situation.run(trainer, module, situation.loaders())
    return {
        "weights and buffers": deepcopy(module.state_dict()),
        "gradients": [p.grad for p in module.parameters()],
        "trained": [p.requires_grad for p in module.parameters()],
        "modes": [part.training for part in module.modules()],
        "optimizers": witness.optimizers,
        "batches": witness.saw,
        "metrics": [
            (step, metrics)
            for step, metrics in logger.metrics
            if not any(name.startswith(("shap", "other")) for name in metrics)
        ],
        "last metrics": {**trainer.callback_metrics, **trainer.logged_metrics},
        "checkpoints": {
            path.name: checkpoint_without_ours(path) for path in (folder / "kept").glob("*.ckpt")
        },
        "generators": random_states(),
        "grad mode": torch.is_grad_enabled(),
        "dtype": str(torch.get_default_dtype()),
    }


def checkpoint_without_ours(path):
    checkpoint = torch.load(path, weights_only=True)
    callbacks = checkpoint.pop("callbacks")
    checkpoint["callbacks"] = {
        key: {
            name: value
            for name, value in state.items()
            if "path" not in name and name != "dirpath" and "models" not in name
        }
        for key, state in callbacks.items()
        if not key.startswith("ShapCallback")
    }
    return checkpoint


WITHOUT = {}  # what each situation leaves behind by itself, trained once for all tests


def check(name, tmp_path, monkeypatch, **arguments):
    situation = SITUATIONS[name]
    quick = {"n_samples": 2, "max_evals": 12, "on_error": "raise", **arguments}
    if name not in WITHOUT:
        WITHOUT[name] = trained(situation, tmp_path / "without", monkeypatch, [])
    without = WITHOUT[name]
    callbacks = [ShapCallback(**{**quick, **one}) for one in situation.shap]
    with_them = trained(situation, tmp_path / "with", monkeypatch, callbacks)
    for part, expected in without.items():
        assert same(with_them[part], expected), part
    assert len(without["batches"]) > 1
    for callback in callbacks:
        assert callback.explanation is not None
    return callbacks


@pytest.mark.parametrize("name", SITUATIONS)
def test_training_is_the_same_to_the_bit(name, tmp_path, monkeypatch):
    check(name, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", CHOSEN)
def test_it_is_where_its_mistakes_are_chosen(name, tmp_path, monkeypatch):
    arguments = {"samples": "mistakes", **CHOSEN[name]}
    (callback,) = check(name, tmp_path, monkeypatch, **arguments)
    assert session_of(callback).batch.pick.chosen


@pytest.mark.parametrize("method", [name for name in METHODS if name != "partition"])
@pytest.mark.parametrize(
    "name", ["dropout and batch norm", "frozen batch norm in a training module", "bf16-mixed"]
)
def test_it_is_with_every_other_method(method, name, tmp_path, monkeypatch):
    check(name, tmp_path, monkeypatch, method=method)


@pytest.mark.parametrize(
    "name", ["dropout and batch norm", "frozen batch norm in a training module", "bf16-mixed"]
)
def test_it_is_where_steps_are_explained_in_mid_epoch(name, tmp_path, monkeypatch):
    check(name, tmp_path, monkeypatch, every_n_steps=2)


@pytest.fixture(scope="module")
def compiled_before(tmp_path_factory):
    """The first training of a process that compiles also compiles a function of torch's own."""
    fit(tiny_trainer(tmp_path_factory.mktemp("first")), CompiledPart(), tiny_loaders())


@pytest.mark.usefixtures("compiled_before")
@pytest.mark.parametrize("samples", [None, "mistakes"])
@pytest.mark.parametrize("module", [CompiledPart, CompiledInPlace, CompiledStep])
def test_nothing_is_compiled_again(module, samples, tmp_path):
    from torch._dynamo.utils import counters

    def compilations(*callbacks):
        torch._dynamo.reset()
        counters.clear()
        fit(tiny_trainer(tmp_path, *callbacks), module(), tiny_loaders())
        return {name: dict(counts) for name, counts in counters.items()}

    quick = {"n_samples": 3, "max_evals": 12, "on_error": "raise"}
    with_it = compilations(ShapCallback(**quick, samples=samples))
    assert with_it == compilations()
    assert with_it["stats"]["unique_graphs"] > 0


def test_an_explanation_in_a_training_step_under_autocast_leaves_its_gradients():
    """Weights that autocast casts without gradients must not be found by the step after."""

    def gradients(explaining):
        module = TinyClassifier(dropout=0.0)
        images = tiny_data(4).tensors[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if explaining:
                explain(module, images, max_evals=8)
            module(images).sum().backward()
        return [parameter.grad for parameter in module.parameters()]

    torch.manual_seed(0)
    expected = gradients(explaining=False)
    torch.manual_seed(0)
    assert same(gradients(explaining=True), expected)
    assert all(gradient is not None for gradient in expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in METHODS if name != "partition"])
@pytest.mark.parametrize("name", SITUATIONS)
def test_every_method_leaves_every_training_as_it_was(method, name, tmp_path, monkeypatch):
    check(name, tmp_path, monkeypatch, method=method)
