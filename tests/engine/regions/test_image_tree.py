"""The partition tree of a picture: it covers it, it follows it, and it depends on nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_shap.engine.regions import image_tree as module
from lightning_shap.engine.regions.image_tree import ImageTrees, grow_tree
from lightning_shap.engine.regions.nodes import NodeCoalitions

quick = settings(max_examples=30, deadline=None)
shapes = st.tuples(st.sampled_from([1, 3, 4, 13]), st.integers(1, 9), st.integers(1, 9))


def picture(shape, seed=0, levels=None):
    """Noise of full range, or of a few levels so that there are ties."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    return noise if levels is None else np.round(noise * levels)


def coalitions_of(nodes, images, trees):
    """Coalitions of the nodes of some images' trees."""
    places = torch.from_numpy(np.stack([tree.places for tree in trees]))
    return NodeCoalitions(nodes, np.array(images), trees, places)


def descendants(tree, node):
    halves = tree.halve(node)
    return [node] if halves is None else [leaf for h in halves for leaf in descendants(tree, h)]


def same(tree, other):
    return np.array_equal(tree.order, other.order) and np.array_equal(tree.children, other.children)


@quick
@given(shapes, st.integers(0, 99), st.sampled_from([None, 0, 1]))
def test_the_tree_is_binary_and_its_leaves_are_the_pixels(shape, seed, levels):
    tree = grow_tree(picture(shape, seed, levels))
    pixels = shape[1] * shape[2]
    assert sorted(descendants(tree, tree.root)) == list(range(pixels))
    assert sorted(tree.order) == list(range(pixels))
    assert tree.size(tree.root) == pixels
    for node in range(pixels, 2 * pixels - 1):
        first, second = (set(tree.squares(half)) for half in tree.halve(node))
        assert not first & second
        assert first | second == set(tree.squares(node))


@quick
@given(shapes, st.integers(0, 99), st.integers(1, 90))
def test_segments_partition_the_picture_into_connected_regions(shape, seed, count):
    tree = grow_tree(picture(shape, seed))
    pixels = shape[1] * shape[2]
    nodes = tree.segments(count)
    labels = tree.labels(nodes)
    assert len(nodes) == min(count, pixels)
    sizes = np.bincount(labels.ravel())
    assert sizes.tolist() == [tree.size(node) for node in nodes]
    for number in range(len(nodes)):
        inside = {tuple(place) for place in np.argwhere(labels == number)}
        reached = [min(inside)]
        inside -= set(reached)
        while reached:
            y, x = reached.pop()
            near = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & inside
            inside -= near
            reached += near
        assert not inside


@quick
@given(shapes, st.integers(0, 99))
def test_the_tree_is_the_same_each_time_and_whatever_was_drawn_before(shape, seed):
    image = picture(shape, seed, levels=1)
    first = grow_tree(image)
    np.random.seed(seed)
    assert same(first, grow_tree(image.copy()))


@quick
@given(shapes, st.integers(0, 99))
def test_neither_order_nor_scale_nor_number_of_channels_changes_the_tree(shape, seed):
    image = np.round(picture(shape, seed) * 64) / 64
    tree = grow_tree(image)
    assert same(tree, grow_tree(image[::-1]))
    assert same(tree, grow_tree(image * 4 + 8))
    assert same(tree, grow_tree(np.concatenate([image, image])))


