import copy
import pickle
import random
import subprocess
import sys
import warnings
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import shap
import torch
from generic_model import Generic, generic_images

import lightning_shap
from lightning_shap import explain
from lightning_shap.engine.answer import answer
from lightning_shap.engine.question import Known, Question
from lightning_shap.engine.truth import FoundLabels

mpl.use("agg")

shape = (3, 6, 5)
names = ["ant", "bee", "cat", "dog"]


@pytest.fixture(scope="module")
def model():
    return Generic(shape, classes=4)


@pytest.fixture(scope="module")
def images():
    return generic_images(2, *shape)


def explained(model, images, **kwargs):
    return explain(model, images, **{"max_evals": 24, "class_names": names, **kwargs})


def found(model, images, known=Known(), **kwargs):  # noqa: B008 - it is frozen
    """As a callback or a command asks, which find labels and names in data."""
    question = Question(**{"max_evals": 24, "class_names": names, **kwargs})
    return answer(model, images, question, known)


# --- what comes back -----------------------------------------------------------------------------


def test_the_result_is_a_shap_explanation_with_the_shapes_it_promises(model, images):
    explanation = explained(model, images, targets=[3, 1])
    assert isinstance(explanation, shap.Explanation)
    assert explanation.values.shape == (2, 6, 5, 3, 2)
    assert explanation.values.dtype == explanation.base_values.dtype == np.float64
    assert explanation.base_values.shape == (2, 2)
    assert np.array_equal(explanation.data, images.movedim(1, -1).numpy())
    assert np.array_equal(explanation.output_indexes, [[3, 1], [3, 1]])
    assert explanation.output_names == ["dog", "bee"]
    assert explanation.error_std.shape == explanation.values.shape
    assert explanation.to_shap().compute_time == explanation.record.seconds > 0


def test_an_unknown_label_puts_no_class_before_the_highest(model, images):
    explanation = explained(model, images, topk=2, labels=[-1, 0])
    best = model(images[:1]).detach().numpy().argsort()[0, :-3:-1]
    assert explanation.output_indexes[0].tolist() == best.tolist()
    assert explanation.output_indexes[1, 0] == 0
    assert explanation.record.labels.tolist() == [-1, 0]


def test_outputs_that_are_shares_of_one_are_taken_for_probabilities(model, images):
    record = explained(lambda x: model(x).softmax(1), images).record
    assert record.output == "probability"
    np.testing.assert_allclose(record.probabilities, model(images).detach().softmax(1), atol=1e-6)


@pytest.mark.parametrize("grid", [2, (2, 2), [2, 2]])
def test_a_grid_is_a_side_or_rows_and_columns(model, images, grid):
    assert explained(model, images, method="kernel", grid=grid).record.grid == (2, 2)


def test_lazy_layers_are_left_to_their_host(images):
    lazy = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(4)).double()
    with pytest.raises(ValueError, match="model: has layers that take their sizes"):
        explained(lazy, images)
    lazy(images)
    explained(lazy, images)


def test_topk_is_best_first_and_named_for_each_image(model, images):
    explanation = explained(model, images, topk=4)
    outputs = model(images).detach().numpy()
    assert np.array_equal(explanation.output_indexes, np.argsort(-outputs, axis=1))
    expected = np.array(names)[explanation.output_indexes]
    assert np.array_equal(np.broadcast_to(explanation.output_names, (2, 4)), expected)


def test_the_true_class_comes_first_and_the_highest_others_follow(model, images):
    outputs = model(images).detach().numpy()
    worst = outputs.argmin(axis=1)
    explanation = explained(model, images, topk=3, labels=worst)
    expected = np.column_stack([worst, np.argsort(-outputs, axis=1)[:, :2]])
    assert np.array_equal(explanation.output_indexes, expected)
    assert np.array_equal(explanation.record.labels, worst)


def test_all_classes_are_explained_where_none_are_asked_for(model, images):
    assert np.array_equal(explained(model, images).output_indexes, [[0, 1, 2, 3]] * 2)


