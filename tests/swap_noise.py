"""Swaps that say nothing of their class, and what is planted in them."""

import numpy as np
import torch

from lightning_shap.analysis.class_summary.parts import list_parts, name_border
from lightning_shap.analysis.class_summary.shares import share_swaps
from lightning_shap.analysis.class_summary.swaps import choose_partners, measure_swaps

CLASSES = 4
PARTS = [part.name for part in list_parts()]
FRAME, BORDER, WIDE = map(name_border, (1, 2, 3))


def draw_swaps(images=80, seed=0, classes=CLASSES):
    """What parts decide, beside a whole of 1, the classes, and those of the images swapped with."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    rivals = (labels + random.integers(1, classes, size=images)) % classes
    return random.beta(1, 9, size=(images, len(PARTS))), labels, rivals


def involve(label, labels, rivals):
    """The swaps that have a class on either side."""
    return (labels == label) | (rivals == label)


def make_shares(decided, labels, rivals):
    """Shares that are of a whole of 1."""
    wholes = np.where(np.isnan(decided).any(axis=1), np.nan, 1.0)
    return share_swaps(list_parts(), decided, wholes, labels, rivals)


def plant(shares_of_parts, label=1, **settings):
    """Shares of which those of some parts, by name, are as large in a class."""
    decided, labels, rivals = draw_swaps(**settings)
    for part, share in shares_of_parts.items():
        decided[involve(label, labels, rivals), PARTS.index(part)] = share
    return make_shares(decided, labels, rivals)


def measure_swaps_among(model, explanation, images, question):
    """Measures swaps of each image with one of the others."""
    chosen = choose_partners(explanation.record.labels, len(images), question.seed)
    measure_swaps(model, explanation, images, images[torch.from_numpy(chosen)], question)
