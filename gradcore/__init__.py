"""PyTorch's autograd for NumPy and CuPy arrays.

PyTorch's names are the face: `gradcore.tensor`, `gradcore.sum(x, dim=0)`, `gradcore.nn.functional`,
`gradcore.autograd.grad`. Arrays are NumPy's on the CPU and CuPy's on CUDA devices.
"""

import importlib as _importlib
import math as _math
import typing as _typing

from . import random
from .anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly_enabled
from .device import Device, device
from .dtypes import (
    bool_,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .engine import backward as _backward  # gives Tensor its method
from .errors import GradcoreError
from .interop import numpy as _numpy_protocols  # likewise
from .mode import (
    are_deterministic_algorithms_enabled,
    enable_grad,
    inference_mode,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
    use_deterministic_algorithms,
)
from .mode import is_recording_asked_for as is_grad_enabled
from .ops.activation import *
from .ops.arithmetic import *
from .ops.comparison import *
from .ops.conversion import *
from .ops.creation import *
from .ops.index import *
from .ops.layer import *
from .ops.loss import *
from .ops.norm import *
from .ops.pointwise import *
from .ops.product import *
from .ops.query import *
from .ops.reduction import *
from .ops.shape import *
from .ops.assign import *  # after the others: it makes their in-place forms
from .printing import get_printoptions, set_printoptions
from .random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .tensor import Size, Tensor, is_inference
from . import late as _late  # after all the others
from .op import declare_all as _declare_all

if _typing.TYPE_CHECKING:
    from .ops.convolution import *
    from .ops.max_pooling import *
    from .ops.pooling import *
    from . import autograd, cuda, debug, func, nn, optim, serialization, testing, utils
    from .func.vmap import vmap
    from .fusion import elementwise_kernel, fuse
    from .serialization import load, save

__version__ = "0.1.0"

half = float16
float = float32
double = float64
short = int16
int = int32
long = int64
cfloat = complex64
cdouble = complex128
bool = bool_

e, inf, nan, pi = _math.e, _math.inf, _math.nan, _math.pi
newaxis = None

_LAZY = frozenset(
    {
        "autograd",
        "cuda",
        "debug",
        "func",
        "fusion",
        "nn",
        "optim",
        "serialization",
        "testing",
        "utils",
    }
)
_LAZY_FUNCTIONS = {
    "elementwise_kernel": "fusion",
    "fuse": "fusion",
    "load": "serialization",
    "save": "serialization",
    "vmap": "func",
}


def __getattr__(name: str) -> _typing.Any:
    if name in _LAZY:
        return _importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY_FUNCTIONS:
        return getattr(_importlib.import_module(f"{__name__}.{_LAZY_FUNCTIONS[name]}"), name)
    if not name.startswith("_"):
        _declare_all()
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module 'gradcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    _declare_all()
    return sorted({*globals(), *_LAZY, *_LAZY_FUNCTIONS})