@pytest.mark.parametrize("channels", [1, 3, 13])
def test_segments_follow_the_outlines_of_what_is_in_the_picture(channels):
    objects = np.zeros((24, 30), dtype=int)
    objects[4:11, 3:12] = 1
    y, x = np.indices(objects.shape)
    objects[(y - 14) ** 2 + (x - 20) ** 2 < 36] = 2
    colours = np.random.default_rng(3).standard_normal((channels, 3)) * 3
    noise = np.random.default_rng(1).standard_normal((channels, 24, 30))
    tree = grow_tree(colours[:, objects] + 0.05 * noise)
    labels = tree.labels(tree.segments(3))
    pairs = {*zip(objects.ravel().tolist(), labels.ravel().tolist(), strict=True)}
    assert len(pairs) == 3


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 512, 512), (13, 64, 64), (1, 1, 1), (2, 1, 40)])
def test_pictures_of_all_sizes_have_a_tree_even_where_nothing_is_in_them(shape):
    tree = grow_tree(np.zeros(shape, dtype=np.float32))
    pixels = shape[1] * shape[2]
    assert np.array_equal(np.sort(tree.order), np.arange(pixels // tree.side**2))
    assert tree.size(tree.root) == pixels
    assert len(tree.segments(50)) == min(50, pixels)


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((128, 128), 1),
        ((1, 16384), 1),
        ((129, 128), 2),
        ((224, 224), 2),
        ((512, 512), 4),
        ((700, 1500), 9),
    ],
)
def test_a_tree_begins_with_16384_squares_at_most(shape, side):
    tree = grow_tree(np.zeros((1, *shape), dtype=np.float32))
    assert tree.side == side
    assert len(tree.order) == -(-shape[0] // side) * -(-shape[1] // side)


@pytest.fixture
def few_squares(monkeypatch):
    monkeypatch.setattr(module, "MOST_SQUARES", 12)


@pytest.mark.parametrize("shape", [(7, 9), (9, 7), (8, 8), (1, 40), (13, 3), (4, 3)])
def test_squares_that_the_border_cuts_off_count_as_many_pixels_as_they_have(shape, few_squares):
    tree = grow_tree(picture((2, *shape)))
    nodes = tree.segments(5)
    labels = tree.labels(nodes)
    assert labels.shape == shape
    assert [tree.size(node) for node in nodes] == np.bincount(labels.ravel()).tolist()
    masks = coalitions_of([(node,) for node in nodes], [0] * len(nodes), [tree])
    for number, mask in enumerate(masks.masks(0, len(nodes), torch.device("cpu"))):
        assert np.array_equal(mask[0].numpy(), labels == number)
    for top in range(0, shape[0], tree.side):
        for left in range(0, shape[1], tree.side):
            square = labels[top : top + tree.side, left : left + tree.side]
            assert len(np.unique(square)) == 1


def test_the_tree_of_squares_is_that_of_their_mean_colours(few_squares):
    image = picture((3, 9, 8))
    means = np.empty((3, 3, 3))
    for row in range(3):
        for column in range(3):
            square = image[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            means[:, row, column] = square.mean((1, 2))
    of_squares, of_means = grow_tree(image), grow_tree(means)
    assert (of_squares.side, of_means.side) == (3, 1)
    assert same(of_squares, of_means)
    image.flags.writeable = False
    assert same(grow_tree(image), of_means)


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 1, 300)])
def test_an_even_area_is_halved_and_not_peeled(shape):
    tree = grow_tree(np.zeros(shape, dtype=np.float32))
    pixels = shape[1] * shape[2]
    depth = np.zeros(2 * pixels - 1, dtype=int)
    for node in range(2 * pixels - 2, pixels - 1, -1):
        depth[list(tree.halve(node))] = depth[node] + 1
    assert depth.max() <= 4 * np.log2(pixels)


@quick
@given(shapes, st.data())
def test_painted_masks_are_the_nodes_pixel_by_pixel(shape, data):
    _, height, width = shape
    trees = [grow_tree(picture(shape, seed)) for seed in range(2)]
    images = data.draw(st.lists(st.integers(0, 1), min_size=2, max_size=5))
    rows = []
    for tree in (trees[image] for image in images):
        nodes = tree.segments(data.draw(st.integers(1, 12)))
        chosen = data.draw(st.lists(st.sampled_from(nodes), unique=True))
        rows.append((tuple(chosen), np.isin(tree.labels(nodes), [nodes.index(n) for n in chosen])))
    coalitions = coalitions_of([chosen for chosen, _ in rows], images, trees)
    masks = coalitions.masks(0, len(rows), torch.device("cpu"))
    assert masks.shape == (len(rows), 1, height, width)
    assert np.array_equal(masks[:, 0].numpy(), np.stack([mask for _, mask in rows]))
    assert torch.equal(coalitions.masks(1, 2, torch.device("cpu")), masks[1:2])


def test_a_picture_that_was_seen_before_costs_nothing(monkeypatch):
    built = []
    original = grow_tree
    monkeypatch.setattr(module, "grow_tree", lambda image: built.append(1) or original(image))
    images = torch.randn(3, 2, 6, 5)
    trees = ImageTrees()
    first = trees.grow(images)
    again = trees.grow(images.clone().double())
    assert len(built) == 3
    assert all(one is other for one, other in zip(first, again, strict=True))
    changed = images.clone()
    changed[1, 0, 0, 0] += 1
    other = trees.grow(changed)
    assert len(built) == 4
    assert other[0] is first[0]
    assert other[1] is not first[1]
    trees.grow(images[:1])
    assert len(trees._trees) == 1  # only those in use are kept