@pytest.mark.parametrize(
    "targets", [2, [2], np.array([[2], [2]]), torch.tensor([2]), [np.int32(2)]], ids=repr
)
def test_targets_may_be_given_in_several_ways(model, images, targets):
    assert explained(model, images, targets=targets).output_indexes.tolist() == [[2], [2]]


def test_the_record_says_how_it_came_about(model, images):
    record = explained(model, images, topk=1, masker="blur(4,2)", seed=7).record
    assert (record.method, record.max_evals, record.seed) == ("partition", 24, 7)
    assert (record.masker, record.output, record.grid) == ("blur(4,2)", "logit", None)
    outputs = model(images).detach()
    np.testing.assert_allclose(record.outputs, outputs, atol=1e-12)
    np.testing.assert_allclose(record.probabilities, outputs.softmax(1), atol=1e-12)
    assert record.evaluations.tolist() == [24, 24]
    assert record.additivity_gap.shape == (2, 1)
    assert record.additivity_gap.max() < 1e-12
    assert 0 < record.model_seconds <= record.seconds


def test_probabilities_are_known_where_the_output_tells_them(model, images):
    record = explained(model, images, output="probability").record
    assert np.array_equal(record.probabilities, record.outputs)
    record = explained(model, images, multi_label=True).record
    np.testing.assert_allclose(record.probabilities, 1 / (1 + np.exp(-record.outputs)))
    custom = explained(model, images, output=lambda raw: raw**2).record
    assert (custom.output, custom.probabilities) == ("custom", None)


def test_two_names_of_a_single_output_mean_no_and_yes(model, images):
    explanation = explained(lambda x: model(x)[:, 0], images, class_names=["healthy", "ill"])
    assert explanation.output_names == ["ill"]
    assert explanation.values.shape == (2, 6, 5, 3, 1)


# --- values and several classes ------------------------------------------------------------------


def test_outputs_that_are_values_are_neither_classes_nor_probabilities(model, images):
    explanation = explained(model, images, output="value", class_names=None)
    record = explanation.record
    assert (record.output, record.probabilities, record.predicted) == ("value", None, None)
    assert explanation.output_names == [f"output {index}" for index in range(4)]
    assert explanation.output_indexes.tolist() == [[0, 1, 2, 3]] * 2
    logits = explained(model, images)
    assert np.array_equal(explanation.values, logits.values)
    named = explained(lambda x: model(x)[:, :1], images, output="value", class_names=["age"])
    assert named.output_names == ["age"]


def test_the_true_values_of_values_are_kept_and_are_no_classes(model, images):
    single = explained(lambda x: model(x)[:, 0], images, output="value", class_names=None)
    assert single.record.labels is None
    for labels in ([3, 40.5], [[3], [40.5]], torch.tensor([3, 40.5])):
        explanation = explained(
            lambda x: model(x)[:, 0], images, output="value", class_names=None, labels=labels
        )
        assert explanation.record.labels.tolist() == [[3.0], [40.5]]
        assert explanation.record.right == [None, None]
        assert np.array_equal(explanation.values, single.values)


def test_values_are_not_ranked(model, images):
    with pytest.raises(ValueError, match="topk: got 2, but values have no highest one; give targ"):
        explained(model, images, output="value", topk=2)


