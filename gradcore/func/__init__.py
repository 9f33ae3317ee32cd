"""Transforms of functions, as PyTorch's `torch.func` has them."""

from .vmap import vmap

__all__ = ["vmap"]
