"""Special functions, which SciPy evaluates on the CPU and CuPy on CUDA devices.

Without SciPy there are `erf`, `erfc` and what is made of elementary functions; the others say what
to install. SciPy's own ufuncs take Tensors: an operation's face for `scipy.special.name` is
"special.name", and rules call it so too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, DTypeError
from ..mode import quiet
from ..op import F, Formula, binary, primitive, public, tensor_of, unary
from ..samples import Samples, bad, over, over_pairs, sample
from ..tensor import Tensor
from .creation import arange
from .elementwise import sinc

__all__ = [
    "digamma",
    "erfc",
    "erfinv",
    "i0",
    "igamma",
    "igammac",
    "lgamma",
    "logit",
    "mvlgamma",
    "polygamma",
    "xlogy",
]

_LOG_PI: Final = math.log(math.pi)
_TWO_OVER_SQRT_PI: Final = 2.0 / math.sqrt(math.pi)
_HALF_SQRT_PI: Final = 0.5 * math.sqrt(math.pi)
_NORMAL_DENSITY: Final = 1.0 / math.sqrt(2.0 * math.pi)
_SQRT_TWO_PI: Final = math.sqrt(2.0 * math.pi)
_SQRT_TWO_OVER_PI: Final = math.sqrt(2.0 / math.pi)
_SQRT_HALF: Final = math.sqrt(0.5)

_FAR: Final = over(8.2, 12.0)
"""Where PyTorch's digamma and trigamma are as exact as float64."""


def _special(name: str) -> Formula:
    """The function of `scipy.special`, as a forward."""

    def forward(xp: Any, *operands: Any) -> Any:
        function = getattr(xp.special, name)
        array = next(v for v in operands if hasattr(v, "dtype"))
        # Of a Python number SciPy would make float64.
        return function(*[v if hasattr(v, "dtype") else array.dtype.type(v) for v in operands])

    return forward


def _no_derivative(name: str) -> Formula:
    def rule(xp: Any, g: Any) -> NoReturn:
        raise NotImplementedError(f"the derivative for {name!r} is not implemented.")

    return rule


# the error function ----------------------------------------------------------------------------


@unary(
    _special("erfc"),
    lambda xp, g, x: g * (-_TWO_OVER_SQRT_PI * xp.exp(-(x * x))),
    ordered=True,
    numpy="special.erfc",
)
def erfc(input: Tensor) -> Tensor:
    """1 - erf(x) of each element, exact where that is near 0.

    On the CPU it takes up to ten times as long as PyTorch's: NumPy has no such function, and this
    one is made of forty array operations in float64.
    """


@unary(
    _special("erfcx"),
    lambda xp, g, y, x: g * (2 * x * y - _TWO_OVER_SQRT_PI),
    ordered=True,
    graph="SpecialErfcxBackward0",
    numpy="special.erfcx",
    methods=(),
    in_place=False,
    path="special.erfcx",
)
def erfcx(input: Tensor) -> Tensor:
    """exp(x^2) erfc(x) of each element."""


@unary(
    _special("erfinv"),
    lambda xp, g, y: g * (_HALF_SQRT_PI * xp.exp(y * y)),
    ordered=True,
    numpy="special.erfinv",
    samples=over(-0.9, 0.9),
    departs={"saves": "the result, not the operand"},
)
def erfinv(input: Tensor) -> Tensor:
    """The number of which each element is the error function; infinite at -1 and 1."""


@unary(
    _special("ndtr"),
    lambda xp, g, x: g * (_NORMAL_DENSITY * xp.exp(-0.5 * (x * x))),
    ordered=True,
    numpy="special.ndtr",
    methods=(),
    in_place=False,
    path="special.ndtr",
    departs={
        "values: int64": "PyTorch's loses digits below -4",
        "node": "composite in PyTorch",
        "saves": "the operand, not what PyTorch makes of it",
    },
)
def ndtr(input: Tensor) -> Tensor:
    """The normal distribution function of each element."""


@unary(
    _special("ndtri"),
    lambda xp, g, y: g * (_SQRT_TWO_PI * xp.exp(0.5 * (y * y))),
    ordered=True,
    graph="SpecialNdtriBackward0",
    numpy="special.ndtri",
    methods=(),
    in_place=False,
    path="special.ndtri",
    samples=over(0.05, 0.95),
)
def ndtri(input: Tensor) -> Tensor:
    """The number at which the normal distribution function is each element."""


