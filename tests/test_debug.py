"""The switches of `gradcore.debug`, and that of repeatable results."""

import contextvars
import threading

import pytest

import gradcore as gd
from gradcore.mode import checked_indices


@pytest.fixture(autouse=True)
def nothing_leaks():
    yield
    assert not checked_indices.get()
    assert gd.are_deterministic_algorithms_enabled()


def test_indices_are_not_checked_by_default():
    assert not checked_indices.get()


def test_a_block_checks_and_restores_what_was():
    with gd.debug.check_indices():
        assert checked_indices.get()
        with gd.debug.check_indices(False):
            assert not checked_indices.get()
        assert checked_indices.get()
    assert not checked_indices.get()


def test_a_block_left_by_an_error_restores():
    with pytest.raises(KeyError), gd.debug.check_indices():
        raise KeyError
    assert not checked_indices.get()


def test_a_call_switches_at_once():
    gd.debug.check_indices()
    assert checked_indices.get()
    gd.debug.check_indices(enabled=False)
    assert not checked_indices.get()


def test_a_decorator_checks_within_the_calls():
    @gd.debug.check_indices()
    def inside():
        return checked_indices.get()

    assert not checked_indices.get()
    assert inside()
    assert not checked_indices.get()


def test_a_decorated_generator_checks_within_its_steps():
    @gd.debug.check_indices()
    def steps():
        yield checked_indices.get()
        yield checked_indices.get()

    for inside in steps():
        assert inside
        assert not checked_indices.get()


def test_one_switch_can_be_entered_again():
    switch = gd.debug.check_indices()
    with switch:
        pass
    with switch:
        assert checked_indices.get()
    assert not checked_indices.get()


def test_threads_and_contexts_have_their_own():
    seen = []
    with gd.debug.check_indices():
        thread = threading.Thread(target=lambda: seen.append(checked_indices.get()))
        thread.start()
        thread.join()
        copied = contextvars.copy_context()
    assert seen == [False]
    assert copied.run(checked_indices.get)


def test_repr():
    switch = gd.debug.check_indices(False)
    assert repr(switch) == "check_indices(enabled=False)"


def test_the_cpu_checks_without_it():
    with pytest.raises(IndexError, match="index 3 is out of bounds for dimension 0 with size 3"):
        gd.arange(3)[gd.tensor([0, 3])]
    with gd.debug.check_indices(False), pytest.raises(IndexError):
        gd.arange(3)[gd.tensor([0, 3])]


def test_results_are_repeatable_by_default():
    assert gd.are_deterministic_algorithms_enabled()


def test_repeatable_results_can_be_switched_off_for_all_threads():
    seen = []
    gd.use_deterministic_algorithms(False)
    try:
        assert not gd.are_deterministic_algorithms_enabled()
        thread = threading.Thread(
            target=lambda: seen.append(gd.are_deterministic_algorithms_enabled())
        )
        thread.start()
        thread.join()
    finally:
        gd.use_deterministic_algorithms(True, warn_only=True)
    assert seen == [False]
    assert gd.are_deterministic_algorithms_enabled()
