"""Differentiation: `backward` and `grad`, the switches of recording, functions of your own."""

from ..engine import backward, grad
from ..mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ..testing import gradcheck, gradgradcheck
from . import forward_ad, function, functional
from .drawing import draw
from .function import Function
from .inspection import graph_report

__all__ = [
    "Function",
    "backward",
    "draw",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph_report",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
