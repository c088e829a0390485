"""The evolution of a training: each map as it is, all on one scale, mistakes marked."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from lightning_shap import explain
from lightning_shap.analysis.history.snapshot import Snapshot
from lightning_shap.explanation.verdicts import Candidate, Verdict
from lightning_shap.pictures import evolution
from lightning_shap.pictures.evolution import (
    MISTAKE,
    MOST_COLUMNS,
    _choose_evenly,
    draw_animation,
    draw_evolution,
    draw_evolution_card,
)
from lightning_shap.pictures.lettering import fit, measure_width
from lightning_shap.pictures.sheet import RIGHT, WRONG


def explained(scale=1.0, labels=(0, 1)):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    return explain(
        lambda x: scale * net(x), images, max_evals=30, labels=list(labels), topk=1, masker=0.0
    )


def drawn(scales, **options):
    chapters = [Snapshot.of(explained(scale), f"epoch {n}") for n, scale in enumerate(scales)]
    return draw_evolution(chapters, explained(scales[-1]), **options)


def cells(picture, columns, size=144, left=32, gap=16):
    """The maps of the first row, by columns."""
    top = picture.shape[0] - 32 - 20 - 2 * (size + 30)
    starts = [left + column * (size + gap) for column in range(1, columns + 1)]
    return [picture[top : top + size, start : start + size].astype(int) for start in starts]


def test_equal_maps_look_equal_and_weaker_ones_are_paler():
    one, same, weak = cells(drawn([1.0, 1.0, 0.2]), 3)
    assert np.array_equal(one, same)
    spread = [cell.max(axis=2) - cell.min(axis=2) for cell in (one, weak)]
    assert spread[1].max() < 0.6 * spread[0].max()


def test_the_untrained_model_does_not_set_the_scale():
    control = Snapshot.of(explained(100.0), "before training", is_control=True)
    epoch = Snapshot.of(explained(), "epoch 0")
    alone = draw_evolution([epoch, epoch], explained())
    beside = draw_evolution([control, epoch], explained())
    assert np.array_equal(cells(beside, 2)[1], cells(alone, 2)[1])


def test_mistakes_are_marked():
    explanation = explained()
    predicted = explanation.record.outputs.argmax(axis=1)
    for labels, colour, other in (
        (predicted, RIGHT, WRONG),
        ((predicted + 1) % 3, WRONG, RIGHT),
    ):
        explanation = explained(labels=labels.tolist())
        picture = draw_evolution([Snapshot.of(explanation, "epoch 0")] * 2, explanation)
        seen = {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}
        assert ImageColor.getrgb(colour) in seen
        assert ImageColor.getrgb(other) not in seen


@pytest.mark.parametrize("name", ["astronaut", "great white shark", "0"])
def test_a_long_name_is_cut_and_its_probability_is_not(name):
    caption = Verdict(predicted=(Candidate(0, name, 0.0001),)).prediction
    for width in (100, 130, 400):
        written = fit(caption, MISTAKE, width)
        assert written.endswith(" <0.1 %")
        assert measure_width(written, MISTAKE) <= width


def test_many_epochs_are_thinned_evenly_and_keep_their_ends():
    chapter = Snapshot.of(explained(), "epoch 0")
    many = [Snapshot(str(n), False, chapter.maps, (), (), None) for n in range(50)]
    numbers = [int(one.title) for one in _choose_evenly(many)]
    assert len(numbers) == MOST_COLUMNS
    assert (numbers[0], numbers[-1]) == (0, 49)
    assert set(np.diff(numbers)) == {7}


@pytest.mark.parametrize("epochs", [2, 3, 30])
def test_on_a_card_letters_are_nine_pixels_high_and_columns_are_first_middle_and_last(
    monkeypatch, epochs
):
    written, write = [], evolution.write

    def record(draw, x, baseline, text, style):
        written.append((text, style.size))
        write(draw, x, baseline, text, style)

    monkeypatch.setattr(evolution, "write", record)
    chapters = [Snapshot.of(explained(), "before training", is_control=True)]
    chapters += [Snapshot.of(explained(), f"epoch {n}") for n in range(epochs)]
    picture = draw_evolution_card(chapters, explained(), rows=[1])
    scale = min(290 / picture.shape[1], 210 / picture.shape[0])  # TensorBoard's least
    assert min(size * scale for _, size in written) > 9
    middle = round(epochs / 2) - 1
    over = [text for text, _ in written if "epoch" in text or "before" in text]
    assert over == ["before", f"epoch {middle}", f"epoch {epochs - 1}"]


def test_a_card_begins_with_the_images_that_are_asked_for():
    chapters = [Snapshot.of(explained(scale), f"epoch {scale}") for scale in (0.5, 1.0)]
    first, second = (draw_evolution_card(chapters, explained(), rows=[row]) for row in (0, 1))
    half = (first.shape[0] - 22) // 2
    np.testing.assert_array_equal(first[22 : 22 + half], second[-half:])
    assert np.array_equal(first, draw_evolution_card(chapters, explained()))


def test_an_animation_has_a_frame_for_each_epoch():
    chapters = [Snapshot.of(explained(scale), f"epoch {scale}") for scale in (0.2, 0.6, 1.0)]
    with Image.open(BytesIO(draw_animation(chapters, explained(), title="a run"))) as film:
        assert film.n_frames == 3
        assert film.info["loop"] == 0
        durations = []
        for frame in range(film.n_frames):
            film.seek(frame)
            film.load()
            durations.append(film.info["duration"] / 1000)
    epoch, last = durations[0], durations[-1]
    assert durations[:-1] == [epoch] * 2
    assert 0.5 <= epoch <= 1  # to see what changes, of thirty epochs in half a minute
    assert 3 <= last / epoch <= 4  # so that nobody takes the beginning for what comes next
