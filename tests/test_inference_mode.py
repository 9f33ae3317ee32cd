"""inference_mode: the same programs on PyTorch and gradcore."""

import asyncio
import copy
import gc
import threading

import pytest

import gradcore as gd
from gradcore.mode import WATCHERS

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity


def attempt(log, function):
    """Log what a call gives, or what it raises: the class, and the start of its text."""
    try:
        result = function()
        log.append(result.tolist() if hasattr(result, "tolist") else result)
    except RuntimeError as error:
        log.append(("raised", str(error).replace(".You", ". You")[:60]))


def leaf(lib, *values):
    return lib.tensor(values or (1.0, 2.0), dtype=lib.float64, requires_grad=True)


def ones(lib):
    return lib.ones(2, dtype=lib.float64)


def looks(t):
    return (t.is_inference(), t.requires_grad, t.is_leaf, t.tolist())


def what_is_made_inside(lib, log):
    x, p = leaf(lib), ones(lib)
    n = x * 2
    with lib.inference_mode():
        log.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))
        made = [
            x * 2,
            p * 2,
            p * p,
            p.sum(),
            x.exp(),
            lib.ones(3),
            lib.tensor([1.0, 2.0]),
            lib.tensor([1.0, 2.0], requires_grad=True),
            p.clone(),
            p.to(lib.float32),
            lib.cat((x, p)),
            p > 0,
            lib.where(p > 0, x, p),
            x @ p,
            x[lib.tensor([0])],
        ]
        views = [n[:1], p[:1], p.detach(), p.reshape(1, 2), p.unbind(0)[0], x.view(2, 1), p.t()]
        same = [p.contiguous(), p.to(lib.float64)]
    log.append([looks(t) for t in made])
    log.append([(looks(t)[0], t.tolist()) for t in views])
    log.append([t is p for t in same])
    log.append([lib.is_inference(t) for t in made])
    log.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))


def what_is_made_outside_of_inference_tensors(lib, log):
    with lib.inference_mode():
        a = ones(lib) * 2
    log.append([looks(t) for t in (a + 1, a.clone(), a + ones(lib), a.sum(), a.exp())])
    log.append([looks(t) for t in (a[:1], a.view(2, 1), a.detach(), a.data, a.unbind(0)[1])])
    log.append(looks(copy.deepcopy(a)))
    z = ones(lib)
    z.data = a
    log.append(looks(z))
    z = ones(lib)
    z.grad = a
    log.append(looks(z.grad))


def inference_tensors_in_graphs(lib, log):
    x = leaf(lib)
    with lib.inference_mode():
        a = ones(lib) * 2
        b = x * 3
    attempt(log, lambda: a * x)
    attempt(log, lambda: x * a)
    attempt(log, lambda: x / a)
    attempt(log, lambda: x @ b)
    attempt(log, lambda: x.sum() * b.sum())
    attempt(log, lambda: a + x)
    attempt(log, lambda: x - b)
    attempt(log, lambda: lib.cat((a, x)))
    attempt(log, lambda: lib.where(a > 0, a, x))
    attempt(log, lambda: x * a.clone())
    attempt(log, lambda: a * a)
    attempt(log, lambda: a.detach() * x)
    attempt(log, lambda: a[:1] * x[:1])
    attempt(log, lambda: lib.nn.functional.linear(b[None], x[None]))
    (a + x).sum().backward()
    log.append(x.grad.tolist())
    with lib.no_grad():
        attempt(log, lambda: a * x)


def a_function_cannot_save_them(lib, log):
    class Keep(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, a):
            ctx.save_for_backward(None, a)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g, None

    x = leaf(lib)
    with lib.inference_mode():
        a = ones(lib)
        log.append(looks(Keep.apply(x, a)))
    attempt(log, lambda: Keep.apply(x, a))
    attempt(log, lambda: Keep.apply(x, ones(lib)))


def writing_in_place(lib, log):
    x, p = leaf(lib), ones(lib)
    n = x * 2
    with lib.inference_mode():
        a = ones(lib)
        for t in (a, p, n, x, a[:1]):
            attempt(log, lambda t=t: t.add_(1))
        a[0] = 7
        attempt(log, lambda: a._version)
        log.append((p._version, n._version, n.grad_fn.name()))
    with lib.inference_mode():
        c = ones(lib)  # PyTorch writes before it raises
    attempt(log, lambda: c.add_(1))
    attempt(log, lambda: c.mul_(x))
    attempt(log, lambda: c[:1].add_(1))
    attempt(log, lambda: c.__setitem__(0, 1))
    attempt(log, lambda: c._version)
    attempt(log, lambda: (a * 1)._version)
    attempt(log, lambda: p.add_(a))
    attempt(log, lambda: (x * 1).mul_(a))
    attempt(log, lambda: (x * 1).add_(a))
    log.append(a.tolist())
    with lib.inference_mode():
        attempt(log, lambda: a.add_(1))


def views_of_normal_tensors(lib, log):
    x, p = leaf(lib), ones(lib)
    with lib.inference_mode():
        w = p[:1]
    attempt(log, lambda: w.mul_(2))
    attempt(log, lambda: w._version)
    log.append((p.tolist(), p._version, looks(w)[0]))
    attempt(log, lambda: x[:1] * w)


