"""Explain images: the question, the game, the methods that play it."""