@pytest.mark.parametrize(
    ("labels", "binary", "output"),
    [
        ([0, 1], True, "logit"),
        ([0, 1], False, "value"),  # true of all samples, of which these are some
        ([18.5, 70.25], False, "value"),
    ],
)
def test_a_single_output_is_a_value_if_the_data_has_labels_beyond_zero_and_one(
    model, images, labels, binary, output
):
    known = Known(labels=FoundLabels(binary=binary))
    single = found(lambda x: model(x)[:, :1], images, known, class_names=None, labels=labels)
    assert single.record.output == output
    assert found(model, images, known, labels=labels).record.output == "logit"
    if binary:
        given = explained(lambda x: model(x)[:, :1], images, class_names=None, labels=labels)
        assert given.record.output == "logit"


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ([3, 7], None),  # 7 is none of four classes
        ([0.5, 0.25], None),
        ([[1, 0, 0], [0, 1, 0]], None),  # of three classes
        ([2, 1], [2, 1]),
    ],
)
def test_labels_of_another_task_are_left_out_if_nobody_gave_them(model, images, labels, kept):
    record = found(model, images, Known(labels=FoundLabels()), labels=labels).record
    assert (None if record.labels is None else record.labels.tolist()) == kept
    if kept != labels:
        with pytest.raises(ValueError, match="labels: "):
            explained(model, images, labels=labels)


def test_names_of_another_task_are_left_out_if_nobody_gave_them(model, images):
    with pytest.warns(UserWarning, match="class_names: the data set knows 2, the model has 4"):
        left_out = found(model, images, Known(finds_names=True), class_names=["cat", "dog"])
    assert left_out.record.class_names.tolist() == [f"class {index}" for index in range(4)]
    known = Known(finds_names=True)
    values = found(lambda x: model(x)[:, :1], images, known, class_names=names, output="value")
    assert values.output_names == ["output 0"]
    with pytest.raises(ValueError, match="class_names: got 2 names"):
        explained(model, images, class_names=["cat", "dog"])


def test_fewer_outputs_than_asked_for_will_do_where_nobody_chose_how_many(model, images):
    everything = found(model, images, topk=9, fewer_will_do=True)
    assert np.sort(everything.output_indexes).tolist() == [[0, 1, 2, 3]] * 2
    some = found(model, images, topk=2, fewer_will_do=True)
    assert np.array_equal(some.values, explained(model, images, topk=2).values)
    values = found(model, images, topk=2, fewer_will_do=True, output="value")
    assert values.output_indexes.tolist() == [[0, 1]] * 2
    with pytest.raises(ValueError, match="topk: got 9, but the model has 4 classes"):
        explained(model, images, topk=9)


def hugging_face(task, names):
    head = Generic(shape, classes=len(names))
    head.config = SimpleNamespace(id2label=dict(enumerate(names)), problem_type=task)
    head.num_labels = len(names)
    return torch.nn.Sequential(head)


def test_what_a_model_says_of_its_outputs_is_believed(images):
    ages = explained(hugging_face("regression", ["age"]), images, class_names=None)
    assert (ages.record.output, ages.output_names) == ("value", ["age"])
    several = hugging_face("multi_label_classification", ["a", "b", "c"])
    record = explained(several, images, class_names=None).record
    assert record.multi_label
    np.testing.assert_allclose(record.probabilities, 1 / (1 + np.exp(-record.outputs)))
    assert record.class_names.tolist() == ["a", "b", "c"]
    given = explained(several, images, class_names=["x", "y", "z"]).record
    assert given.class_names.tolist() == ["x", "y", "z"]


@pytest.mark.parametrize("kind", [torch.tensor, lambda rows: torch.tensor(rows).bool(), list])
def test_all_true_classes_come_first_best_first(model, images, kind):
    several = [[1, 0, 1, 1], [0, 0, 0, 0]]
    outputs = model(images).detach().numpy()
    explanation = explained(model, images, labels=kind(several), topk=4, multi_label=True)
    best_first = np.argsort(-outputs, axis=1)
    true = [index for index in best_first[0] if several[0][index]]
    assert explanation.output_indexes[0].tolist() == [*true, 1]
    assert explanation.output_indexes[1].tolist() == best_first[1].tolist()
    assert explanation.record.labels.tolist() == np.array(several, dtype=bool).tolist()
    fewer = explained(model, images, labels=kind(several), topk=1, multi_label=True)
    assert fewer.output_indexes[0].tolist() == true[:1]


