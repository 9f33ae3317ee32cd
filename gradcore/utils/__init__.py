"""Under PyTorch's name: `gradcore.utils.checkpoint`."""

from . import checkpoint

__all__ = ["checkpoint"]