@unary(
    _special("log_ndtr"),
    # density / ndtr, of which on the left both are tiny.
    lambda xp, g, x: g * (_SQRT_TWO_OVER_PI / xp.special.erfcx(x * -_SQRT_HALF)),
    ordered=True,
    graph="SpecialLogNdtrBackward0",
    numpy="special.log_ndtr",
    methods=(),
    in_place=False,
    path="special.log_ndtr",
    departs={"derivative at: -1e+30, -inf": "PyTorch's is infinite, or nan"},
)
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of the normal distribution function of each element."""


# gamma functions -------------------------------------------------------------------------------


@unary(
    # SciPy's is -inf at -inf.
    lambda xp, x: xp.where(x == -math.inf, math.inf, xp.special.gammaln(x)),
    lambda xp, g, x: g * xp.special.digamma(x),
    ordered=True,
    numpy="special.gammaln",
    samples=_FAR,
)
def lgamma(input: Tensor) -> Tensor:
    """The logarithm of the size of the gamma function of each element."""


def _trigamma(xp: Any, x: Any) -> Any:
    """The second derivative of lgamma; zeta(2, x), which is it too, takes ten times as long."""
    left = x < 0.5
    z = xp.where(left, 1 - x, x)
    # Eight steps up, and Stirling's series from there, in Bernoulli's numbers.
    total = 1 / (z * z)
    for step in range(1, 8):
        total = total + 1 / xp.square(z + step)
    z = z + 8
    r = 1 / (z * z)
    series = 7 / 6
    for c in (-691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6):
        series = series * r + c
    total = total + (1 + 0.5 / z + r * series) / z
    # By reflection; sin of the distance to the next integer is exact also for a large x.
    sine = xp.sin((x - xp.rint(x)) * math.pi)
    return xp.where(left, math.pi**2 / (sine * sine) - total, total)


def _polygamma_forward(xp: Any, x: Any, n: int) -> Any:
    if n == 0:
        return xp.special.digamma(x)
    if n == 1:
        return _trigamma(xp, x)
    return xp.special.zeta(n + 1.0, x) * (math.factorial(n) * (-1.0) ** (n + 1))


_polygamma = primitive(
    "polygamma",
    _polygamma_forward,
    lambda xp, g, x, n: g * xp.apply(_polygamma, x, n + 1),
    elementwise=True,
)


@unary(
    _special("digamma"),
    lambda xp, g, x: g * xp.apply(_polygamma, x, 1),
    ordered=True,
    numpy={"special.digamma": None, "special.psi": None},
    samples=_FAR,
)
def digamma(input: Tensor) -> Tensor:
    """The derivative of lgamma at each element."""


def _of_inexact(name: str, input: Any) -> Tensor:
    x = tensor_of(name, input)
    if x.is_complex():
        raise DTypeError(f"{name} is not implemented for complex tensors such as {x.dtype}.")
    return x if x.is_floating_point() else x.to(dtypes.get_default_dtype())


@public(
    numpy={"special.polygamma": None},
    kind="primitive",
    samples=lambda make: [
        sample(0, make.real(3, low=8.2, high=12.0)),
        sample(1, make.real(2, 3, low=8.2, high=12.0)),
        sample(2, make.real(low=8.2, high=12.0)),
        sample(3, make.real(0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "does not support negative n", -1, make.real(2)),
        bad(TypeError, "must be int", 1.5, make.real(2)),
    ],
    departs={"node": "digamma for order 0"},
)
def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of order `n` of digamma at each element.

    Args:
        n: not negative.
        input: any shape; integers become the default dtype.

    Raises:
        ArgumentError: `n` is negative.
        ArgumentTypeError: it is no int.
    """
    if not isinstance(n, int | np.integer):
        raise ArgumentTypeError(
            f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__qualname__}."
        )
    if n < 0:
        raise ArgumentError("polygamma(n, x) does not support negative n.")
    x = _of_inexact("polygamma", input)
    return digamma(x) if n == 0 else _polygamma(x, int(n))


@public(
    path="Tensor.polygamma",
    methods=("polygamma",),
    in_place=True,
    samples=lambda make: [sample(make.real(2, 3, low=8.2, high=12.0), 1)],
    departs={"node": "digamma for order 0"},
)
def _polygamma_of(self: Tensor, n: int) -> Tensor:
    """The derivative of order `n` of digamma at each element."""
    return polygamma(n, self)


