"""What a model returns is found out by what makes its outputs, and by all of their values."""

import numpy as np
import pytest
import torch
from torch import nn

from lightning_shap import InsertionAUC, explain, load
from lightning_shap.engine.returned import HIGH, LOW, OFF, VARIED, Returned
from lightning_shap.explanation.archive import save
from lightning_shap.pictures.captions import Captions


class Ending(nn.Module):
    """A network whose last step is a function of its K logits."""

    def __init__(self, classes, ending):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, classes)
        )
        self.ending = ending

    def forward(self, images):
        return self.ending(self.net(images))


@pytest.fixture(scope="module")
def images():
    return torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def seen(ending, images, classes=1, **arguments):
    """What is kept of a model's explanation."""
    return explain(Ending(classes, ending), images, max_evals=6, **arguments).record


@pytest.mark.parametrize(
    ("classes", "ending"),
    [
        (1, torch.sigmoid),
        (1, nn.Sigmoid()),
        (1, lambda o: o.sigmoid_()),
        (1, lambda o: {"logits": o.sigmoid()}),
        (1, lambda o: (o.sigmoid().squeeze(1), o)),
        (1, lambda o: o.sigmoid().half().float().clamp(1e-6, 1 - 1e-6)),
        (4, torch.sigmoid),
        (3, nn.Softmax(1)),
        (3, lambda o: o.log_softmax(1).exp()),
        (3, lambda o: torch.stack([o.softmax(1), (2 * o).softmax(1)]).mean(0)),  # an ensemble
    ],
)
def test_what_ends_in_a_sigmoid_or_a_softmax_returns_probabilities(images, classes, ending):
    plain = seen(lambda o: o, images, classes)
    record = seen(ending, images, classes)
    assert (record.returns, record.returns_guessed, record.output) == (
        "probabilities",
        False,
        "probability",
    )
    assert np.array_equal(record.probabilities, record.outputs)  # not squashed once more
    assert plain.returns == "logits"
    again = seen(ending, images, classes, output="probability")  # the identity
    assert np.array_equal(again.outputs, record.outputs)
    if classes == 1:
        assert np.array_equal(record.predicted[:, 1], record.outputs[:, 0] > 0.5)


def test_a_perfect_model_of_two_classes_is_sure_and_right(images):
    labels = (images.mean((1, 2, 3)) > images.mean()).long()

    class Perfect(nn.Module):
        def forward(self, pictures):
            return torch.sigmoid(4000 * (pictures.mean((1, 2, 3)) - images.mean()))

    explanation = explain(Perfect(), images, max_evals=6, labels=labels)
    assert explanation.record.right == [True] * 8
    heading = Captions(explanation).image(0)
    assert heading.right
    assert ">99.9 %" in heading.share


def test_several_probabilities_are_predicted_where_above_one_half(images):
    record = seen(torch.sigmoid, images, 4, multi_label=True)
    assert np.array_equal(record.predicted, record.outputs > 0.5)
    assert 0 < record.predicted.mean() < 1


def test_a_young_logit_within_zero_and_one_stays_a_logit(images):
    young = Ending(1, lambda o: 0.01 * o + 0.06)
    record = explain(young, images, max_evals=6).record
    assert 0.03 < record.outputs.min() < record.outputs.max() < 0.09
    assert (record.returns, record.returns_guessed, record.output) == ("logits", True, "logit")
    layer = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))  # of which nothing is guessed
    nn.init.constant_(layer[1].weight, 1e-3)
    nn.init.zeros_(layer[1].bias)
    record = explain(layer, images, max_evals=6).record
    assert 0 < record.outputs.min() < record.outputs.max() < 0.09
    assert (record.returns, record.returns_guessed) == ("logits", False)
    for ending in (lambda o: o / 2, lambda o: o / o.norm(dim=1, keepdim=True)):
        assert seen(ending, images, 3).returns == "logits"


def test_logarithms_of_probabilities_are_known(images):
    record = seen(nn.LogSoftmax(1), images, 3)
    assert (record.returns, record.output) == ("log-probabilities", "log-probability")
    np.testing.assert_allclose(record.probabilities, np.exp(record.outputs))
    likely = seen(nn.LogSoftmax(1), images, 3, output="probability")
    np.testing.assert_allclose(likely.outputs, record.probabilities)
    single = seen(nn.LogSigmoid(), images)
    np.testing.assert_allclose(single.probabilities, np.exp(single.outputs))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_script_is_watched_like_a_module(images):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Sigmoid()).eval()
    traced = torch.jit.trace(module, images)
    assert explain(traced, images, max_evals=6).record.returns == "probabilities"


def test_what_cannot_be_seen_is_judged_by_its_values_and_called_a_guess(images):
    def unseen(ending):
        return lambda o: torch.from_numpy(ending(o).numpy())

    shares = seen(unseen(lambda o: o.softmax(1)), images, 3)
    assert (shares.returns, shares.returns_guessed) == ("probabilities", True)
    middling = seen(unseen(torch.sigmoid), images)
    assert (middling.returns, middling.returns_guessed) == ("logits", True)
    decided = seen(unseen(lambda o: torch.sigmoid(9999 * (o - o.mean()))), images)
    assert (decided.returns, decided.returns_guessed) == ("probabilities", True)
    beyond = seen(unseen(lambda o: 40 * o), images)
    assert (beyond.returns, beyond.returns_guessed) == ("logits", False)


