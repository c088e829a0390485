"""The card: what can be read where a log shows a picture small."""

import pytest
import torch
from generic_model import generic_images
from PIL import Image

from lightning_shap import explain
from lightning_shap.pictures import card
from lightning_shap.pictures.card import draw_card
from lightning_shap.pictures.limits import RunningLimit

CARD = 290, 210  # pixels that TensorBoard gives it


def explained(images=8, side=32, maps=3, **options):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * side**2, 5))
    pictures = generic_images(images, 3, side, side).float()
    predicted = model(pictures).argmax(1)
    labels = (predicted + torch.arange(images) % 2) % 5  # every second one is a mistake
    return explain(model, pictures, topk=maps, max_evals=20, labels=labels, **options)


@pytest.fixture
def written(monkeypatch):
    """Texts, and how high their letters are."""
    found, write = [], card.write

    def record(draw, x, baseline, text, style):
        found.append((text, style.size))
        write(draw, x, baseline, text, style)

    monkeypatch.setattr(card, "write", record)
    return found


@pytest.mark.parametrize("images", [1, 2, 4, 8])
@pytest.mark.parametrize("side", [28, 64, 300])
def test_its_letters_are_nine_pixels_high_where_the_card_is_smallest(written, images, side):
    picture = draw_card(explained(images, side))
    scale = min(CARD[0] / picture.shape[1], CARD[1] / picture.shape[0])
    assert min(size * scale for text, size in written if text) > (9 if images > 1 else 6)


def test_it_is_as_wide_as_the_room_for_it():
    picture = draw_card(explained())
    assert 1.3 < picture.shape[1] / picture.shape[0] < 1.7
    assert picture.shape[1] > 1000  # sharp where it is opened


def test_it_shows_the_predicted_class_where_it_is_another_and_names_both(written):
    explanation = explained()
    record = explanation.record
    draw_card(explanation)
    said = " ".join(text for text, _ in written)
    assert "6 of 8 images" in said
    for row in (1, 3, 5):
        true, predicted = record.labels[row], record.outputs[row].argmax()
        assert f"{record.class_names[true]} → {record.class_names[predicted]}" in said
    assert said.count("✓") == said.count("✗") == 3


def test_a_right_prediction_has_one_map():
    explanation = explained()
    right, wrong = (draw_card(explanation[[row]]) for row in (0, 1))
    assert (right == 255).all(2).mean() > (wrong == 255).all(2).mean() + 0.15


def test_the_scale_is_that_of_all_images_and_of_a_run():
    explanation, limit = explained(), RunningLimit()
    draw_card(explanation, limit=limit)
    first = limit.value
    draw_card(explanation[:2], limit=limit)
    assert limit.value == first > 0


def test_values_have_no_classes_to_be_wrong_about(written):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    images = generic_images(2, 3, 8, 8).float()
    picture = draw_card(explain(model, images, returns="values", max_evals=20))
    assert Image.fromarray(picture).width > 200
    assert not any("✗" in text for text, _ in written)