@public(
    methods=("mvlgamma",),
    in_place=True,
    samples=lambda make: [
        sample(make.real(2, 3, low=9.2, high=12.0), 3),
        sample(make.real(low=8.2, high=12.0), 1),
        sample(make.real(0), 2),
    ],
    errors=lambda make: [bad(RuntimeError, "greater than or equal to 1", make.real(2), 0)],
    departs={"node": "composite"},
)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function of `p` dimensions at each element.

    It is p (p - 1) / 4 log(pi) plus the sum of lgamma(x - j / 2) for j from 0 to p - 1.

    Raises:
        ArgumentError: `p` is less than 1.
    """
    if p < 1:
        raise ArgumentError("p has to be greater than or equal to 1")
    if tensor_of("mvlgamma", input).dtype is dtypes.bool_:
        raise DTypeError("The input tensor may not be a boolean tensor.")
    x = _of_inexact("mvlgamma", input)
    steps = arange(p, dtype=x.dtype, device=x.device) * -0.5
    return lgamma(x.unsqueeze(-1) + steps).sum(-1) + 0.25 * p * (p - 1) * _LOG_PI


def _whole_first(least: int, low: float, high: float) -> Samples:
    """Samples of a function that has no derivative by the first operand: most have whole ones."""
    return lambda make: [
        sample(make.integers(least, least + 2, 2, 3), make.real(3, low=low, high=high)),
        sample(make.integers(least, least + 2, 2, 1), make.real(1, 3, low=low, high=high)),
        sample(make.integers(least, least + 2), make.real(low=low, high=high)),
        sample(make.integers(least, least + 2, 1), make.real(0)),
        sample(make.real(2, 3, low=least + 0.2, high=4.0), make.real(3, low=low, high=high)),
    ]


@binary(
    _special("gammainc"),
    _no_derivative("igamma: input"),
    lambda xp, g, a, b: g * xp.exp((a - 1) * xp.log(b) - b - xp.special.gammaln(a)),
    result="float",
    ordered=True,
    numpy="special.gammainc",
    samples=_whole_first(1, 0.3, 3.0),
    departs={"values at: nan": "PyTorch's may be a number"},
)
def igamma(input: Any, other: Any) -> Tensor:
    """The regularised lower incomplete gamma function, with broadcasting.

    Args:
        input: the parameter, not negative. There is no derivative by it.
        other: where it is evaluated, not negative.
    """


@binary(
    _special("gammaincc"),
    _no_derivative("igammac: input"),
    lambda xp, g, a, b: -g * xp.exp((a - 1) * xp.log(b) - b - xp.special.gammaln(a)),
    result="float",
    ordered=True,
    numpy="special.gammaincc",
    samples=_whole_first(1, 0.3, 3.0),
    departs={"values at: nan": "PyTorch's may be a number"},
)
def igammac(input: Any, other: Any) -> Tensor:
    """The regularised upper incomplete gamma function, 1 - igamma, with broadcasting.

    The arguments are those of `igamma`.
    """


_riemann_zeta = primitive(
    "riemann_zeta",
    lambda xp, x: xp.special.zetac(x) + 1.0,  # continued below 1, which zeta(x, 1) is not
    _no_derivative("zeta"),
    elementwise=True,
)


@binary(
    _special("zeta"),
    _no_derivative("zeta"),
    lambda xp, g, a, b: g * (-a * xp.special.zeta(a + 1, b)),
    result="float",
    ordered=True,
    graph="SpecialZetaBackward0",
    numpy={  # what SciPy's zeta(x, q) and zeta(x) call has private names
        "special.zeta": None,
        "special._zeta": None,
        "special._riemann_zeta": lambda x: _riemann_zeta(_of_inexact("zeta", x)),
    },
    methods=(),
    in_place=False,
    path="special.zeta",
    samples=_whole_first(2, 0.3, 3.0),
    departs={"values at: inf, 1e+30": "PyTorch's is nan for large or infinite operands"},
)
def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz's zeta function: the sum of (other + k)**-input for k = 0, 1, ...

    There is no derivative by `input`.
    """


# products with logarithms ----------------------------------------------------------------------


def _times(log: str, xp: Any, a: Any, b: Any) -> Any:
    """`a` times a logarithm of `b`, 0 where `a` is 0 and `b` a number."""
    if not hasattr(b, "dtype"):
        b = a.dtype.type(b)  # the logarithm of a Python number would be float64
    with quiet():
        return xp.where((a == 0) & (b == b), 0.0, a * getattr(xp, log)(b))


