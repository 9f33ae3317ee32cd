"""Differentiation: `backward` and `grad`, the switches of recording, functions of your own."""

from ..engine import backward, grad
from ..mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ..testing import gradcheck, gradgradcheck
from . import function
from .function import Function

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "function",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
