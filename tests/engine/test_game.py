from types import SimpleNamespace

import numpy as np
import pytest
import torch
from generic_model import Generic, generic_images

from lightning_shap import explain
from lightning_shap.engine.game import CoalitionGame
from lightning_shap.engine.regions.boxes import Box, BoxCoalitions

shape = (3, 6, 5)
whole = Box(0, 6, 0, 5, 0, 3)
left, right = Box(0, 6, 0, 2, 0, 3), Box(0, 6, 2, 5, 0, 3)
coalitions = BoxCoalitions([(), (left,), (right,), (whole,)] * 3, whole)
of_images = [0] * 4 + [2] * 4 + [1] * 4
pictures = generic_images(3, *shape)


class Counting(torch.nn.Module):
    """Notes the rows, device and dtype of every call; out of memory above ``most`` rows."""

    def __init__(self, most=10**9, dtype=torch.float64, message="CUDA out of memory."):
        super().__init__()
        self.network = Generic(shape, dtype=dtype)
        self.most, self.message, self.calls, self.dtypes = most, message, [], set()

    def forward(self, images):
        self.calls.append(len(images))
        self.dtypes.add(images.dtype)
        if len(images) > self.most:
            raise torch.OutOfMemoryError(self.message)
        return self.network(images)


def game_of(model, **kwargs):
    return CoalitionGame(model, pictures, torch.zeros_like(pictures), **kwargs)


def played(model, **kwargs):
    return game_of(model, **kwargs).play(of_images, coalitions)


def test_a_row_is_the_output_of_its_image_where_its_coalition_is_present():
    model = Generic(shape)
    outputs = played(model)
    shown = pictures[2].clone()
    shown[:, :, 2:] = 0
    np.testing.assert_allclose(outputs[5], model(shown[None])[0].detach(), atol=1e-12)
    assert outputs.dtype == np.float64
    assert outputs.shape == (12, 3)


@pytest.mark.parametrize("batch_size", [1, 5, 7, 100])
def test_batch_size_changes_the_calls_and_not_the_outputs(batch_size):
    model = Counting()
    np.testing.assert_allclose(played(model, batch_size=batch_size), played(model), atol=1e-12)
    assert max(model.calls[:-1]) <= batch_size
    assert max(model.calls[:-1]) - min(model.calls[:-1]) <= 1  # calls of equal size


def test_batches_halve_when_memory_runs_out_and_stay_halved():
    model = Counting(most=3)
    game = game_of(model)
    np.testing.assert_allclose(game.play(of_images, coalitions), played(model.network), atol=1e-12)
    assert model.calls == [12, 6, 3, 3, 3, 3]
    assert game.batch_size == 3
    game.play(of_images, coalitions)
    assert model.calls[6:] == [3, 3, 3, 3]
    assert (game.evaluations == 8).all()  # only rows that were answered count


def test_memory_for_less_than_a_row_is_one_clear_error():
    model = Counting(most=0)
    with pytest.raises(MemoryError, match=r"batch_size: not even one row.*CUDA out of memory"):
        played(model)
    assert model.calls == [12, 6, 3, 1]


def test_the_failed_calls_tensors_are_let_go_before_the_next_call():
    class Hoarder(torch.nn.Module):
        alive = 0

        def forward(self, images):
            if len(images) > 3:
                images.activation = Activation()  # lives as long as the failed call's input
                raise torch.OutOfMemoryError
            assert Hoarder.alive == 0
            return images.flatten(1)[:, :2]

    class Activation:
        def __init__(self):
            Hoarder.alive += 1

        def __del__(self):
            Hoarder.alive -= 1

    assert played(Hoarder()).shape == (12, 2)


def test_other_errors_of_the_model_pass_through():
    def broken(images):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        played(broken)


def test_evaluations_are_counted_for_each_image_and_reported():
    reported = []
    game = game_of(Generic(shape), batch_size=3, progress=reported.append)
    game.play([0, 0, 2, 2], BoxCoalitions([(), (left,), (), (right,)], whole))
    assert game.evaluations.tolist() == [2, 0, 2]
    assert reported == [2, 2]
    assert game.model_seconds > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_model_works_in_its_own_precision(dtype):
    model = Counting(dtype=dtype)
    outputs = played(model)
    assert model.dtypes == {dtype}
    assert outputs.dtype == np.float64


