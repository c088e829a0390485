"""A resumed run explains the same samples to the same bytes as one that never stopped."""

import json
import warnings

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from tiny_training import (
    NO_STORY,
    Stream,
    TinyClassifier,
    fit,
    lightning_warns,
    same,
    session_of,
    tiny_callback,
    tiny_data,
    tiny_loaders,
    tiny_trainer,
)
from torch.utils.data import DataLoader

from lightning_shap import ShapCallback, explain
from lightning_shap.analysis.history.history import MOST, History
from lightning_shap.page.bundle import find_data

pytestmark = lightning_warns


class SeededByStep(TinyClassifier):
    """Draws what it draws by the step's number, so that a resumed run can repeat it."""

    def on_train_batch_start(self, batch, batch_idx):
        torch.manual_seed(self.global_step)


def fit_seeded(
    tmp_path, epochs, ckpt_path=None, shuffled=False, stream=False, seed=0, arguments=(), **options
):
    seed_everything(seed, verbose=False)
    ours = tiny_callback(**{**NO_STORY, "max_evals": 20, **dict(arguments)})
    keeper = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    options = {"max_epochs": epochs, "enable_checkpointing": True, **options}
    train = DataLoader(tiny_data(20), 4)
    data = tiny_data(12, seed=1)
    validation = DataLoader(Stream(data) if stream else data, 4, shuffle=shuffled or None)
    options |= {"module": SeededByStep(), "loaders": (train, validation), "ckpt_path": ckpt_path}
    trainer = fit(tmp_path, ours, keeper, **options)
    return trainer.logger.pictures, ours


SITUATIONS = {
    "sanity check": {},
    "shuffled validation": {"shuffled": True},
    "shuffled validation, no sanity check": {"shuffled": True, "num_sanity_val_steps": 0},
    "stream": {"stream": True},
    "stream, no sanity check": {"stream": True, "num_sanity_val_steps": 0},
    "sparse validation": {"check_val_every_n_epoch": 2, "num_sanity_val_steps": 0},
    "samples by index": {"arguments": {"samples": [7, 2]}},
    "samples given": {"arguments": {"samples": tiny_data(2, seed=3).tensors}},
}


@pytest.mark.draws
@pytest.mark.parametrize("name", SITUATIONS)
def test_pictures_after_a_resume_are_the_same_bytes(tmp_path, name):
    options = SITUATIONS[name]
    whole, _ = fit_seeded(tmp_path / "whole", 4, **options)
    begun, _ = fit_seeded(tmp_path / "parts", 2, **options)
    checkpoint = tmp_path / "parts" / "epoch=1.ckpt"
    resumed, _ = fit_seeded(tmp_path / "parts", 4, ckpt_path=checkpoint, seed=5, **options)

    steps = {step for _, step in resumed}
    # A sparse validation saves its checkpoint before the epoch's end, which comes again.
    again = {9} if "check_val_every_n_epoch" in options else set()
    assert steps == {14, 19} | again, "epochs 3 and 4, and no control"
    assert len(resumed) == len(steps) + 1  # with the final model
    assert all(same(picture, whole[key]) for key, picture in resumed.items())
    assert not any(same(whole["shap/attributions", 14], picture) for picture in begun.values())


@pytest.mark.parametrize("options", [{}, {"num_sanity_val_steps": 0}])
def test_a_checkpoint_holds_rows_and_no_images(tmp_path, options):
    _, ours = fit_seeded(tmp_path, 1, **options)
    checkpoint = torch.load(tmp_path / "epoch=0.ckpt", weights_only=True)
    state = checkpoint["callbacks"][ours.state_key]
    assert {*state["samples"]} == {"indices", "digest"}
    assert len(state["samples"]["indices"]) == 3
    del state["classifier"]  # the model card, which is longer the more there is to say
    torch.save(state, tmp_path / "state")
    assert (tmp_path / "state").stat().st_size < 5400  # three images are 768 bytes


