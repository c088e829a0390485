"""Trainings whose samples are read as they are on Linux."""

import pytest


@pytest.fixture(autouse=True)
def reads_in_this_process():
    """Reads the data in a process that is forked, which is what these tests are about."""
