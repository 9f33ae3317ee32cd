"""Differentiation: `backward` and `grad`, the switches of recording, functions of your own."""

from ..anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
from ..engine import backward, grad
from ..mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from ..mode import is_recording_asked_for as is_grad_enabled
from ..saved import set_saved_tensors_policy
from ..testing import gradcheck, gradgradcheck
from . import forward_ad, function, functional, graph
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .drawing import draw
from .function import Function
from .inspection import graph_report

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "draw",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "graph_report",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_saved_tensors_policy",
]
