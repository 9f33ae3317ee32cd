"""The checkers themselves: they pass what is right and fail what is wrong."""

import numpy as np
import pytest

import gradcore as gd
from gradcore import op as declare
from gradcore import testing
from gradcore.autograd import Function
from gradcore.samples import Maker, bad, over, sample
from gradcore.testing import GradcheckError, check_op, gradcheck, gradgradcheck


def leaf(*values, dtype=np.float64):
    return gd.tensor(np.array(values, dtype), requires_grad=True)


class Scaled(Function):
    """x**2 with a derivative that is wrong by a factor."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x * ctx.factor, None


# gradcheck -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize(
    ("func", "inputs"),
    [
        (lambda x: x.exp(), [leaf(0.3, -0.5)]),
        (lambda x: x * 3.0, [leaf(0.3, -0.5)]),
        (lambda x, y: (x * y, x + y.sin()), [leaf(0.3, -0.5), leaf(1.0, 2.0)]),
        (lambda x, y, k: x * y * k, [leaf(0.3, -0.5), gd.tensor(np.ones(2)), 3]),
        (lambda x: x.exp(), [gd.tensor(np.array(0.5), requires_grad=True)]),
        (lambda x: x.exp(), [gd.tensor(np.zeros(0), requires_grad=True)]),
        (lambda z: z * z.exp(), [leaf(0.3 + 0.2j, -0.5j, dtype=complex)]),
        (lambda z: z * z.conj(), [leaf(0.3 + 0.2j, -0.5j, dtype=complex)]),
        (lambda z: z.abs(), [leaf(0.3 + 0.2j, -0.5j, dtype=complex)]),
        (lambda x, z: x * z, [leaf(0.3, 0.5), leaf(0.3 + 0.2j, -0.5j, dtype=complex)]),
    ],
)
def test_right_derivatives_pass(func, inputs, fast_mode):
    assert gradcheck(func, inputs, fast_mode=fast_mode, check_forward_ad=True)
    assert gradgradcheck(func, inputs, fast_mode=fast_mode, check_fwd_over_rev=True)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_a_wrong_derivative_fails_and_shows_both_jacobians(fast_mode):
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: Scaled.apply(x, 2.1), leaf(1.0, 2.0), fast_mode=fast_mode)
    message = str(caught.value)
    assert (
        "Jacobian mismatch for output 0 with respect to input 0,\nnumerical:tensor([[2.0" in message
    )
    assert "analytical:tensor([[2.1" in message
    assert isinstance(caught.value, RuntimeError)


def test_raise_exception_false_returns_false():
    assert not gradcheck(lambda x: Scaled.apply(x, 2.1), leaf(1.0), raise_exception=False)
    assert gradcheck(lambda x: Scaled.apply(x, 2.0), leaf(1.0), raise_exception=False)


def test_the_output_and_the_input_that_differ_are_named():
    def func(x, y):
        return x * y, Scaled.apply(y, 3.0)

    with pytest.raises(GradcheckError, match="output 1 with respect to input 1"):
        gradcheck(func, (leaf(1.0), leaf(2.0)))


def test_tolerances_and_step_are_used():
    def func(x):
        return Scaled.apply(x, 2.001)

    assert gradcheck(func, leaf(1.0))
    with pytest.raises(GradcheckError):
        gradcheck(func, leaf(1.0), rtol=1e-5)
    assert gradcheck(func, leaf(1.0), rtol=1e-5, atol=0.1)
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x**3, leaf(1.0), eps=0.5)


def test_a_missing_conjugate_fails():
    class Square(Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx, g):
            (z,) = ctx.saved_tensors
            return 2 * z * g

    z = leaf(1 + 2j, dtype=complex)
    with pytest.raises(GradcheckError, match="considering the real part of complex outputs only"):
        gradcheck(Square.apply, z)


def test_a_wrong_second_derivative_fails():
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.x = x.detach()  # without its history: the second derivative is lost
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            return g * 3 * ctx.x * ctx.saved_tensors[0]

    assert gradcheck(Cube.apply, leaf(2.0))
    with pytest.raises(GradcheckError, match="output 0 with respect to input 0"):
        gradgradcheck(Cube.apply, leaf(2.0))


def test_an_output_that_hides_its_dependence_fails():
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, leaf(1.0))
    assert gradcheck(lambda x: x.detach().floor(), leaf(1.5))


def test_a_backward_that_is_not_linear_in_the_cotangent_fails():
    class Off(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g + 1e-7

    with pytest.raises(GradcheckError, match="backward not multiplied by grad_output"):
        gradcheck(Off.apply, leaf(1.0))
    assert gradcheck(Off.apply, leaf(1.0), check_undefined_grad=False)


def test_a_backward_that_differs_between_runs_fails():
    random = np.random.default_rng(0)

    class Noisy(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * (1 + 1e-7 * random.random())

    with pytest.raises(GradcheckError, match="Backward is not reentrant"):
        gradcheck(Noisy.apply, leaf(1.0))
    assert gradcheck(Noisy.apply, leaf(1.0), nondet_tol=1e-6)


def test_inputs_that_cannot_be_checked_raise_or_warn():
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, gd.tensor([1.0]))
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double"):
        gradcheck(lambda x: x * 2, leaf(1.0, dtype=np.float32), eps=0.1, atol=0.1)


def test_gradients_of_several_cotangents_are_checked():
    assert gradcheck(lambda x: x.exp() * x, leaf(0.1, 0.2), check_batched_grad=True)
    assert gradgradcheck(lambda x: x.exp() * x, leaf(0.1, 0.2), check_batched_grad=True)

    class Wrong(gd.autograd.Function):
        """The identity, with a derivative that counts the calls of backward."""

        calls = 0

        @staticmethod
        def forward(ctx, x):
            """Give the input."""
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            """Be wrong from the call on that is the one with a batch."""
            Wrong.calls += 1
            return g if Wrong.calls < 7 else g * 2

    class Refusing(gd.autograd.Function):
        """The identity, with a backward that reads values."""

        @staticmethod
        def forward(ctx, x):
            """Give the input."""
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            """Read the values."""
            return gd.tensor(g.numpy())

    x = leaf(1.0, 2.0)
    with pytest.raises(GradcheckError, match="While computing batched gradients, got: Cannot acc"):
        gradcheck(Refusing.apply, x, check_batched_grad=True)
    assert not gradcheck(Refusing.apply, x, check_batched_grad=True, raise_exception=False)
    Wrong.calls = 0
    gradcheck(Wrong.apply, x)
    calls = Wrong.calls
    Wrong.calls = 7 - calls - 3  # two cotangents one by one, then both at once
    with pytest.raises(GradcheckError, match=r"(?s)For output 0 and input 0.*batched gradient"):
        gradcheck(Wrong.apply, x, check_batched_grad=True)


@pytest.mark.parametrize("flag", ["check_batched_forward_grad", "masked"])
def test_what_is_not_implemented_says_so(flag):
    with pytest.raises(NotImplementedError, match=flag):
        gradcheck(lambda x: x, leaf(1.0), **{flag: True})


class Pushed(Function):
    """x**2 with a tangent that is wrong by a factor, if it is not 2."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        ctx.factor = factor
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g, None

    @staticmethod
    def jvp(ctx, t, _):
        (x,) = ctx.saved_tensors
        return ctx.factor * x * t


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_a_wrong_tangent_fails(fast_mode, dtype):
    x = leaf(1.0, 2.0, dtype=dtype)
    for options in ({"check_forward_ad": True}, {"check_forward_ad": True, "nondet_tol": 1.0}):
        assert gradcheck(lambda x: Pushed.apply(x, 2), x, fast_mode=fast_mode, **options)
        assert gradcheck(lambda x: Pushed.apply(x, 2.001), x, fast_mode=fast_mode)
        with pytest.raises(
            GradcheckError, match="computed with forward mode mismatch for output 0"
        ):
            gradcheck(lambda x: Pushed.apply(x, 2.01), x, fast_mode=fast_mode, **options)
        assert not gradcheck(
            lambda x: Pushed.apply(x, 2.01),
            x,
            fast_mode=fast_mode,
            raise_exception=False,
            **options,
        )


