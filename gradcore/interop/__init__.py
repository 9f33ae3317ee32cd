"""Other libraries' protocols on Tensors."""

from __future__ import annotations

from . import numpy as numpy