@pytest.mark.parametrize("options", [{}, {"num_sanity_val_steps": 0}])
def test_images_of_a_stream_are_kept_since_they_cannot_be_found_again(tmp_path, options):
    _, ours = fit_seeded(tmp_path, 1, stream=True, **options)
    checkpoint = torch.load(tmp_path / "epoch=0.ckpt", weights_only=True)
    images = checkpoint["callbacks"][ours.state_key]["samples"]["images"]
    assert images.shape == (3, 1, 8, 8)
    # A view into a batch would have taken the whole batch along.
    assert images.untyped_storage().nbytes() == images.nbytes


def test_samples_that_the_user_gives_again_are_not_kept(tmp_path):
    _, ours = fit_seeded(tmp_path, 1, arguments={"samples": [0, 1]})
    assert "samples" not in ours.state_dict()


def test_two_tags_keep_their_own_samples(tmp_path):
    first = ShapCallback(n_samples=2, max_evals=8, on_error="raise", **NO_STORY)
    second = ShapCallback(n_samples=4, max_evals=8, on_error="raise", tag="second", **NO_STORY)
    keeper = ModelCheckpoint(tmp_path, filename="kept")
    trainer = tiny_trainer(tmp_path, first, second, keeper, enable_checkpointing=True)
    trainer.fit(TinyClassifier(), *tiny_loaders())
    callbacks = torch.load(tmp_path / "kept.ckpt", weights_only=True)["callbacks"]
    assert len(callbacks[first.state_key]["samples"]["indices"]) == 2
    assert len(callbacks[second.state_key]["samples"]["indices"]) == 4


def resumed_with(tmp_path, change, **options):
    """What a run explains that is resumed from a checkpoint whose state was changed."""
    fit_seeded(tmp_path, 1, **options)
    path = tmp_path / "epoch=0.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    (key,) = [key for key in checkpoint["callbacks"] if key.startswith("ShapCallback")]
    checkpoint["callbacks"][key] = change(checkpoint["callbacks"][key])
    torch.save(checkpoint, path)
    return fit_seeded(tmp_path, 2, ckpt_path=path, **options)[1]


@pytest.mark.parametrize("state", [{"pixels": 3}, {"version": 9, "samples": {"keys": [1]}}])
def test_an_unknown_state_is_a_warning_and_new_samples(tmp_path, state):
    with pytest.warns(UserWarning, match="holds samples of another version"):
        ours = resumed_with(tmp_path, lambda _: state)
    assert len(ours.explanation) == 3


def test_images_that_version_1_kept_are_explained_again(tmp_path):
    images, labels = tiny_data(3, seed=7).tensors
    ours = resumed_with(tmp_path, lambda _: {"images": images, "labels": labels})
    assert same(torch.from_numpy(ours.explanation.data).movedim(-1, 1).float(), images)


