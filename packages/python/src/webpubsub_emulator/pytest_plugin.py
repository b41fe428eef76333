"""Fixtures of pytest: one emulator for the run, reset before each test."""

from typing import Iterator

import pytest

from . import Emulator, start_emulator


@pytest.fixture(scope="session")
def webpubsub_emulator_process() -> Iterator[Emulator]:
    """The emulator of the run. Override it in conftest.py to pass options."""
    with start_emulator() as emulator:
        yield emulator


@pytest.fixture
def webpubsub_emulator(webpubsub_emulator_process: Emulator) -> Emulator:
    """The emulator, without connections, faults or journal of the tests before."""
    webpubsub_emulator_process.reset()
    return webpubsub_emulator_process
