"""What a run says of itself: its curves, its summary, and its evolution in one picture."""

import io
import json
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as some
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import (
    TinyClassifier,
    fit,
    ours_raise,
    session_of,
    tiny_callback,
    tiny_loaders,
    tiny_trainer,
)
from torch.utils.data import DataLoader, TensorDataset

from lightning_shap import ShapCallback, Similarity, explain
from lightning_shap.analysis.history.conclusion import Summary
from lightning_shap.analysis.history.history import MOST, History
from lightning_shap.analysis.history.snapshot import Snapshot
from lightning_shap.explanation.phrases import Name
from lightning_shap.training.logs import destinations as results
from lightning_shap.training.logs.logbook import choose_half
from lightning_shap.training.logs.loggers import EVOLUTION
from lightning_shap.training.time_budget import TimeBudget

pytestmark = ours_raise

PLACES = {f"where_{one}" for one in ("top_left", "top_right", "bottom_left", "bottom_right")}
WHERE = PLACES | {"where_border", "where_top_tenth", "where_entropy"}
COST = {"seconds"}


def follow(tmp_path, module=None, logger=None, epochs=3, **arguments):
    """A callback, and its trainer, after a training of some epochs."""
    ours = tiny_callback(**{"max_evals": 16, **arguments})
    torch.manual_seed(0)
    return ours, fit(tmp_path, ours, module=module, max_epochs=epochs, logger=logger)


def curves(trainer, tag="shap"):
    rows = [row for _, row in trainer.logger.metrics if f"{tag}/seconds" in row]
    return [{k.removeprefix(f"{tag}/"): v for k, v in row.items() if "/" in k} for row in rows]


SURE = {
    "partition": {"regions", "error", "clear"},
    "kernel": {"regions", "error", "clear"},
    "gradient": {"missing", "additivity_gap"},
}


@pytest.mark.parametrize("method", SURE)
def test_each_method_has_the_curves_that_say_something(tmp_path, method):
    _, trainer = follow(tmp_path, method=method)
    before, first, *later = curves(trainer)
    always = COST | WHERE | SURE[method]
    similar = {"similarity_to_previous"}
    floors = {"similarity_to_previous_floor"} if method == "kernel" else set()
    assert {*before} == always
    assert {*first} == always | {"similarity_to_untrained"}
    for row in later:
        assert {*row} == always | {"similarity_to_untrained"} | similar | floors
        assert -1 <= row["similarity_to_previous"] <= 1 + 1e-6
    (final,) = curves(trainer, "shap_final")
    assert {*final} == always | {"similarity_to_untrained"}


def test_the_curves_are_chosen_with_metrics(tmp_path):
    ours, trainer = follow(tmp_path, metrics=["settled", "faithful"], epochs=2)
    *_, last = curves(trainer)
    assert {*last} == COST | {
        "similarity_to_previous",
        "faithful_insertion",
        "faithful_deletion",
    }
    assert ours.explanation.record.evaluations.sum() <= 3 * 16  # the metrics' own are not its
    _, trainer = follow(tmp_path, metrics=[], epochs=1)
    assert {*curves(trainer)[-1]} == COST


@pytest.mark.parametrize(
    "wrong",
    ["settled", ["fast"], 3, [["settled"]]],
    ids=["a string", "unknown", "a number", "nested"],
)
def test_metrics_that_there_are_not_are_named(wrong):
    with pytest.raises((ValueError, TypeError), match=r"^metrics: "):
        ShapCallback(metrics=wrong)