def test_forward_mode_alone():
    x = leaf(1.0, 2.0)
    alone = {"check_forward_ad": True, "check_backward_ad": False, "check_undefined_grad": False}
    assert gradcheck(lambda x: Scaled.apply(x, 3) if x is None else x.sin(), x, **alone)

    class OneWay(Pushed):
        @staticmethod
        def backward(ctx, g):
            raise AssertionError

    assert gradcheck(lambda x: OneWay.apply(x, 2), x, **alone)
    with pytest.raises(ValueError, match="at least one of check_forward_ad or check_backward_ad"):
        gradcheck(OneWay.apply, x, check_backward_ad=False)
    with pytest.raises(ValueError, match="requires check_backward_ad to be True"):
        gradcheck(OneWay.apply, x, check_forward_ad=True, check_backward_ad=False)
    with pytest.raises(ValueError, match="requires check_rev_over_rev to be True"):
        gradgradcheck(OneWay.apply, x, check_fwd_over_rev=True, check_rev_over_rev=False)
    assert gradgradcheck(
        lambda x: x.exp(),
        x,
        check_fwd_over_rev=True,
        check_rev_over_rev=False,
        check_undefined_grad=False,
    )


def test_a_wrong_second_tangent_fails():
    class Off(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return Pushed.apply(x, 2.01) * 3 * g

    x = leaf(1.0, 2.0)
    assert gradgradcheck(Off.apply, x)
    with pytest.raises((GradcheckError, NotImplementedError)):
        gradgradcheck(Off.apply, x, check_fwd_over_rev=True)


def test_gradgradcheck_takes_cotangents():
    v = gd.tensor(np.array([0.5, -2.0]))
    assert gradgradcheck(lambda x: x.exp(), leaf(0.1, 0.2), v)
    assert gradgradcheck(lambda x: x.exp(), leaf(0.1, 0.2), gen_non_contig_grad_outputs=True)


def test_inputs_are_left_as_they_were():
    x = leaf(1.0, 2.0)
    gradcheck(lambda x: x.exp(), x)
    assert x.tolist() == [1.0, 2.0]
    assert x.grad is None


@pytest.mark.parity
def test_the_jacobians_of_complex_functions_are_those_of_pytorch(torch):
    z = np.array([0.3 + 0.2j, -0.5j])
    theirs = torch.tensor(z, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: z * z.conj() * 2j, theirs)
    ours = gd.tensor(z, requires_grad=True)
    assert gradcheck(lambda z: z * z.conj() * 2j, ours)


# check_op on wrong rules -----------------------------------------------------------------------


@pytest.fixture
def declared(monkeypatch):
    """Return a function that declares an operation, and takes it back after the test."""
    monkeypatch.setattr(declare, "OPS", {})
    faces = dict(declare.NUMPY_FACES)

    def record(path="wrong"):
        return declare.OPS[path]

    yield record
    declare.NUMPY_FACES.clear()
    declare.NUMPY_FACES.update(faces)


def check_all(record):
    for one in record.samples(Maker(record.name)):
        check_op(record, one)


def wrong_unary(forward, rule, **options):
    @declare.unary(forward, rule, methods=(), samples=over(0.5, 2.0), **options)
    def wrong(input):
        """Declared for a test."""


def wrong_binary(forward, rule_a, rule_b, **options):
    @declare.binary(forward, rule_a, rule_b, methods=(), **options)
    def wrong(input, other):
        """Declared for a test."""


COMPLEX = lambda make: [sample(make.complex(3))]


def test_right_rules_pass(declared):
    wrong_unary("square", lambda xp, g, x: g * 2.0 * x)
    check_all(declared())


def test_a_factor_of_2_001_for_2_fails(declared):
    wrong_unary("square", lambda xp, g, x: g * 2.001 * x)
    with pytest.raises(GradcheckError, match=r"wrong: first derivative .*(\n.*)*Jacobian mismatch"):
        check_all(declared())


def test_a_missing_factor_fails(declared):
    wrong_unary("square", lambda xp, g, x: g * x)
    with pytest.raises(GradcheckError, match="first derivative"):
        check_all(declared())


def test_a_missing_cotangent_fails(declared):
    wrong_unary("square", lambda xp, g, x: 2.0 * x)
    with pytest.raises(GradcheckError, match="first derivative"):
        check_all(declared())


def test_a_missing_conjugate_in_a_rule_fails(declared):
    @declare.unary(
        "square",
        lambda xp, g, x: g * 2.0 * x,
        holomorphic=False,
        result="same",
        methods=(),
        samples=COMPLEX,
    )
    def wrong(input):
        """Declared for a test."""

    with pytest.raises(GradcheckError, match="real part of complex outputs"):
        check_all(declared())


def test_a_rule_wrong_only_where_it_broadcasts_fails(declared):
    # What was broadcast is summed here, and by the engine once more.
    wrong_binary(
        "multiply",
        lambda xp, g, b: g * b,
        lambda xp, g, a, b: xp.broadcast_to(xp.sum_to(g * a, b.shape), g.shape),
    )
    make = Maker("wrong")
    check_op(declared(), sample(make.real(2, 3), make.real(2, 3)))
    with pytest.raises(GradcheckError, match="with respect to input 1"):
        check_op(declared(), sample(make.real(2, 3), make.real(3)))


def test_a_second_derivative_wrong_fails(declared):
    # Right at first order; recorded, it forgets that x varies.
    def rule(xp, g, x):
        frozen = gd.tensor(x.detach().numpy()) if isinstance(x, gd.Tensor) else x
        return g * 2.0 * frozen

    @declare.unary("square", rule, methods=(), samples=over(0.5, 2.0))
    def wrong(input):
        """Declared for a test."""

    one = sample(Maker("x").real(3, low=0.5))
    testing.check_derivatives(declared(), one, second=False)
    with pytest.raises(GradcheckError, match="second derivative"):
        testing.check_derivatives(declared(), one)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda xp, g, x: g * (2.0 * x).sum() / x.sum() * x, r"\.sum of an array"),
        (lambda xp, g, x: g * 2.0 * x if (x > 0) else g, "branches on the value"),
        (lambda xp, g, x: g * 2.0 * x[...], "__getitem__|subscriptable"),
        (lambda xp, g, x: g * 2.0 * np.asarray(x), "__array|must be|unsupported|uses"),
    ],
)
def test_a_rule_that_breaks_the_grammar_fails(declared, rule, words):
    wrong_unary("square", rule)
    with pytest.raises((AssertionError, TypeError), match=words):
        testing.check_derivatives(declared(), sample(np.array([1.5])), second=False)