def test_many_varied_outputs_are_needed_for_a_guess():
    def judged(rows, least, most, multi_label=False):
        one = Returned()
        one.see(np.linspace(least, most, rows)[:, None])
        return one.judge(multi_label)

    inside = LOW - 0.01, HIGH + 0.01
    assert judged(VARIED, *inside) == ("probabilities", True)
    assert judged(VARIED - 1, *inside) == ("logits", True)
    assert judged(VARIED, LOW + 0.01, inside[1]) == ("logits", True)
    assert judged(VARIED, inside[0], HIGH - 0.01) == ("logits", True)
    assert judged(VARIED, -0.01, inside[1]) == ("logits", False)
    for off, kind in ((OFF / 2, "probabilities"), (2 * OFF, "logits")):
        shares = Returned()
        shares.see(np.array([[0.3, 0.7 + off]]))
        assert shares.judge(False) == (kind, True)


def test_what_was_once_beyond_zero_and_one_is_no_probability_later():
    first, later = Returned(), Returned()
    first.see(np.array([[1.5]]))
    later.see(np.linspace(0, 1, 99)[:, None])
    assert later.judge(False)[0] == "probabilities"
    for one, other in ((first, later), (later, first)):
        joined = Returned(*one.state())
        joined.join(other)
        joined.join(other)
        assert joined.judge(False) == ("logits", False)
        assert joined.rows == 99


def test_watching_changes_no_bit_of_what_a_model_returns(images):
    model = Ending(3, lambda o: o.softmax(1))
    with torch.no_grad():
        expected = model.eval()(images).double().numpy()
    assert np.array_equal(explain(model, images, max_evals=6).record.outputs, expected)
    watched, told = (explain(model, images, max_evals=20, returns=r) for r in (None, "logits"))
    assert np.array_equal(watched.values, told.values)


def test_what_is_given_is_believed(images):
    given = seen(torch.sigmoid, images, returns="logits")
    np.testing.assert_allclose(given.probabilities, 1 / (1 + np.exp(-given.outputs)))
    values = seen(torch.sigmoid, images, returns="values")
    assert (values.output, values.probabilities) == ("value", None)
    same = seen(torch.sigmoid, images, output="value")
    assert (same.returns, same.output) == ("values", "value")


def test_a_function_and_values_can_be_had_together(images):
    ages = lambda o: {"age": 50 + o, "logits": o}  # noqa: E731
    record = seen(ages, images, 3, output=lambda raw: raw["age"], returns="values")
    assert (record.output, record.returns, record.probabilities) == ("custom", "values", None)
    assert record.predicted is None
    assert record.class_names.tolist() == ["output 0", "output 1", "output 2"]


def test_a_function_that_only_picks_leaves_outputs_what_they_are(images):
    def heads(o):
        return {"kind": o, "sex": o[:, :1].sigmoid()}

    assert seen(heads, images, 3, output=lambda raw: raw["sex"]).returns == "probabilities"
    assert seen(heads, images, 3, output=lambda raw: raw["kind"]).returns == "logits"
    for own in (lambda raw: raw["kind"] - 1, lambda raw: raw["kind"][:, :2]):
        record = seen(heads, images, 3, output=own)
        assert (record.returns, record.probabilities) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"returns": "scores"}, "returns: unknown 'scores'; give one of 'logits', 'prob"),
        ({"returns": "logits", "output": "value"}, "returns: got 'logits' with output='value'"),
        ({"returns": "values", "output": "probability"}, "output: got 'probability' with returns"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(images, arguments, words):
    with pytest.raises(ValueError, match=words):
        seen(torch.sigmoid, images, **arguments)


def test_the_footer_says_what_was_taken_where_that_is_no_plain_logit(images):
    def footer(ending, **arguments):
        explanation = explain(Ending(3, ending), images, max_evals=6, **arguments)
        return Captions(explanation).method([0])

    assert "returns probabilities" in footer(nn.Softmax(1))
    assert "taken for probabilities" in footer(lambda o: torch.tensor(o.softmax(1).tolist()))
    assert not [item for item in footer(lambda o: o) if "returns" in item or "taken" in item]


def test_an_archive_keeps_what_was_taken(images, tmp_path):
    explanation = explain(Ending(1, torch.sigmoid), images, max_evals=6)
    record = load(save(explanation, tmp_path / "explanation.npz")).record
    assert (record.returns, record.returns_guessed) == ("probabilities", False)
    assert np.array_equal(record.probabilities, explanation.record.probabilities)


def test_insertion_follows_the_models_own_probabilities(images):
    model = Ending(1, torch.sigmoid)
    explanation = explain(model, images, max_evals=6)
    whole = float(explanation.record.outputs.mean())
    for given in (explanation, torch.rand(8, 8, 8)):
        metric = InsertionAUC(steps=4, random_maps=0)
        metric.update(model, given, images, [0] * 8)
        assert float(metric.curve[-1]) == pytest.approx(whole, abs=1e-6)