def test_a_module_with_buffers_only_says_its_precision_too():
    class Frozen(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weights", torch.ones(90, 2))  # float32, the images are float64

        def forward(self, images):
            return images.flatten(1) @ self.weights

    assert played(Frozen()).shape == (12, 2)


def test_the_module_is_evaluated_and_left_as_it_was():
    model = torch.nn.Sequential(
        torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.9), torch.nn.Flatten(), torch.nn.Linear(90, 2)
    ).double()
    model[0].eval()  # frozen by its owner
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert (played(model) == played(model)).all()
    assert [m.training for m in model] == [False, True, True, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_gradients_are_off():
    def model(images):
        assert not torch.is_grad_enabled()
        assert not images.requires_grad
        return images.flatten(1)[:, :2]

    images = pictures.clone().requires_grad_()
    explanation = explain(model, images, max_evals=10)
    assert images.grad is None
    assert explanation.data.shape == (3, 6, 5, 3)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores: (scores, "features"),
        lambda scores: [scores],
        lambda scores: SimpleNamespace(logits=scores),
        lambda scores: {"logits": scores, "loss": None},
    ],
    ids=["tuple", "list", ".logits", "dict"],
)
def test_logits_are_found_in_what_the_model_returns(wrap):
    model = Generic(shape)
    assert (played(lambda images: wrap(model(images))) == played(model)).all()


def test_a_single_output_may_drop_its_dimension():
    model = Generic(shape)
    outputs = played(lambda images: model(images)[:, 0])
    assert outputs.shape == (12, 1)
    assert (outputs[:, 0] == played(model)[:, 0]).all()


def test_a_probability_is_a_softmax_and_a_sigmoid_where_classes_may_coincide():
    model = Generic(shape)
    logits = torch.from_numpy(played(model))
    assert (played(model, output="probability") == logits.softmax(1).numpy()).all()
    many = played(model, output="probability", multi_label=True)
    assert (many == logits.sigmoid().numpy()).all()
    single = played(lambda images: model(images)[:, :1], output="probability")
    assert (single == logits[:, :1].sigmoid().numpy()).all()


def test_an_output_of_ones_own_sees_the_call_model():
    model = Generic(shape)
    outputs = played(
        lambda images: {"maps": model(images)[:, :, None]}, output=lambda raw: raw["maps"].sum(2)
    )
    assert (outputs == played(model)).all()


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (lambda x: x.flatten(1) * torch.nan, ValueError, "model: .*NaN or infinite.* 12 of 12"),
        (lambda x: 1 / (0 * x.flatten(1)), ValueError, "model: .*NaN or infinite"),
        (lambda x: x.flatten(1)[1:], ValueError, "model: returned 11 rows for 12 images"),
        (lambda x: x, ValueError, r"model: .*\(12, 3, 6, 5\).*\(N, K\)"),
        (lambda x: x.sum(), ValueError, r"model: .*shape \(\)"),
        (lambda x: "cat", TypeError, "model: returned str"),
        (lambda x: {"out": x, "aux": x}, TypeError, "model: returned dict with 'out', 'aux', in"),
        (lambda x: SimpleNamespace(scores=x), TypeError, "returned SimpleNamespace with 'scores'"),
        (lambda x: {}, TypeError, "model: returned dict, in"),
        (lambda x: x.detach().numpy(), TypeError, "model: returned ndarray"),
    ],
)
def test_a_wrong_output_is_one_clear_error(model, error, words):
    with pytest.raises(error, match=words):
        played(model)


def model_of_names(images):
    return images.flatten(1)[:, :4]


def by_name(forward):
    """A module with a forward of its own signature."""
    return type("Keywords", (torch.nn.Module,), {"forward": forward})()


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, pixel_values=None, labels=None: model_of_names(pixel_values),
        lambda self, input_ids=None, pixel_values=None: model_of_names(pixel_values),
        lambda self, *, pixel_values: model_of_names(pixel_values),
        lambda self, *args, **kwargs: model_of_names(args[0]),
        lambda self, x, /: model_of_names(x),
    ],
)
def test_a_model_gets_its_images_by_the_name_it_has_for_them(forward):
    module = by_name(forward)
    expected = played(model_of_names)
    assert (played(module) == expected).all()
    assert (played(module.forward) == expected).all()


@pytest.mark.parametrize("output", ["logits", 3, None])
def test_an_unknown_output_is_named(output):
    known = "'logit', 'probability', 'value' or a function"
    with pytest.raises(ValueError, match=f"output: .*give {known}"):
        played(Generic(shape), output=output)
