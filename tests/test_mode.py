"""no_grad, enable_grad and set_grad_enabled."""

import asyncio
import threading

import pytest

import gradcore as gd
from gradcore.autograd import enable_grad, no_grad, set_grad_enabled


@pytest.fixture
def x():
    return gd.tensor([1.0, 2.0], requires_grad=True)


def test_nothing_is_recorded_under_no_grad(x):
    with no_grad():
        y = x * 2
        assert not gd.is_grad_enabled()
    assert not y.requires_grad
    assert y.grad_fn is None
    assert gd.is_grad_enabled()


def test_leaves_can_be_made_under_no_grad():
    with no_grad():
        assert gd.tensor([1.0], requires_grad=True).requires_grad


def test_enable_grad_records_inside_no_grad(x):
    with no_grad(), enable_grad():
        assert (x * 2).requires_grad


def test_blocks_nest(x):
    with no_grad():
        with enable_grad():
            with no_grad():
                assert not gd.is_grad_enabled()
            assert gd.is_grad_enabled()
        assert not gd.is_grad_enabled()


def test_one_object_can_be_entered_twice():
    switch = no_grad()
    with switch:
        with switch:
            assert not gd.is_grad_enabled()
        assert not gd.is_grad_enabled()
    assert gd.is_grad_enabled()


@pytest.mark.parametrize("switch", [no_grad, lambda: set_grad_enabled(False)])
def test_an_exception_restores_the_mode(switch):
    with pytest.raises(KeyError), switch():
        raise KeyError
    assert gd.is_grad_enabled()


def test_an_exception_in_a_decorated_function_restores_the_mode():
    @no_grad()
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert gd.is_grad_enabled()


@pytest.mark.parametrize("decorate", [no_grad(), no_grad])
def test_a_decorated_function_runs_in_the_mode(decorate, x):
    @decorate
    def double(v, *, by=2):
        """Double it."""
        return v * by

    assert not double(x, by=3).requires_grad
    assert gd.is_grad_enabled()
    assert double.__name__ == "double"
    assert double.__doc__ == "Double it."


def test_a_decorated_function_may_recurse(x):
    @no_grad()
    def countdown(n):
        return (n == 0 or countdown(n - 1)) and not gd.is_grad_enabled()

    assert countdown(5)
    assert gd.is_grad_enabled()


def test_a_decorated_generator_runs_every_step_in_the_mode(x):
    @no_grad()
    def steps():
        for _ in range(3):
            assert not gd.is_grad_enabled()
            yield (x * 2).requires_grad

    for recorded in steps():
        assert not recorded
        assert gd.is_grad_enabled()


def test_a_decorated_generator_keeps_its_own_mode_between_steps(x):
    @enable_grad()
    def steps():
        yield gd.is_grad_enabled()
        yield gd.is_grad_enabled()

    with no_grad():
        generator = steps()
        assert next(generator)
        assert not gd.is_grad_enabled()
    assert next(generator)


def test_send_throw_close_and_return_reach_a_decorated_generator():
    seen = []

    @no_grad()
    def steps():
        try:
            seen.append((yield 1))
            try:
                yield 2
            except KeyError:
                seen.append(gd.is_grad_enabled())
                yield 3
        finally:
            seen.append("closed")
        return "end"

    generator = steps()
    assert next(generator) == 1
    assert generator.send("sent") == 2
    assert generator.throw(KeyError) == 3
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "end"
    assert seen == ["sent", False, "closed"]

    generator = steps()
    next(generator)
    generator.close()
    assert seen[-1] == "closed"
    assert gd.is_grad_enabled()


def test_set_grad_enabled_switches_at_once():
    set_grad_enabled(False)
    try:
        assert not gd.is_grad_enabled()
    finally:
        set_grad_enabled(True)
    assert gd.is_grad_enabled()


@pytest.mark.parametrize("mode", [True, False])
def test_set_grad_enabled_as_a_context_manager_restores_what_was_before(mode):
    for outer in (True, False):
        with set_grad_enabled(outer):
            with set_grad_enabled(mode):
                assert gd.is_grad_enabled() is mode
            assert gd.is_grad_enabled() is outer
    assert gd.is_grad_enabled()


def test_set_grad_enabled_as_a_decorator_does_not_leak():
    @set_grad_enabled(False)
    def mode():
        return gd.is_grad_enabled()

    assert gd.is_grad_enabled()
    assert not mode()
    assert gd.is_grad_enabled()


def test_each_thread_starts_recording():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(gd.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_thread_does_not_change_the_mode_of_another():
    inside, leave = threading.Event(), threading.Event()

    def work():
        with no_grad():
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(5)
    assert gd.is_grad_enabled()
    leave.set()
    thread.join()


def test_asynchronous_tasks_do_not_share_the_mode(x):
    async def quiet(started, other_started):
        with no_grad():
            started.set()
            await other_started.wait()
            return gd.is_grad_enabled()

    async def loud(started, other_started):
        await other_started.wait()
        started.set()
        mode = gd.is_grad_enabled()
        await asyncio.sleep(0)
        return mode and (x * 2).requires_grad

    async def both():
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(quiet(a, b), loud(b, a))

    assert asyncio.run(both()) == [False, True]
    assert gd.is_grad_enabled()


def test_backward_runs_under_no_grad(x):
    y = (x * x).sum()
    with no_grad():
        y.backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert not x.grad.requires_grad


def test_create_graph_records_under_no_grad(x):
    y = (x * x).sum()
    with no_grad():
        (g,) = gd.autograd.grad(y, x, create_graph=True)
    assert g.requires_grad
