"""See what a validation makes of its images as it runs: no forward pass of our own.

A hook on the classifier sees its images and what it returns. It changes neither, draws nothing, and
hangs there while a validation runs. Where ``validation_step`` calls a part of the module and not
the module itself, a hook on that part sees the same.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from lightning_shap.isolation.copy_rules import compiled_from
from lightning_shap.isolation.signals import came_from_explanation
from lightning_shap.training.samples.labels import WhichLabels
from lightning_shap.training.samples.loaders import Deal
from lightning_shap.training.samples.samples import Samples, are_images, seen_in, tensors_in
from lightning_shap.training.samples.shortlist import Judge, Shortlist

WHOLE = ""  # the name of the classifier itself, as a part of it

_watched: dict[int, tuple["Watch", str]] = {}  # by the id of each module that carries our hook


class Watch:
    """Sees one validation, of which it keeps a short list of predictions for each module called.

    Args:
        wanted: How many predictions are to be picked in the end.
        judge: Reads predictions off outputs.
        labels: Which labels of the data are true, None for those that are found.
        deal: Which rows of the data this process gets.

    Attributes:
        lists: What the classifier, or a part of it, was seen to predict, by the part's name.
        batches: How many batches were seen.
    """

    def __init__(self, wanted: int, judge: Judge, labels: WhichLabels, deal: Deal) -> None:
        self.wanted = wanted
        self.judge = judge
        self.labels = labels
        self.deal = deal
        self.lists: dict[str, Shortlist] = {}
        self.batches = 0
        self._handles: list[RemovableHandle] = []
        self._modules: list[torch.nn.Module] = []
        self._batch: Samples | None = None  # the one that is validated now
        self._calls: dict[str, int] = {}  # in how many batches each module was called
        self._seen: set[str] = set()  # in this batch
        self._rows = 0  # of the batches before this one
        self._failed = False

    def see(self, owner: torch.nn.Module, classifier: torch.nn.Module, batch: Any) -> None:
        """Gets ready for a batch that is about to be validated.

        Args:
            owner: The LightningModule.
            classifier: What is explained, the owner or a part of it.
            batch: As the model receives it.

        Raises:
            ValueError: If it holds no images in any form that is known.
        """
        if not self._handles and not compiles(owner):
            parts = {WHOLE: classifier, **dict(classifier.named_children())}
            self._attach({name: part for name, part in parts.items() if _takes_hooks(part)})
        self._rows += 0 if self._batch is None else len(self._batch)
        self.batches += 1
        self._seen = set()
        self._batch = None
        self._batch = seen_in(batch, self.labels)

    @property
    def complete(self) -> list[str]:
        """Returns the modules that were called for each batch, the classifier first if it was."""
        if self._failed:
            return []
        return sorted(name for name, calls in self._calls.items() if calls == self.batches)

    def release(self) -> None:
        """Takes all hooks away."""
        for handle in self._handles:
            handle.remove()
        for module in self._modules:
            _watched.pop(id(module), None)
        self._handles, self._modules = [], []
        self._batch = None

    def note(self, name: str, given: Any, raw: Any) -> None:
        """Takes in what a module made of the batch.

        Args:
            name: By which the classifier knows it.
            given: Its arguments.
            raw: What it returned.
        """
        batch = self._batch
        if batch is None or name in self._seen or self._failed:
            return
        images = next((one for _, one in tensors_in(given) if are_images(one)), None)
        if images is None or len(images) != len(batch):
            return
        places = [self.deal.place(self._rows + row) for row in range(len(images))]
        seen = Samples(images, batch.labels, batch.binary, batch.highest)
        found = self.judge.predictions(seen, raw, places)
        if found is None:  # it is a part that gives no scores, or the step itself
            return
        self._seen.add(name)
        self._calls[name] = self._calls.get(name, 0) + 1
        once = [each for each in found if each.place < self.deal.rows]
        self.lists.setdefault(name, Shortlist(self.wanted)).add(once)

    def fail(self) -> None:
        """Notes that what was seen of this validation cannot be used."""
        self._failed = True

    def _attach(self, parts: Mapping[str, torch.nn.Module]) -> None:
        for name, part in parts.items():
            if id(part) not in _watched:
                _watched[id(part)] = self, name
                self._modules.append(part)
                self._handles.append(part.register_forward_hook(_note, with_kwargs=True))


def compiles(module: torch.nn.Module) -> bool:
    """Returns whether calls of a module may be traced, hooks and all, to be compiled.

    A part that is compiled by itself is called as ever, and hooks on what calls it are not traced.
    """
    if getattr(module, "_compiler_ctx", None) is not None:  # Lightning's, of a whole module
        return True
    own = vars(module)
    names = chain(own.values(), *(vars(kind).values() for kind in type(module).__mro__))
    return _is_compiled_in_place(module) or any(map(_is_compiled, names))


def _is_compiled(thing: Any) -> bool:
    function = getattr(thing, "__func__", thing)
    return hasattr(function, "__code__") and compiled_from(function) is not None


def _is_compiled_in_place(module: torch.nn.Module) -> bool:
    return vars(module).get("_compiled_call_impl") is not None


def _takes_hooks(module: torch.nn.Module) -> bool:
    scripted = isinstance(module, torch.jit.ScriptModule)
    return not scripted and not _is_compiled_in_place(module)


def _note(module: torch.nn.Module, args: Any, kwargs: Any, raw: Any) -> None:
    """Tells the watch of a call: a function of this file, so that its module can be pickled."""
    if torch.compiler.is_compiling() or id(module) not in _watched:  # it is a copy's hook
        return
    watch, name = _watched[id(module)]
    try:
        watch.note(name, [*args, kwargs], raw)
    except Exception as error:  # whatever a model returns: it is for the training to judge
        if not came_from_explanation(error):
            raise
        watch.fail()
