import weakref

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import explain, explain_batches

shape = (3, 8, 8)
images, labels = generic_images(5, *shape), torch.tensor([0, 1, 2, 0, 1])
asked = {"max_evals": 20, "topk": 1}


@pytest.mark.parametrize("given", [(images,), (images, labels), (images, labels, labels)])
def test_each_batch_is_explained_as_it_would_be_alone(given):
    model = Generic(shape)
    found = [*explain_batches(model, DataLoader(TensorDataset(*given), batch_size=2), **asked)]
    assert [len(explanation) for explanation in found] == [2, 2, 1]
    for number, explanation in enumerate(found):
        rows = slice(2 * number, 2 * number + 2)
        of_rows = labels[rows] if len(given) > 1 else None
        alone = explain(model, images[rows], labels=of_rows, **asked)
        assert np.array_equal(explanation.values, alone.values)
        assert np.array_equal(explanation.output_indexes, alone.output_indexes)


def test_no_batch_is_read_before_it_is_asked_for_nor_kept_after():
    alive = weakref.WeakSet()

    def batches():
        while True:
            batch = images[:1].clone()
            alive.add(batch)
            yield batch
            del batch

    found = explain_batches(Generic(shape), batches(), **asked)
    assert not alive
    for _ in range(3):
        next(found)
        assert len(alive) == 1


def test_batches_of_something_else_are_refused():
    for batch in ({"images": images}, [], ["cat.png"], 3):
        with pytest.raises(TypeError, match=r"batches: got .*; give images \(N, C, H, W\), or"):
            next(explain_batches(Generic(shape), [batch], **asked))


def test_labels_come_with_the_batches():
    with pytest.raises(ValueError, match="labels: those of all batches were given"):
        next(explain_batches(Generic(shape), [images], labels=labels))