@binary(
    lambda xp, a, b: _times("log", xp, a, b),
    lambda xp, g, a, b: xp.apply(xlogy, xp.where((a == 0) & (b <= 0), 0.0, g), b),
    lambda xp, g, a, b: g * a / b,
    result="float",
    ordered=True,
    scalar_graph="XlogyBackward2",
    reflected_graph="XlogyBackward1",
    numpy="special.xlogy",
    samples=over_pairs(-2.0, 2.0, (0.2, 3.0)),
)
def xlogy(input: Any, other: Any) -> Tensor:
    """`input * log(other)`, 0 where `input` is 0, with broadcasting.

    At (0, 0) the derivatives are 0 and nan.
    """


@binary(
    lambda xp, a, b: _times("log1p", xp, a, b),
    lambda xp, g, a, b: xp.apply(xlog1py, xp.where((a == 0) & (b <= -1), 0.0, g), b),
    lambda xp, g, a, b: g * a / (b + 1),
    result="float",
    ordered=True,
    graph="SpecialXlog1PyBackward0",
    scalar_graph="SpecialXlog1PyBackward2",
    reflected_graph="SpecialXlog1PyBackward1",
    numpy="special.xlog1py",
    methods=(),
    in_place=False,
    path="special.xlog1py",
    samples=over_pairs(-2.0, 2.0, (-0.8, 2.0)),
)
def xlog1py(input: Any, other: Any) -> Tensor:
    """`input * log(1 + other)`, 0 where `input` is 0, with broadcasting.

    At (0, -1) the derivatives are 0 and nan.
    """


@unary(
    lambda xp, x: xp.where(x < 0, -math.inf, -_times("log", xp, x, x)),
    lambda xp, g, x: g * (-1 - xp.log(x)),
    ordered=True,
    graph="SpecialEntrBackward0",
    numpy="special.entr",
    methods=(),
    in_place=False,
    path="special.entr",
    samples=over(0.1, 3.0),
)
def entr(input: Tensor) -> Tensor:
    """-x log(x) of each element: 0 at 0, -inf for negative ones."""


def _logit_forward(xp: Any, x: Any, eps: float | None) -> Any:
    if eps is not None:
        x = xp.minimum(xp.maximum(x, eps), 1 - eps)
    return xp.log(x / (1 - x))


def _logit_rule(xp: Any, g: Any, x: Any, eps: float | None) -> Any:
    if eps is None:
        return xp.where((x < 0) | (x > 1), math.nan, g / (x * (1 - x)))
    return xp.where((x < eps) | (x > 1 - eps), 0.0, g / (x * (1 - x)))


_logit = primitive("logit", _logit_forward, _logit_rule, elementwise=True)


@public(
    methods=("logit",),
    in_place=True,
    kind="primitive",
    numpy={"special.logit": lambda x: logit(x)},
    samples=lambda make: [
        sample(make.real(2, 3, low=0.1, high=0.9)),
        sample(make.real(3, low=0.1, high=0.9), 0.3),
        sample(make.real(low=0.1, high=0.9), eps=1e-6),
        sample(make.real(0)),
    ],
)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)) of each element, the inverse of sigmoid; nan outside [0, 1].

    Args:
        input: any shape; integers become the default dtype.
        eps: elements are first moved into [eps, 1 - eps]; the derivative of those moved is 0.
    """
    return _logit(_of_inexact("logit", input), None if eps is None else float(eps))


# Bessel functions ------------------------------------------------------------------------------


@unary(_special("i0"), lambda xp, g, x: g * xp.special.i1(x), ordered=True, numpy="special.i0")
def i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 0, of each element."""


_NEAR: Final = 50.0
"""Up to here exp(x) and ten terms of an expansion at infinity are both good for float64."""


def _scaled(name: str) -> Formula:
    """The forward of a Bessel function times an exponential, which CuPy multiplies: inf * 0."""
    order, grows = int(name[1]), name[0] == "i"

    def forward(xp: Any, x: Any) -> Any:
        function = getattr(xp.special, name)
        if xp.module is np:
            return function(x)
        size = xp.absolute(x) if grows else x
        far = size > _NEAR
        safe = xp.where(far, size, _NEAR)
        term = total = xp.ones_like(x)
        for k in range(1, 11):
            step = ((2 * k - 1) ** 2 - 4 * order**2) / (8 * k)
            term = term * ((step if grows else -step) / safe)
            total = total + term
        total = total * xp.sqrt((0.5 / math.pi if grows else 0.5 * math.pi) / safe)
        if order and grows:
            total = total * xp.sign(x)
        return xp.where(far, total, function(xp.where(far, _NEAR, x)))

    return forward