def test_the_summary_is_logged_once_and_kept_with_the_explanation(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("lightning_shap.training.logs.logbook.inform", lines.append)
    ours, trainer = follow(tmp_path, max_evals=32)
    (said,) = lines
    text = trainer.logger.texts["shap/summary"]
    summary = ours.explanation.summary().splitlines()
    assert [line.split(":")[0] for line in summary] == [
        "explained",
        "settled",
        "changed",
        "where",
        "sure",
    ]
    for line in summary:
        assert line in said
        assert f"- {line}" in text
    assert "| epoch 2 | 1.000 |" in text
    assert "noise alone leaves" in summary[1]
    assert "settled:" not in explained_alone().summary()


def explained_alone(seed=0, max_evals=20):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    return explain(model, images, max_evals=max_evals, labels=[0, 1], topk=1, masker=0.0)


class Frozen(TinyClassifier):
    """Learns nothing, and remembers nothing."""

    def __init__(self):
        super().__init__(learning_rate=0.0, dropout=0.0)

    def on_train_epoch_start(self):
        self.net[1].eval()


def test_maps_that_still_resemble_the_untrained_models_are_warned_of(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours, _ = follow(tmp_path, Frozen(), max_evals=32)
    (found,) = [str(one.message) for one in caught if "ShapCallback" in str(one.message)]
    assert "still resemble those of the untrained model (similarity 1.00)" in found
    words = ours.explanation.summary()
    assert "settled: yes, from epoch 0 on: similarity to the final maps 1.00, noise" in words
    assert "changed: hardly: the final maps have a similarity of 1.00" in words


@pytest.mark.parametrize(
    ("right", "similarity", "is_named"),
    [("8 to 14 %", 0.98, True), ("18 % and more", 0.75, True), ("57 % and more", 0.71, False)],
)
def test_a_training_whose_maps_hardly_changed_is_named_and_no_other(right, similarity, is_named):
    """As measured for the table "The untrained control" of examples/benchmarks/README.md."""
    summary = Summary(("epoch 0",), (1.0,), 0.83, similarity, None, ("",))
    assert (summary.warning is not None) == is_named


def test_nothing_is_compared_where_maps_of_one_model_are_hardly_alike():
    """Not even as much as two random halves of one map would be, which have a cosine of 1/2."""
    for floor, is_compared in ((0.49, False), (0.51, True)):
        summary = Summary(("epoch 0",), (1.0,), floor, 1.0, None, ("",))
        assert (summary.warning is not None) == is_compared


def test_what_is_said_to_be_so_similar_or_more_is_not_less():
    summary = Summary(("epoch 0", "epoch 1"), (0.996, 1.0), 0.9, None, 0, ("",))
    assert "similarity to the final maps 0.99 or more, noise" in summary.text


def test_an_epoch_has_settled_if_it_and_all_later_ones_are_within_the_noise():
    other, final, half = (
        explained_alone(seed, evals) for seed, evals in ((1, 60), (0, 60), (0, 30))
    )
    for epochs, expected in {
        (other, other): None,
        (other, final): None,
        (final, other): None,
        (final, other, final): None,
        (other, final, final): 1,
    }.items():
        story = History(("settled",))
        for number, explanation in enumerate(epochs):
            story.add(explanation, f"epoch {number}")
        summary = story.end(final, half)
        assert summary.settled_at == expected
        assert 0.5 < summary.floor < 1
        assert ("settled: no," in summary.text) == (expected is None)
    assert story.end(final).floor is None


@pytest.mark.parametrize(
    ("older", "parts"),
    [
        ("cat 93 %", ("cat", " 93 %")),
        ("cup 3 38 %", ("cup 3", ": 38 %")),
        ("cat, sofa", ("cat, sofa",)),
        ("class 3", ("class 3",)),
    ],
)
def test_what_an_older_checkpoint_says_of_an_epoch_keeps_its_numbers_whole(older, parts):
    """Its words are one text, as ``cat 93 %``, in which everything else was as it is."""
    with np.load(io.BytesIO(Snapshot.of(explained_alone(), "epoch 0").packed)) as archive:
        arrays = dict(archive)
    about = {**json.loads(str(arrays["about"])), "verdicts": [older, older]}
    file = io.BytesIO()
    np.savez(file, **{**arrays, "about": np.array(json.dumps(about))})
    phrase, _ = Snapshot.unpack(file.getvalue()).verdicts
    assert tuple(filter(None, phrase.parts)) == parts
    assert [type(part) is Name for part in phrase.parts][:1] == [True]


def test_where_nothing_was_compared_there_is_no_verdict():
    final, half = explained_alone(0, 60), explained_alone(0, 30)
    story = History(("settled",))
    assert "settled" not in story.end(final, half).text
    story.add(final, "epoch 0")
    assert "settled: unknown, no epoch but epoch 0 was explained" in story.end(final, half).text
    assert story.end(final, half).settled_at is None


def test_similarities_have_one_direction_in_curves_words_and_tables():
    before, after = explained_alone(1, 60), explained_alone(0, 60)
    measure = Similarity()
    measure.update(after, before)
    expected = float(measure.compute())
    assert expected < 0.75
    story = History(("settled", "changed"))
    story.add(before, "before training", is_control=True)
    story.add(before, "epoch 0")
    numbers = story.add(after, "epoch 1")
    summary = story.end(after, explained_alone(0, 30))
    for name in ("similarity_to_previous", "similarity_to_untrained"):
        assert numbers[name] == pytest.approx(expected, abs=1e-5)
    assert summary.plain["similarity_to_untrained"] == pytest.approx(expected, abs=1e-5)
    assert summary.plain["similarity_to_final"] == pytest.approx([expected, 1], abs=1e-5)
    assert abs(expected) < 0.005
    words = "0.00"  # without the sign of what was rounded
    assert f"those of epoch 0 have a similarity of {words} to the final ones" in summary.text
    assert f"changed: yes: the final maps have a similarity of {words}" in summary.text
    assert f"| epoch 0 | {expected:.3f} |" in summary.markdown


@pytest.mark.parametrize(("max_evals", "half"), [(16, 8), (15, 0), (100, 50), (401, 200)])
def test_the_final_model_is_explained_again_with_half_the_budget_if_that_resolves_anything(
    max_evals, half
):
    story = History(("settled",))
    story.add(explained_alone(max_evals=20), "epoch 0")
    assert choose_half(explained_alone(max_evals=max_evals), story, TimeBudget(None)) == half


def test_kernel_takes_its_noise_floor_from_its_errors_and_is_not_explained_again(tmp_path):
    ours, _ = follow(tmp_path, method="kernel", max_evals=24, grid=4)
    assert choose_half(ours.explanation, session_of(ours).logbook.history, TimeBudget(None)) == 0
    assert ours.explanation.training.floor < 1


def test_the_evolution_is_one_picture_with_the_epochs_in_their_order(tmp_path):
    ours, trainer = follow(tmp_path, epochs=2)
    (picture,) = (one for (key, _), one in trainer.logger.pictures.items() if "evolution" in key)
    few = picture.shape
    _, trainer = follow(tmp_path, epochs=4)
    (picture,) = (one for (key, _), one in trainer.logger.pictures.items() if "evolution" in key)
    assert picture.shape[1] > few[1]
    chapters = session_of(ours).logbook.history.snapshots
    assert [one.title for one in chapters] == ["before training", "epoch 0", "epoch 1"]
    kept = chapters[-1].maps.source
    assert kept.labels.dtype == np.uint8
    assert kept.per_pixel.shape[-1] == 1


def test_without_evolution_there_is_none(tmp_path):
    _, trainer = follow(tmp_path, evolution=None, epochs=1)
    assert not [key for key, _ in trainer.logger.pictures if "evolution" in key]


def test_more_images_than_are_shown_bring_a_second_picture_of_those_that_changed(tmp_path):
    _, trainer = follow(tmp_path, n_samples=8, epochs=1)
    assert not any("evolution_changed" in key for key, _ in trainer.logger.pictures)
    ours = ShapCallback(n_samples=9, max_evals=6, on_error="raise")
    trainer = tiny_trainer(tmp_path, ours, max_epochs=2)
    trainer.fit(TinyClassifier(), *tiny_loaders(val=12))
    assert any("evolution_changed" in key for key, _ in trainer.logger.pictures)


@pytest.mark.parametrize("kind", [TensorBoardLogger, CSVLogger])
def test_an_animation_lies_beside_the_logs_if_asked_for(tmp_path, kind):
    _, trainer = follow(tmp_path, logger=kind(tmp_path), evolution="animated", epochs=2)
    with Image.open(f"{trainer.logger.log_dir}/shap/evolution.webp") as film:
        assert film.n_frames >= 3


def test_tensorboard_has_the_evolution_and_the_summary(tmp_path):
    _, trainer = follow(tmp_path, logger=TensorBoardLogger(tmp_path), epochs=2)
    trainer.logger.experiment.flush()
    events = EventAccumulator(trainer.logger.log_dir).Reload()
    assert [event.step for event in events.Images("shap/evolution")] == [9]
    (card,), (sheet,) = (events.Images(f"shap/evolution{name}") for name in ("", "_sheet"))
    assert card.width < sheet.width, "large cells, and the whole under a tag of its own"
    (text,) = events.Tensors("shap/summary/text_summary")
    assert b"- changed: " in text.tensor_proto.string_val[0]


def test_a_logger_that_fails_at_the_end_is_warned_of(tmp_path, monkeypatch):
    class Full(CSVLogger):
        pass

    logger = Full(tmp_path)
    ours = ShapCallback(n_samples=2, max_evals=6)
    trainer = tiny_trainer(tmp_path, ours, logger=logger, max_epochs=1)

    log_entry = results.log_entry

    def fails(logger, entry):
        if entry.name == EVOLUTION:
            raise OSError("no space")
        return log_entry(logger, entry)

    monkeypatch.setattr(results, "log_entry", fails)
    with pytest.warns(UserWarning, match="could not log to Full: OSError: no space"):
        trainer.fit(TinyClassifier(), *tiny_loaders())


def test_a_story_of_many_epochs_is_thinned_and_keeps_its_ends():
    story, explanation, counts = History(()), explained_alone(), []
    for epoch in range(3 * MOST):
        story.add(explanation, f"epoch {epoch}")
        counts.append(len(story.epochs))
        assert story.epochs[-1].title == f"epoch {epoch}"
    assert counts[:65] == [*range(1, 65), 33]
    assert max(counts) == 64
    numbers = [int(one.title.split()[1]) for one in story.epochs]
    assert numbers == sorted(numbers)
    assert set(np.diff(numbers[:-1])) == {4}
    assert numbers[0] == 0
    assert len(numbers) > MOST / 2


def test_a_checkpoint_keeps_a_mebibyte_of_epochs_the_first_and_the_last_among_them():
    story = History(())
    story.epochs = [SimpleNamespace(packed=bytes([epoch]) * 100_000) for epoch in range(20)]
    chapters = story.state_dict()["chapters"]
    assert 2**19 < sum(one.nbytes for one in chapters) <= 2**20
    assert [chapters[0][0].item(), chapters[-1][0].item()] == [0, 19]


def test_a_checkpoint_of_version_1_is_read():
    story, other = History(()), History(())
    story.add(explained_alone(), "epoch 0")
    other.load_state_dict({**story.state_dict(), "version": 1})
    assert [one.title for one in other.epochs] == ["epoch 0"]


def test_three_mistakes_are_named_and_the_others_counted():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    torch.nn.init.zeros_(model[1].weight)
    model[1].bias.data = torch.tensor([1.0, 0.0])
    found = explain(model, torch.rand(5, 1, 4, 4), labels=[1] * 5, topk=1, max_evals=4)
    (line,) = (line for line in found.summary().splitlines() if line.startswith("explained: "))
    assert "0 of 5 right" in line
    assert [f"image {image} " in line for image in range(5)] == [True, True, True, False, False]
    assert line.endswith("; 2 more")


def test_samples_that_have_become_more_begin_the_story_anew():
    story, explanation = History(("changed", "settled")), explained_alone()
    story.add(explanation[:1], "before training", is_control=True)
    assert story.add(explanation, "epoch 0") == {}
    assert [one.title for one in story.snapshots] == ["epoch 0"]


def test_a_chapter_says_what_was_predicted():
    explanation = explained_alone()
    chapter = Snapshot.of(explanation, "epoch 0")
    for image, words in enumerate(chapter.verdicts):
        best = explanation.record.probabilities[image].argmax()
        share = explanation.record.probabilities[image, best]
        assert words == f"class {best}: {100 * share:.1f} %"
    assert list(chapter.right) == explanation.record.right


@pytest.mark.parametrize(("side", "border", "corner"), [(4, 75, 6), (28, 49, 6), (32, 44, 6)])
def test_where_maps_lie_is_said_beside_how_much_of_the_image_that_is(side, border, corner):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(side**2, 2))
    found = explain(model, torch.rand(2, 1, side, side), topk=1, max_evals=8)
    (where,) = (line for line in found.summary().splitlines() if line.startswith("where: "))
    assert f"along the border, which is {border} % of the image" in where
    assert f"corner, which is {corner} %" in where


class Stopping(TinyClassifier):
    """Trains for two epochs; what runs on without weights, as batch norm does, stops as well."""

    def on_train_epoch_start(self):
        if self.current_epoch >= 2:
            self.net[1].eval()
            for group in self.optimizers().param_groups:
                group["lr"] = 0.0


@pytest.mark.parametrize("options", [{}, {"against": "runner-up"}, {"targets": [2, 0]}])
@pytest.mark.parametrize(
    "how",
    [
        {"method": "partition", "regions": "image"},
        {"method": "partition", "regions": "boxes"},
        {"method": "kernel"},
        {"method": "kernel", "regions": "image", "grid": 3},
        {"method": "gradient"},
    ],
    ids=str,
)
def test_the_same_weights_have_the_same_maps_whatever_they_predict(tmp_path, how, options):
    """Labels are random, so that what is predicted beside the true class changes all the time."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(24, 1, 8, 8, generator=random)
    labels = torch.randint(7, (24,), generator=random)
    batches = DataLoader(TensorDataset(images, labels), batch_size=6)
    ours = tiny_callback(n_samples=4, max_evals=24, **how, **options)
    torch.manual_seed(0)
    module = Stopping(classes=7, learning_rate=0.1)
    fit(tmp_path, ours, module=module, loaders=(batches, batches), max_epochs=5)
    story = ours.explanation.training
    assert [f"{1 - alike:.3f}" for alike in story.to_final[1:]] == ["0.000"] * 4
    assert story.to_final[0] < 0.999
    if story.floor is None or story.floor >= 0.5:
        assert "maps still change" not in story.text


@given(
    alike=some.lists(some.floats(0.5, 1), min_size=3, max_size=5),
    floor=some.floats(0.5, 1),
    settled_at=some.integers(0, 1),
)
def test_a_similarity_reads_as_no_less_than_the_noise_that_it_exceeds(alike, floor, settled_at):
    assume(min(alike[settled_at:]) >= floor)
    titles = tuple(f"epoch {number}" for number in range(len(alike)))
    summary = Summary(titles, tuple(alike), floor, None, settled_at, ("",))
    (line,) = [line for line in summary.lines if line.startswith("settled: yes")]
    similarity, noise = map(float, re.findall(r"\d\.\d\d", line))
    assert similarity >= noise
    assert similarity <= min(alike[settled_at:]) + 1e-4
