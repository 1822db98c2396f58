from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEngine

from livestyle.engines import open_engine
from livestyle.graph_cost import GraphCost
from livestyle.roofline import Limit, Rates, bytes_per_value, copy_rate, limit_of, measure_rates, wide_model

COST = GraphCost(macs=3_000, values=500, pixel_bytes=200)


@pytest.mark.parametrize(
    ("rates", "wide", "limit"),
    [
        (Rates(1000, 1000), 4, Limit(3.0, "compute")),  # 2200 bytes take 2.2 s
        (Rates(1000, 500), 4, Limit(4.4, "memory")),
        (Rates(1000, 500), 2, Limit(3.0, "compute")),  # 1200 bytes take 2.4 s
        (Rates(1000, None), 4, Limit(3.0, "compute")),
    ],
)
def test_the_slower_of_the_two_sets_the_limit(rates: Rates, wide: int, limit: Limit) -> None:
    assert limit_of(COST, rates, wide) == limit


def test_bfloat16_moves_half_as_much() -> None:
    engine = FakeEngine()
    assert bytes_per_value(engine) == 4
    engine.name = "OpenVINO CPU (bf16)"
    assert bytes_per_value(engine) == 2


def test_the_wide_model_is_a_valid_model(tmp_path: Path) -> None:
    import onnx

    content = wide_model(3, wide=16)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    (tmp_path / "wide.onnx").write_bytes(content)
    engine = open_engine(tmp_path / "wide.onnx", "onnx-cpu")
    frame = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), np.uint8)
    painted = engine.run(frame, np.array([1, 0], np.float32))
    assert painted.shape == frame.shape
    assert painted.std() > 1  # it computes: an engine that folds everything away would measure nothing
    assert not engine.run(frame, np.array([0, 1], np.float32)).any()


def test_rates_are_those_of_a_machine() -> None:
    # From a slow single-board computer to beyond any CPU.
    rates = measure_rates("onnx-cpu")
    assert 1e8 < rates.macs_per_second < 1e15
    assert rates.bytes_per_second is not None
    assert 1e8 < rates.bytes_per_second < 1e13


def test_copying_may_be_split_among_more_threads_than_there_are_bytes() -> None:
    assert copy_rate(size=2, threads=3) > 0