def _bessel(
    name: str, rule: Formula, low: float = -2.0, graph: str | None = None
) -> Callable[[F], F]:
    """Declare a Bessel function by its name in SciPy."""
    return unary(
        _scaled(name) if name.endswith("e") else _special(name),
        rule,
        ordered=True,
        graph=graph,
        numpy=f"special.{name}",
        methods=(),
        in_place=False,
        path=f"special.{_OF_ORDER.get(name, name)}",
        samples=over(low, 1.5),
        departs=_departures(name) if name in _OF_ORDER else None,
    )


def _departures(name: str) -> dict[str, str]:
    departs = {
        "differentiable": "PyTorch has no derivative",
        "values: float64": "PyTorch's have seven right digits at some elements",
    }
    if name.endswith("e"):
        departs["signature"] = "the operand is input, as of all others, and not x"
    return departs


_OF_ORDER: Final = {
    **{f"{kind}{n}": f"bessel_{kind}{n}" for kind in "jy" for n in "01"},
    **{f"k{n}": f"modified_bessel_k{n}" for n in "01"},
    **{f"k{n}e": f"scaled_modified_bessel_k{n}" for n in "01"},
}


def _over_x(xp: Any, x: Any, y: Any) -> Any:
    """`y / x` for an odd function of slope 1/2 at 0."""
    zero = x == 0
    return xp.where(zero, 0.5, y / xp.where(zero, 1.0, x))


@_bessel(
    "i0e",
    lambda xp, g, y, x: g * (xp.apply(i1e, x) - xp.sign(x) * y),
    graph="SpecialI0EBackward0",
)
def i0e(input: Tensor) -> Tensor:
    """exp(-|x|) i0(x) of each element."""


@_bessel(
    "i1",
    lambda xp, g, y, x: g * (xp.special.i0(x) - _over_x(xp, x, y)),
    graph="SpecialI1Backward0",
)
def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 1, of each element."""


@_bessel(
    "i1e",
    lambda xp, g, y, x: g * (xp.apply(i0e, x) - xp.sign(x) * y - _over_x(xp, x, y)),
    graph="SpecialI1EBackward0",
)
def i1e(input: Tensor) -> Tensor:
    """exp(-|x|) i1(x) of each element."""


@_bessel("j0", lambda xp, g, x: g * -xp.special.j1(x))
def bessel_j0(input: Tensor) -> Tensor:
    """The Bessel function of the first kind, of order 0, of each element."""


@_bessel("j1", lambda xp, g, y, x: g * (xp.special.j0(x) - _over_x(xp, x, y)))
def bessel_j1(input: Tensor) -> Tensor:
    """The Bessel function of the first kind, of order 1, of each element."""


@_bessel("y0", lambda xp, g, x: g * -xp.special.y1(x), 0.3)
def bessel_y0(input: Tensor) -> Tensor:
    """The Bessel function of the second kind, of order 0, of each element."""


@_bessel("y1", lambda xp, g, y, x: g * (xp.special.y0(x) - y / x), 0.3)
def bessel_y1(input: Tensor) -> Tensor:
    """The Bessel function of the second kind, of order 1, of each element."""


@_bessel("k0", lambda xp, g, x: g * -xp.special.k1(x), 0.3)
def modified_bessel_k0(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind, of order 0, of each element."""


@_bessel("k1", lambda xp, g, y, x: g * -(xp.special.k0(x) + y / x), 0.3)
def modified_bessel_k1(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind, of order 1, of each element."""


@_bessel("k0e", lambda xp, g, y, x: g * (y - xp.apply(scaled_modified_bessel_k1, x)), 0.3)
def scaled_modified_bessel_k0(input: Tensor) -> Tensor:
    """exp(x) modified_bessel_k0(x) of each element."""


@_bessel("k1e", lambda xp, g, y, x: g * (y - xp.apply(scaled_modified_bessel_k0, x) - y / x), 0.3)
def scaled_modified_bessel_k1(input: Tensor) -> Tensor:
    """exp(x) modified_bessel_k1(x) of each element."""


@public(
    path="special.spherical_bessel_j0",
    samples=lambda make: [sample(make.real(2, 3)), sample(make.real()), sample(make.real(0))],
    departs={"node": "sinc", "differentiable": "PyTorch has no derivative"},
)
def spherical_bessel_j0(x: Tensor) -> Tensor:
    """sin(x) / x of each element, 1 at 0."""
    return sinc(_of_inexact("spherical_bessel_j0", x) / math.pi)
