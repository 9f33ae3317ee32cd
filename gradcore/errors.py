"""Every error that gradcore raises on purpose.

Each class also inherits the builtin that PyTorch or NumPy users catch::

    GradcoreError (Exception)
    ├── ShapeError          RuntimeError, ValueError   shapes that do not fit
    ├── DTypeError          RuntimeError, TypeError    a dtype the operation does not take
    ├── DeviceError         RuntimeError               mixed devices, or a device that is not there
    ├── MissingPackageError RuntimeError, ImportError  a package that an extra brings
    ├── GraphError          RuntimeError               backward cannot be run as asked
    ├── DimensionError      IndexError                 a dimension or an index out of range
    ├── OutOfMemoryError    RuntimeError, MemoryError  a CUDA device has no memory left
    ├── ArgumentError       ValueError, RuntimeError   a value the operation does not take
    ├── ArgumentTypeError   TypeError                  a type the operation does not take
    ├── LinAlgError         RuntimeError, ValueError   a matrix that cannot be decomposed or solved
    ├── BatchingError       RuntimeError               what a function inside vmap cannot do
    └── FusionError         TypeError                  what a fused function cannot do
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BatchingError",
    "DTypeError",
    "DeviceError",
    "DimensionError",
    "FusionError",
    "GradcoreError",
    "GraphError",
    "LinAlgError",
    "MissingPackageError",
    "OutOfMemoryError",
    "ShapeError",
]


class GradcoreError(Exception):
    """Base of every error that gradcore raises on purpose."""


class ShapeError(GradcoreError, RuntimeError, ValueError):
    """Shapes that do not fit together, or not the operation."""


class DTypeError(GradcoreError, RuntimeError, TypeError):
    """A dtype that the operation does not take."""


class DeviceError(GradcoreError, RuntimeError):
    """Operands on different devices, or a device that is not there."""


class MissingPackageError(GradcoreError, RuntimeError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class GraphError(GradcoreError, RuntimeError):
    """Derivatives were asked for that the recorded graph cannot give."""


class DimensionError(GradcoreError, IndexError):
    """A dimension or an index out of range."""


class OutOfMemoryError(GradcoreError, RuntimeError, MemoryError):
    """A CUDA device has not enough memory left for an array.

    What was there before is as it was: after freeing memory the call can be made again.
    """


class ArgumentError(GradcoreError, ValueError, RuntimeError):
    """An argument whose value the operation does not take."""


class ArgumentTypeError(GradcoreError, TypeError):
    """An argument whose type the operation does not take."""


class LinAlgError(GradcoreError, RuntimeError, np.linalg.LinAlgError):
    """A matrix that is singular or not definite, or an iteration that does not converge."""


class BatchingError(GradcoreError, RuntimeError):
    """A function inside vmap does what cannot be done for all samples at once."""


class FusionError(GradcoreError, TypeError):
    """A function does what cannot be fused."""
