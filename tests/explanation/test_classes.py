"""What outputs stand for: one class each, the second of two, a value, several classes at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_shap.explanation.classes import Classes

kinds = st.builds(Classes, st.integers(1, 6), values=st.booleans(), multi_label=st.booleans())
rows = np.random.default_rng(0)


@given(kinds)
def test_each_output_has_a_class_and_each_class_a_name(classes):
    numbers = classes.find(np.arange(classes.outputs))
    assert sorted(numbers) == numbers.tolist()
    assert numbers[-1] == classes.count - 1
    assert len(classes.name(None)) == classes.count
    names = [f"name {i}" for i in range(classes.count)]
    assert classes.name(names).tolist() == names
    by_class = rows.random((3, classes.count))
    assert np.array_equal(classes.pick_outputs(by_class), by_class[:, numbers])


@given(kinds)
def test_probabilities_of_all_classes_hold_those_of_the_outputs(classes):
    probabilities = rows.random((3, classes.outputs))
    of_all = classes.probabilities(probabilities)
    assert of_all.shape == (3, classes.count)
    assert np.array_equal(classes.pick_outputs(of_all), probabilities)


def test_a_single_output_stands_for_the_second_of_two_classes():
    classes = Classes(1)
    assert classes.count == 2
    assert classes.find(np.array([[0]])).tolist() == [[1]]
    assert classes.name(["ill"]).tolist() == ["not ill", "ill"]
    probabilities = np.array([[0.9], [0.2], [0.5]])
    predicted = classes.predict(np.zeros((3, 1)), probabilities)
    assert predicted.argmax(1).tolist() == [1, 0, 0]
    assert classes.predict(np.zeros((3, 1)), None) is None
    assert classes.compare(np.array([1, 1, -1]), predicted) == [True, False, None]


def test_values_are_no_classes():
    for outputs in (1, 3):
        classes = Classes(outputs, values=True)
        assert classes.count == outputs
        assert classes.name(None)[0] == "output 0"
        assert classes.predict(np.ones((2, outputs)), None) is None
    assert Classes(1, values=True).name(["age"]).tolist() == ["age"]
    assert Classes(1, values=True).read_labels(np.array([3, 4])).tolist() == [[3.0], [4.0]]


def test_where_several_classes_may_be_true_each_is_predicted_for_itself():
    classes = Classes(3, multi_label=True)
    probabilities = np.array([[0.9, 0.2, 0.6], [0.1, 0.1, 0.2], [0.9, 0.9, 0.1]])
    predicted = classes.predict(probabilities, probabilities)
    assert predicted.tolist() == [[True, False, True], [False] * 3, [True, True, False]]
    labels = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert classes.compare(classes.read_labels(labels), predicted) == [True, True, False]
    assert classes.compare(np.array([0, -1, 0]), predicted) == [False, None, False]


def test_a_single_prediction_is_right_if_it_is_one_of_several_classes():
    classes = Classes(3)
    predicted = classes.predict(np.eye(3), None)
    several = np.array([[True, True, False], [True, False, True], [False] * 3])
    assert classes.compare(several, predicted) == [True, False, None]


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ([1, -5], [1, -1]),
        ([[1], [0]], [1, 0]),
        ([True, False], [1, 0]),
        ([[1.0, 0, 1], [0, 0, 0]], [[True, False, True], [False] * 3]),
    ],
)
def test_labels_have_one_form(labels, known):
    assert Classes(3).read_labels(np.array(labels)).tolist() == known


@pytest.mark.parametrize(
    ("classes", "labels", "words"),
    [
        (Classes(3), [0, 3], "labels: hold 3, but there are 3 classes, 0 to 2"),
        (Classes(1), [0, 2], "labels: hold 2, but there are 2 classes, 0 to 1"),
        (Classes(3), [0.5, 1.0], "labels: got float64 values; .*output='value'"),
        (Classes(3), [[1, 0], [0, 1]], r"labels: have shape \(2, 2\).*zeros and ones \(2, 3\)"),
        (Classes(3), [[1, 0, 2]] * 2, "labels: hold 2; give 1 for each true class"),
        (Classes(2, values=True), [1.0, 2.0], "labels: have shape .*true value of each of 2"),
    ],
)
def test_labels_that_fit_no_output_are_refused(classes, labels, words):
    with pytest.raises(ValueError, match=words):
        classes.read_labels(np.array(labels))


@pytest.mark.parametrize(("classes", "count"), [(Classes(1), 3), (Classes(3), 1)])
def test_a_wrong_number_of_names_is_refused(classes, count):
    words = f"class_names: got {count} names, but the model has {classes.count} classes"
    with pytest.raises(ValueError, match=words):
        classes.name(["a"] * count)


def test_a_blank_name_is_a_number_and_never_no_class():
    assert Classes(3).name(["cat", "", " \n"]).tolist() == ["cat", "class 1", "class 2"]
    assert Classes(1, values=True).name([""]).tolist() == ["output 0"]
