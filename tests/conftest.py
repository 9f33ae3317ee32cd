"""Fixed seeds, no leaked global state, and the oracle."""

import gc
import os
import random

import numpy as np
import pytest
from hypothesis import settings

import gradcore
import gradcore.nn.functional  # a few operations are declared there
from gradcore import printing
from gradcore.mode import WATCHERS
from gradcore.op import declare_all

declare_all()  # tests go through the records of all operations

settings.register_profile("default", deadline=None, max_examples=50, database=None)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def global_state():
    """What a test could leave behind."""
    return {
        "grad mode": gradcore.is_grad_enabled(),
        "default dtype": gradcore.get_default_dtype(),
        "print options": repr(printing.get_printoptions()),
        "special modes": list(WATCHERS),
        "NumPy's error handling": np.geterr(),
        "NumPy's print options": repr(np.get_printoptions()),
    }


def pytest_collection_finish():
    """Let the garbage collector leave out what stays till the end: the modules and the tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded_and_nothing_leaks():
    random.seed(0)
    np.random.seed(0)
    gradcore.manual_seed(0)
    before = global_state()
    yield
    after = global_state()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert not changed, f"the test leaked global state: {changed}"


@pytest.fixture
def rng():
    """Return NumPy's generator, the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def torch():
    """Return PyTorch on one thread, or skip; for tests marked `parity`."""
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


def pytest_configure(config):
    # torch's first import warns about what the installed NumPy has deprecated.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:torch.*")
