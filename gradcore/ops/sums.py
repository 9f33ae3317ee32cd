"""Sums that leave nan out, the trace, distances, and slices brought to a largest norm."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import promote, public, recorded, tensor_of
from ..samples import Maker, bad, sample
from ..tensor import Tensor, canonical_dim
from .norm import norm, vector_norm
from .pointwise import where
from .reduction import Dims, DType, canonical_dims, converted, over_dims, sum
from .shape import diagonal

__all__ = ["dist", "nanmean", "nansum", "renorm", "trace"]
