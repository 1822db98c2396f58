"""Runs a model's ONNX graph on one device, and says which one really runs."""

from livestyle.engines.choice import open_engine
from livestyle.engines.contract import Device, Engine, FrameBatch, MixVector
from livestyle.engines.onnx_runtime import OnnxRuntimeEngine
from livestyle.engines.openvino import OpenVinoEngine
from livestyle.engines.providers import why_not

__all__ = [
    "Device",
    "Engine",
    "FrameBatch",
    "MixVector",
    "OnnxRuntimeEngine",
    "OpenVinoEngine",
    "open_engine",
    "why_not",
]
