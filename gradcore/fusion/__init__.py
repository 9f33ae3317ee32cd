"""Fused functions: `gradcore.fuse` and `gradcore.elementwise_kernel`."""

from .expression import ElementwiseKernel, elementwise_kernel
from .function import CacheInfo, Fused, fuse

__all__ = [
    "CacheInfo",
    "ElementwiseKernel",
    "Fused",
    "elementwise_kernel",
    "fuse",
]