def test_a_rule_that_changes_in_place_fails(declared):
    def rule(xp, g, x):
        d = 2.0 * x
        d *= g
        return d

    wrong_unary("square", rule)
    with pytest.raises(AssertionError, match="__imul__"):
        testing.check_derivatives(declared(), sample(np.array([1.5, 2.0])), second=False)


def test_a_function_that_is_not_in_the_namespace_fails(declared):
    wrong_unary("square", lambda xp, g, x: g * xp.ptp(x))
    with pytest.raises(AttributeError, match="ptp"):
        testing.check_derivatives(declared(), sample(np.array([1.5, 2.0])), second=False)


def test_a_float64_constant_in_a_forward_fails(declared):
    wrong_unary(lambda xp, x: x * np.ones(x.shape), lambda xp, g: g, result="same")
    with pytest.raises(AssertionError, match="float"):
        testing.check_precision(declared(), sample(np.array([1.5, 2.0])))


def test_a_forward_that_changes_its_input_fails(declared):
    def forward(xp, x):
        x *= 1.5
        return x.copy()

    wrong_unary(forward, lambda xp, g: g * 1.5)
    with pytest.raises(AssertionError, match=r"differ|input modified"):
        testing.check_values(declared(), sample(np.array([1.5, 2.0])))


def test_a_forward_that_reads_memory_order_fails(declared):
    def forward(xp, x):
        return np.ravel(x, order="K")[: x.size].reshape(x.shape) * 1.0

    wrong_unary(forward, lambda xp, g: g)
    with pytest.raises(AssertionError, match="fortran"):
        testing.check_layouts(declared(), sample(np.arange(6.0).reshape(2, 3)))


def test_a_numpy_face_with_other_values_fails(declared):
    wrong_unary("exp2", lambda xp, g, y: g * y * np.log(2.0), numpy={"exp": None})
    with pytest.raises(AssertionError, match=r"np\.exp gives"):
        testing.check_values(declared(), sample(np.array([1.5, 2.0])))


def test_an_error_sample_that_does_not_raise_fails(declared):
    wrong_unary("square", lambda xp, g, x: g * 2.0 * x)
    record = declared()
    with pytest.raises(AssertionError, match="raised None where ValueError"):
        testing.check_error(record, bad(ValueError, "words", np.ones(2)))
    with pytest.raises(AssertionError, match="no 'other words'"):
        testing.check_error(record, bad(TypeError, "other words", "text"))
    testing.check_error(record, bad(TypeError, "must be a Tensor", "text"))
