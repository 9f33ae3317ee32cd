"""Transforms of functions, as PyTorch's `torch.func` has them."""

from .jacobians import hessian, jacfwd, jacrev
from .reverse import grad, grad_and_value, vjp
from .stateless import functional_call
from .tangents import jvp, linearize
from .vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "vjp",
    "vmap",
]
