"""The list of Tensor's methods for type checkers says what is there."""

import inspect

import pytest

import gradcore as gd
from gradcore.methods import Operations
from gradcore.op import OPS

LISTED = {
    name: value
    for name, value in vars(Operations).items()
    if inspect.isfunction(value) or isinstance(value, property)
}


def attached():
    methods = {name for op in OPS.values() for name in op.methods}
    return methods | {name for name in vars(gd.Tensor) if name[-1] == "_" and name[0] != "_"} - {
        "requires_grad_"
    }


@pytest.mark.parametrize("name", sorted(attached()))
def test_a_method_of_an_operation_is_listed(name):
    assert name in LISTED


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_listed_method_is_there_with_its_parameters(name):
    found = vars(gd.Tensor)[name]
    if isinstance(found, property):
        assert isinstance(LISTED[name], property)
        return
    there = list(inspect.signature(found).parameters.values())[1:]
    listed = list(inspect.signature(LISTED[name]).parameters.values())[1:]
    assert [(p.name, p.kind) for p in listed] == [(p.name, p.kind) for p in there]