@pytest.mark.filterwarnings("default")
def test_several_true_classes_of_a_softmax_are_hinted_at(model, images):
    several = [[1, 0, 1, 0], [0, 1, 0, 0]]
    with pytest.warns(UserWarning, match="labels: some images have several.*multi_label=True"):
        explained(model, images, labels=several)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explained(model, images, labels=several, multi_label=True)
        explained(model, images, labels=[[1, 0, 0, 0], [0, 1, 0, 0]])


def test_booleans_are_the_two_classes_of_a_single_output(model, images):
    record = explained(
        lambda x: model(x)[:, 0], images, class_names=["no", "yes"], labels=[True, False]
    ).record
    assert record.labels.tolist() == [1, 0]
    assert len(record.right) == 2
    assert None not in record.right


# --- channels last -------------------------------------------------------------------------------

convolution, flat = torch.nn.Conv2d, torch.nn.Flatten


def begins_with(*layers):
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), flat())
    return network.double()


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (begins_with(convolution(1, 2, 1)), (28, 28, 1)),
        (begins_with(convolution(3, 2, 1)), (16, 24, 3)),
        (begins_with(convolution(4, 2, 1)), (8, 8, 4)),
        (begins_with(convolution(3, 2, 1)), (5, 4, 3)),
    ],
)
def test_channels_last_is_recognised(network, size):
    pictures = generic_images(2, *size)
    with pytest.raises(
        ValueError, match=rf"images: have shape .*{size[2]}\), with the channels la"
    ):
        explained(network, pictures, class_names=None, targets=[0])


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (begins_with(convolution(28, 2, 1)), (28, 28, 1)),  # slivers of many channels
        (begins_with(convolution(22, 2, 1)), (22, 100, 1)),
        (flat(), (22, 100, 1)),  # signals, of no picture's sides
        (flat(), (13, 4, 4)),
        (flat(), (3, 16, 4)),
        (flat(), (1, 16, 3)),
        (flat(), (5, 5, 3)),
    ],
)
def test_small_images_of_many_channels_are_what_they_are(network, size):
    explanation = explained(network, generic_images(2, *size), class_names=None, targets=[0])
    assert explanation.values.shape == (2, size[1], size[2], size[0], 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_images_of_any_precision_keep_their_pixels(model, images, dtype):
    pictures = images.to(dtype)
    explanation = explained(model, pictures, targets=0)
    assert np.array_equal(explanation.data, pictures.movedim(1, -1).float().numpy())


def test_the_data_are_a_copy(model, images):
    pictures = images.clone().to(memory_format=torch.channels_last)
    explanation = explained(model, pictures, targets=0)
    pictures.zero_()
    assert explanation.data.any()


def test_progress_reaches_its_total(model, images):
    reports = []
    explained(model, images, batch_size=8, progress=lambda *report: reports.append(report))
    assert reports[0] == (4, 48)
    assert reports[-1] == (48, 48)


def test_a_progress_bar_disturbs_nothing(model, images, capsys):
    explained(model, images, progress=True)
    assert capsys.readouterr().out == ""


# --- the same bytes ------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_bytes_whatever_ran_before(images):
    def noisy(x):  # draws in its forward, also in evaluation mode
        noise = torch.rand(x.shape).double() + np.random.rand() + random.random()
        return (x * noise).flatten(1)[:, :4]

    first = explained(noisy, images, topk=2)
    random.random(), np.random.rand(5), torch.rand(3)
    second = explained(noisy, images, topk=2)
    other = explained(noisy, images, topk=2, seed=1)
    assert first.values.tobytes() == second.values.tobytes() != other.values.tobytes()


def test_random_states_are_left_as_they_were(model, images):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
    explained(model, images)
    after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_size_changes_nothing_but_speed(model, images, batch_size):
    usual, other = (explained(model, images, batch_size=size) for size in (64, batch_size))
    np.testing.assert_allclose(other.values, usual.values, atol=1e-12)
    assert np.array_equal(other.record.evaluations, usual.record.evaluations)


def test_the_model_and_its_gradients_are_left_as_they_were(images):
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten()).double()
    network[0].weight.grad = torch.ones_like(network[0].weight)
    state = copy.deepcopy(network.state_dict())
    explained(network, images, class_names=None, topk=1)
    assert network.training
    assert network[0].training
    assert torch.equal(network[0].weight.grad, torch.ones_like(network[0].weight))
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