@pytest.mark.filterwarnings("ignore:ShapCallback")
@pytest.mark.parametrize("turn", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_no_part_of_a_state_can_end_the_run_that_is_resumed(tmp_path, turn):
    """A number stands for one part and a dictionary for the next, or the other way round."""
    arguments = {**STORY, "on_error": "warn", "n_samples": 1, "max_evals": 4}
    fit_seeded(tmp_path, 1, arguments=arguments)
    path = tmp_path / "epoch=0.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    (key,) = [key for key in checkpoint["callbacks"] if key.startswith("ShapCallback")]
    state = checkpoint["callbacks"][key]
    assert {"samples", "pictures", "story", "report", "classifier", "outputs"} <= {*state}
    inner = {(one, two) for one, part in state.items() if isinstance(part, dict) for two in part}
    parts = [(None, None), *((part, None) for part in state), *sorted(inner)]
    for number, (one, two) in enumerate(parts, start=turn):
        anything = (1, {"a": 1})[number % 2]
        if one is None:
            changed = anything
        else:
            changed = {**state, one: anything if two is None else {**state[one], two: anything}}
        torch.save({**checkpoint, "callbacks": {key: changed}}, path)
        pictures, _ = fit_seeded(tmp_path / "more", 2, ckpt_path=path, arguments=arguments)
        assert {step for tag, step in pictures if tag == "shap/attributions"} <= {9}, (one, two)
    assert (tmp_path / "more" / "epoch=1.ckpt").exists()


def test_another_data_set_is_noticed(tmp_path):
    def moved(state):
        return {**state, "samples": {**state["samples"], "digest": 1}}

    with pytest.warns(UserWarning, match="data set is not that of the checkpoint"):
        resumed_with(tmp_path, moved)


def test_another_number_of_samples_is_what_the_user_asks_for_now(tmp_path):
    fit_seeded(tmp_path, 1)
    _, ours = fit_seeded(
        tmp_path, 2, ckpt_path=tmp_path / "epoch=0.ckpt", arguments={"n_samples": 5}
    )
    assert len(ours.explanation) == 5


STORY = {"metrics": None, "evolution": "picture", "n_samples": 3, "max_evals": 20, "report": True}


def evolution_in(pictures):
    (picture,) = [one for (key, _), one in pictures.items() if key == "shap/evolution"]
    return picture


@pytest.mark.parametrize("method", ["partition", "kernel", "gradient"])
def test_a_resumed_run_goes_on_with_its_story(tmp_path, method):
    arguments = {**STORY, "method": method}
    whole, of_whole = fit_seeded(tmp_path / "whole", 4, arguments=arguments)
    fit_seeded(tmp_path / "parts", 2, arguments=arguments)
    resumed, ours = fit_seeded(
        tmp_path / "parts", 4, ckpt_path=tmp_path / "parts" / "epoch=1.ckpt", arguments=arguments
    )
    titles = ["before training", "epoch 0", "epoch 1", "epoch 2", "epoch 3"]
    assert [one.title for one in session_of(ours).logbook.history.snapshots] == titles
    assert ours.explanation.training == of_whole.explanation.training
    assert same(evolution_in(resumed), evolution_in(whole))
    assert steps_in(tmp_path / "parts") == steps_in(tmp_path / "whole")


def steps_in(folder):
    """The steps that a run's report holds, by tags."""
    page = json.loads(find_data((folder / "kept" / "version_0" / "shap.html").read_text()))
    (run,) = page["runs"].values()
    steps = {tag: [one["facts"]["step"] for one in known] for tag, known in run.items()}
    assert len(page["samples"]) == 1
    return {"shap": steps["shap"], "shap_final": steps["shap_final"][-1]}


def test_a_checkpoint_without_a_story_or_with_another_one_begins_it_anew(tmp_path):
    for state, message in {
        None: None,
        3: "begins its history anew",
    }.items():

        def changed(kept, state=state):
            kept.pop("story")
            return kept if state is None else {**kept, "story": {"version": state}}

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ours = resumed_with(tmp_path / str(state), changed, arguments=STORY)
        assert [one.title for one in session_of(ours).logbook.history.snapshots] == ["epoch 1"]
        said = [str(one.message) for one in caught if "story" in str(one.message)]
        assert len(said) == (message is not None)
        assert all(message in one for one in said)


def test_a_story_of_other_images_is_left_behind(tmp_path):
    fit_seeded(tmp_path, 1, arguments=STORY)
    other = {**STORY, "samples": [5, 1, 0]}
    _, ours = fit_seeded(tmp_path, 2, ckpt_path=tmp_path / "epoch=0.ckpt", arguments=other)
    assert [one.title for one in session_of(ours).logbook.history.snapshots] == ["epoch 1"]


def test_a_story_stays_small_in_a_checkpoint(tmp_path):
    images = torch.rand(8, 3, 224, 224)
    model = torch.nn.Sequential(torch.nn.AvgPool2d(28), torch.nn.Flatten(), torch.nn.Linear(192, 2))
    for method, most in {"partition": 300, "gradient": 1100}.items():
        found = explain(model, images, method=method, max_evals=30, topk=1, regions=None)
        story = History(())
        story.add(found, "before training", is_control=True)
        for epoch in range(MOST):
            story.add(found, f"epoch {epoch}")
        state = story.state_dict()
        assert sum(part.nbytes for part in state["chapters"]) < most * 1024, method
        torch.save(state, tmp_path / "state")
        other = History(())
        other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
        assert other.snapshots[0].is_control
        assert other.epochs[0].title == "epoch 0"
        assert other.epochs[-1].title == f"epoch {MOST - 1}"
        other.add(found, f"epoch {MOST}")
        assert len(other.epochs) <= MOST
