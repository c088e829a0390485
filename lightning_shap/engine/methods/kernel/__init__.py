"""Shapley values of a grid of patches by Gaussian-process regression."""