# --- shap's ways with an explanation -------------------------------------------------------------


@pytest.fixture(params=["shared classes", "own classes"])
def explanation(request, model):
    """Three images of three channels, where shap's own class would mix up its axes."""
    pictures = generic_images(3, *shape)
    asked = [1, 3] if request.param == "shared classes" else [[1, 3], [0, 3], [2, 1]]
    return explained(model, pictures, targets=np.array(asked))


def test_slices_keep_their_parts_together(explanation):
    values, base = explanation.values, explanation.base_values
    one = explanation[1]
    assert np.array_equal(one.values, values[1])
    assert np.array_equal(one.base_values, base[1])
    assert np.array_equal(one.data, explanation.data[1])
    assert np.array_equal(one.output_indexes, explanation.output_indexes[1])
    last = explanation[..., 1]
    assert np.array_equal(last.values, values[..., 1])
    assert np.array_equal(last.base_values, base[:, 1])
    assert np.array_equal(last.data, explanation.data)
    assert np.array_equal(last.output_indexes, explanation.output_indexes[:, 1])
    some = explanation[[0, 2]]
    assert np.array_equal(some.values, values[[0, 2]])
    assert np.array_equal(some.base_values, base[[0, 2]])


def test_classes_that_all_images_share_are_sliced_by_name(model, images):
    explanation = explained(model, images, targets=[1, 3])
    dogs = explanation[:, :, :, :, "dog"]
    assert np.array_equal(dogs.values, explanation.values[..., 1])
    assert np.array_equal(dogs.base_values, explanation.base_values[:, 1])
    assert dogs.output_names == "dog"


def test_the_record_survives_copies_and_pickles(explanation):
    assert copy.copy(explanation).record is explanation.record
    for other in (copy.deepcopy(explanation), pickle.loads(pickle.dumps(explanation))):
        assert np.array_equal(other.record.outputs, explanation.record.outputs)
        assert np.array_equal(other.values, explanation.values)
        assert np.array_equal(other.output_indexes, explanation.output_indexes)
        assert np.array_equal(other.output_names, explanation.output_names)
        assert np.array_equal(other[0].base_values, explanation[0].base_values)


@pytest.mark.parametrize(
    ("part", "maps"),
    [(lambda e: e, 2), (lambda e: e[0], 2), (lambda e: e[..., 1], 1), (lambda e: e[2, ..., 0], 1)],
    ids=["whole", "an image", "a class", "a class of an image"],
)
def test_shap_draws_it(explanation, part, maps):
    from matplotlib import pyplot as plt

    plt.close("all")
    piece = part(explanation)
    shap.image_plot(piece, show=False)
    rows = 3 if piece.data.ndim == 4 else 1
    assert len(plt.gcf().axes) == rows * (1 + maps) + 1  # photographs, maps and the colour bar
    plt.close("all")


# --- bad input -----------------------------------------------------------------------------------