def requires_grad_rules(lib, log):
    with lib.inference_mode():
        a, b = ones(lib), ones(lib)
        log.append(looks(b.requires_grad_()))
        log.append(looks(b * 2))
    attempt(log, lambda: a.requires_grad_())
    attempt(log, lambda: setattr(a, "requires_grad", True))
    attempt(log, lambda: a.requires_grad_(False))
    attempt(log, lambda: b.requires_grad)
    attempt(log, lambda: (b + ones(lib)).requires_grad)
    (b + ones(lib)).sum().backward()
    log.append(b.grad.tolist())


def modes_within_modes(lib, log):
    x = leaf(lib)

    def state():
        log.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled(), looks(x * 2)[:2]))

    with lib.inference_mode():
        with lib.enable_grad():
            state()
            with lib.no_grad():
                state()
            with lib.inference_mode():
                state()
            state()
        with lib.inference_mode(False):
            state()
            with lib.no_grad():
                state()
            with lib.inference_mode():
                state()
            state()
        state()
        lib.set_grad_enabled(True)
        state()
        lib.set_grad_enabled(False)
        state()
    state()
    with lib.no_grad():
        with lib.inference_mode(False):
            state()
        state()
        with lib.inference_mode():
            state()
        state()
    with lib.inference_mode(False):
        state()
    state()


def an_exception_ends_the_mode(lib, log):
    try:
        with lib.inference_mode(), lib.enable_grad():
            raise KeyError
    except KeyError:
        log.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))


def decorators(lib, log):
    x = leaf(lib)

    @lib.inference_mode()
    def called(t):
        """Doc."""
        return looks(t * 2), lib.is_inference_mode_enabled()

    @lib.inference_mode
    def plain(t):
        return looks(t * 2), lib.is_inference_mode_enabled()

    @lib.inference_mode(False)
    def ended(t):
        return looks(t * 2)[:2], lib.is_inference_mode_enabled()

    @lib.inference_mode()
    def steps():
        yield lib.is_inference_mode_enabled()
        yield lib.is_inference_mode_enabled()

    log.append((called(x), plain(x), ended(x), called.__doc__, called.__name__))
    with lib.inference_mode():
        log.append(ended(x))
    generator = steps()
    log.append((next(generator), lib.is_inference_mode_enabled(), next(generator)))


def backward_inside(lib, log):
    x = leaf(lib)
    y = (x * x).sum()
    with lib.inference_mode():
        attempt(log, lambda: (x * 2).sum().backward())
        y.backward(retain_graph=True)
        (g,) = lib.autograd.grad(y, x, create_graph=True)
        log.append((x.grad.tolist(), g.requires_grad, g.tolist()))
    x.grad = None
    y.backward()
    log.append((x.grad.tolist(), x.grad.is_inference()))


def a_cotangent_may_be_one(lib, log):
    x = leaf(lib)
    with lib.inference_mode():
        v = ones(lib)
    (x * 2).backward(v)
    log.append((x.grad.tolist(), x.grad.is_inference()))
    x.grad = None
    x.backward(v)
    log.append((x.grad.tolist(), x.grad.is_inference()))


PROGRAMS = [
    what_is_made_inside,
    what_is_made_outside_of_inference_tensors,
    inference_tensors_in_graphs,
    a_function_cannot_save_them,
    writing_in_place,
    views_of_normal_tensors,
    requires_grad_rules,
    modes_within_modes,
    an_exception_ends_the_mode,
    decorators,
    backward_inside,
    a_cotangent_may_be_one,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_same_happens_as_in_pytorch(program):
    found, expected = [], []
    program(gd, found)
    program(torch, expected)
    assert found == expected
    assert found


def test_the_mode_holds_for_its_thread_and_task():
    seen = []

    def look():
        seen.append((gd.is_inference_mode_enabled(), gd.ones(1).is_inference()))

    async def inside():
        with gd.inference_mode():
            await asyncio.sleep(0)
            look()

    async def beside():
        await asyncio.sleep(0)
        look()

    async def both():
        await asyncio.gather(inside(), beside())

    with gd.inference_mode():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    asyncio.run(both())
    assert seen == [(False, False), (True, True), (False, False)]


def test_operations_look_for_inference_tensors_only_while_there_are_any():
    with gd.inference_mode():
        a = gd.ones(2)
        assert WATCHERS
    b = a[:1]
    del a
    assert WATCHERS
    del b
    gc.collect()
    assert not WATCHERS


def test_a_view_made_inside_has_no_history():
    n = leaf(gd) * 1
    with gd.inference_mode():
        v = n[:1]
    assert not v.requires_grad
    assert not v.is_inference()
    with gd.no_grad():
        v.add_(1)
    assert n.tolist() == [2.0, 2.0]
    with pytest.raises(gd.errors.GraphError, match="view was created in inference mode and is"):
        v.mul_(n[:1])


def test_nothing_is_written_where_writing_raises():
    with gd.inference_mode():
        a = gd.ones(2)
    with pytest.raises(gd.errors.GraphError, match="Inplace update to inference tensor outside"):
        a.zero_()
    assert a.tolist() == [1.0, 1.0]


def test_values_are_those_of_no_grad():
    x = leaf(gd)
    layer = lambda t: gd.nn.functional.softmax(t * x - t.mean(), dim=0)
    with gd.no_grad():
        expected = layer(x)
    with gd.inference_mode():
        found = layer(x)
    assert found.tolist() == expected.tolist()
