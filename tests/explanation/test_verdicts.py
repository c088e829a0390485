"""One verdict for each image: what is true, predicted, how probable, and who is right."""

import ast
from pathlib import Path

import numpy as np
import pytest

import lightning_shap
from lightning_shap.explanation.classes import Classes
from lightning_shap.explanation.verdicts import Candidate, Verdict, Verdicts

CAT, DOG = Candidate(0, "cat", 0.259), Candidate(1, "dog", 0.705)
NAMES = ["cat", "dog", "cup"]


def judged(probabilities, labels, **known):
    shares = np.array(probabilities, dtype=float)
    classes = Classes(shares.shape[1], **known)
    labels = None if labels is None else classes.read_labels(np.array(labels))
    names = classes.name(NAMES[: classes.count])
    return Verdicts(classes, np.log(shares), shares, labels, names)


def test_a_mistake_has_the_probability_of_what_is_predicted_and_of_what_is_true():
    (verdict,) = judged([[0.259, 0.705, 0.036]], [0])
    assert verdict == Verdict((CAT,), (DOG,), False)
    assert verdict.words == "predicted dog 70.5 % · true cat 25.9 %"
    assert verdict.prediction == "dog 70.5 %"
    assert verdict.truth == "cat 25.9 %"


def test_what_is_right_is_said_once_and_what_is_not_known_is_not_said():
    right, unknown = judged([[0.705, 0.259, 0.036]] * 2, [0, -1])
    assert (right.right, right.words) == (True, "cat 70.5 %")
    assert (unknown.right, unknown.words) == (None, "predicted cat 70.5 %")
    assert (unknown.is_true_known, unknown.truth) == (False, "")


def test_a_single_output_speaks_for_the_second_of_two_classes():
    wrong, right = judged([[0.8], [0.1]], [0, 0])
    assert wrong.words == "predicted dog 80.0 % · true cat 20.0 %"
    assert right.words == "cat 90.0 %"


def test_several_classes_may_be_true_or_none():
    both, missed, none = judged(
        [[0.9, 0.6, 0.1], [0.9, 0.2, 0.1], [0.1, 0.2, 0.3]],
        [[1, 1, 0], [1, 1, 0], [0, 0, 0]],
        multi_label=True,
    )
    assert (both.right, both.words) == (True, "cat, dog")
    assert (missed.right, missed.words) == (False, "predicted cat 90.0 % · true cat, dog")
    assert (none.right, none.words) == (True, "no class")


def test_of_values_nothing_is_predicted_and_nothing_right():
    classes = Classes(2, values=True)
    (verdict,) = Verdicts(classes, np.array([[-1.25, 3]]), None, np.array([[1.0, 2]]))
    assert verdict == Verdict(value=-1.25)
    assert (verdict.prediction, verdict.words) == ("\N{MINUS SIGN}1.25", "")


def test_without_probabilities_there_are_names_alone():
    (verdict,) = Verdicts(Classes(3), np.eye(3)[:1], None, np.array([1]), NAMES)
    assert verdict.words == "predicted cat · true dog"


@pytest.mark.parametrize(("name", "said"), [("0", "0: 10.0 %"), ("cat", "cat 10.0 %")])
def test_a_name_that_ends_in_a_digit_is_held_apart_from_its_probability(name, said):
    assert Verdict(predicted=(Candidate(0, name, 0.1),)).prediction == said


def test_nobody_else_judges():
    """What is predicted, and whether that is right, is asked of the classes in one room alone."""
    root = Path(lightning_shap.__file__).parent
    for path in root.rglob("*.py"):
        calls = [
            node.func
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        judging = {call.attr for call in calls} & {"predicted", "right"}
        assert not judging or path.name in ("verdicts.py", "classes.py"), (path, judging)


def test_what_a_map_is_of_is_said_of_each_output():
    outputs = np.array([[1.0, 5.0, 3.0, 0.0], [9.0, 2.0, 0.0, 4.0]])
    explained, kept = np.array([[2, 1, 0], [0, 3, 2]]), np.array([[True, True, False]] * 2)
    assert Verdicts(Classes(4), outputs, None, np.array([2, -1])).roles(explained, kept) == [
        [("true", "runner-up"), ("predicted", "kept"), ("no. 3",)],
        [("predicted", "kept"), ("runner-up", "kept"), ("no. 4",)],
    ]
    roles = Verdicts(Classes(4), outputs, None, None).roles(explained)
    assert roles[0] == [("runner-up",), ("predicted",), ("no. 3",)]


def test_maps_have_the_roles_that_such_outputs_can_have():
    outputs, first = np.array([[2.0], [-2.0]]), np.zeros((2, 1), dtype=int)
    binary = Verdicts(Classes(1), outputs, 1 / (1 + np.exp(-outputs)), np.array([1, 1]))
    assert binary.roles(first) == [[("true", "predicted")], [("true", "runner-up")]]
    assert Verdicts(Classes(1, values=True), outputs, None, outputs).roles(first) == [[()], [()]]
    scores = np.array([[3.0, 2.0, -1.0]])
    several = Verdicts(
        Classes(3, multi_label=True), scores, 1 / (1 + np.exp(-scores)), scores > 2.5
    )
    found = several.roles(np.array([[0, 1, 2]]))
    assert found == [[("true", "predicted"), ("predicted",), ("no. 3",)]]