def nan_images():
    pictures = generic_images(2, *shape)
    pictures[1, 0, 2, 2] = torch.nan
    return pictures


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"images": generic_images(*shape)}, ValueError, r"images: .*\(3, 6, 5\).*\(N, C, H, W\)"),
        ({"images": generic_images(0, *shape)}, ValueError, r"images: .*empty.*\(0, 3, 6, 5\)"),
        ({"images": nan_images()}, ValueError, "images: .*NaN or infinite"),
        ({"images": nan_images() / 0}, ValueError, "images: .*NaN or infinite"),
        ({"images": torch.ones(2, *shape, dtype=torch.uint8)}, TypeError, "images: .*uint8"),
        ({"images": np.zeros((2, *shape))}, TypeError, "images: got ndarray"),
        ({"model": "resnet18"}, TypeError, "model: got str"),
        ({"model": lambda x: x.flatten(1) * torch.nan}, ValueError, "model: .*NaN"),
        ({"model": lambda x: x.flatten(1)[:1]}, ValueError, r"model: returned 1 rows for \d"),
        ({"method": "lime"}, ValueError, "method: unknown 'lime'"),
        ({"max_evals": 1}, ValueError, "max_evals: got 1; give at least 2"),
        ({"max_evals": 10.5}, TypeError, "max_evals: got 10.5"),
        ({"batch_size": 0}, ValueError, "batch_size: got 0; give at least 1"),
        ({"batch_size": True}, TypeError, "batch_size: got True"),
        ({"seed": -1}, ValueError, "seed: got -1"),
        ({"seed": "a"}, TypeError, "seed: got 'a'"),
        ({"targets": 4}, ValueError, "targets: hold 4.*4 classes, 0 to 3"),
        ({"targets": [0, -1]}, ValueError, "targets: hold -1.*4 classes"),
        ({"targets": [0.5]}, TypeError, "targets: got float64"),
        ({"targets": ["dog"]}, TypeError, "targets: got <U3"),
        ({"targets": []}, ValueError, r"targets: .*\(0,\)"),
        ({"targets": [[0], [0, 1]]}, ValueError, "targets: got rows of different lengths"),
        ({"targets": [[0], [1], [2]]}, ValueError, r"targets: .*\(3, 1\).*\(2, K'\)"),
        ({"topk": 5}, ValueError, "topk: got 5, but the model has 4 classes"),
        ({"topk": 0}, ValueError, "topk: got 0"),
        ({"topk": 1.0}, TypeError, "topk: got 1.0"),
        ({"topk": 1, "targets": [0]}, ValueError, "targets, topk: both were given"),
        ({"labels": [0]}, ValueError, r"labels: .*\(1,\).*2 images"),
        ({"method": "kernel", "grid": [3]}, ValueError, r"grid: got \[3\]; give patches a side"),
        ({"labels": [0, 4]}, ValueError, "labels: hold 4.*4 classes"),
        ({"class_names": ["a", "b"]}, ValueError, "class_names: got 2 names.*4 classes"),
        ({"class_names": "abcd"}, TypeError, "class_names: got the string 'abcd'"),
        ({"masker": "noise"}, ValueError, "masker: unknown 'noise'"),
        ({"masker": torch.zeros(3, 5, 6)}, ValueError, r"masker: .*\(3, 5, 6\).*\(2, 3, 6, 5\)"),
        ({"output": "logits"}, ValueError, "output: .*'logits'"),
    ],
)
def test_bad_input_is_one_error_that_names_it(model, images, given, error, words):
    arguments = {"model": model, "images": images, **given}
    before = torch.get_rng_state()
    with pytest.raises(error, match=words):
        explained(**arguments)
    assert torch.equal(torch.get_rng_state(), before)


# --- the package ---------------------------------------------------------------------------------


def in_a_fresh_process(code):
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.integration
def test_importing_the_package_loads_nothing_heavy():
    in_a_fresh_process(
        "import sys, lightning_shap; dir(lightning_shap)\n"
        "lightning = {'pytorch_lightning', 'lightning'}\n"
        "heavy = {'torch', 'shap', 'numpy', 'matplotlib', 'timm'} | lightning\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )


def test_explain_stays_the_function_when_its_module_is_imported():
    import lightning_shap.engine.explain

    assert lightning_shap.explain is explain
    assert lightning_shap.engine.explain.explain is explain


def test_a_name_the_package_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'lightning_shap' has no attribute 'explains'"):
        lightning_shap.explains  # noqa: B018
