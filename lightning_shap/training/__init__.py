"""Explain a classifier in training: the callback, and what it needs of a fit."""
