"""Fixtures for several test files."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import tiny_model


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model of three styles that every test may read: original, negative, grey_40."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny.onnx")
