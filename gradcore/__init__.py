"""PyTorch's autograd for NumPy and CuPy arrays.

PyTorch's names are the face: `gradcore.tensor`, `gradcore.sum(x, dim=0)`, `gradcore.nn.functional`,
`gradcore.autograd.grad`. Arrays are NumPy's on the CPU and CuPy's on CUDA devices.
"""

import importlib as _importlib
import math as _math
import typing as _typing

from . import random as random
from .anomaly import (
    is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled,
    is_anomaly_enabled as is_anomaly_enabled,
    set_anomaly_enabled as set_anomaly_enabled,
)
from .device import Device as Device, device as device
from .dtypes import (
    bool_ as bool_,
    complex64 as complex64,
    complex128 as complex128,
    dtype as dtype,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    get_default_dtype as get_default_dtype,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    promote_types as promote_types,
    set_default_dtype as set_default_dtype,
    uint8 as uint8,
    uint16 as uint16,
    uint32 as uint32,
    uint64 as uint64,
)
from .engine import backward as _backward  # gives Tensor its method
from .errors import GradcoreError as GradcoreError
from .interop import numpy as _numpy_protocols  # likewise
from . import mode as _mode
from .mode import (
    are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
    use_deterministic_algorithms as use_deterministic_algorithms,
)
from .ops.activation import *
from .ops.arithmetic import *
from .ops.comparison import *
from .ops.conversion import *
from .ops.creation import *
from .ops.index import *
from .ops.norm import *
from .ops.pointwise import *
from .ops.product import *
from .ops.query import *
from .ops.reduction import *
from .ops.shape import *
from .ops.assign import *  # after the others: it makes their in-place forms
from .printing import get_printoptions as get_printoptions, set_printoptions as set_printoptions
from .random import (
    Generator as Generator,
    get_rng_state as get_rng_state,
    initial_seed as initial_seed,
    manual_seed as manual_seed,
    seed as seed,
    set_rng_state as set_rng_state,
)
from .tensor import Size as Size, Tensor as Tensor, is_inference as is_inference
from . import late as _late  # after all the others
from .op import declare_all as _declare_all

if _typing.TYPE_CHECKING:
    from . import (
        autograd as autograd,
        cuda as cuda,
        debug as debug,
        fft as fft,
        func as func,
        linalg as linalg,
        masked as masked,
        nn as nn,
        optim as optim,
        serialization as serialization,
        special as special,
        testing as testing,
        utils as utils,
    )
    from .func.vmap import vmap as vmap
    from .fusion import elementwise_kernel as elementwise_kernel, fuse as fuse
    from .ops.affine_product import *
    from .ops.assembly import *
    from .ops.complex import *
    from .ops.convolution import *
    from .ops.count import *
    from .ops.covariance import *
    from .ops.decomposition import *
    from .ops.distance import *
    from .ops.elementwise import *
    from .ops.gradient import *
    from .ops.inverse import *
    from .ops.least_squares import *
    from .ops.matrix_exp import *
    from .ops.matrix_norm import *
    from .ops.matrix_product import *
    from .ops.max_pooling import *
    from .ops.order import *
    from .ops.padding import *
    from .ops.pooling import *
    from .ops.quantile import *
    from .ops.random import *
    from .ops.recurrent import *
    from .ops.scan import *
    from .ops.scatter import *
    from .ops.shuffle import *
    from .ops.signal import *
    from .ops.similarity import *
    from .ops.smooth import *
    from .ops.special import *
    from .ops.strided import *
    from .ops.sums import *
    from .ops.threshold import *
    from .ops.traits import *
    from .serialization import load as load, save as save

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

is_grad_enabled = _mode.is_recording_asked_for
del mode  # type: ignore[has-type]  # noqa: F821  the module; the operation of that name is declared when it is asked for
e, inf, nan, pi = _math.e, _math.inf, _math.nan, _math.pi
newaxis = None

_LAZY = frozenset(
    {
        "autograd",
        "cuda",
        "debug",
        "fft",
        "func",
        "fusion",
        "linalg",
        "masked",
        "nn",
        "optim",
        "serialization",
        "special",
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
