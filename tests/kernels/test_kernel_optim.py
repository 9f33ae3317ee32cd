"""Optimisers on CUDA: one launch a step, and what the CPU gives."""

import copy
import pickle

import numpy as np
import pytest

import gradcore as gd

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

SGD = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.01, "maximize": True},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
]
ADAM = [
    {},
    {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    {"lr": 0.1, "amsgrad": True, "maximize": True, "weight_decay": 0.1},
]
CASES = [
    *(("SGD", options) for options in SGD),
    *((name, options) for name in ("Adam", "AdamW") for options in ADAM),
]
# One of each kernel.
KERNELS = [CASES[1], CASES[2], CASES[5], CASES[6]]

# These have no kernels of their own.
OTHERS = [
    ("RMSprop", {"momentum": 0.5, "centered": True, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adamax", {}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"betas": (0.8, 0.9)}),
    ("Rprop", {}),
    ("ASGD", {"t0": 1, "lambd": 0.1}),
]

# Views of 1100 numbers.
FLAT = {
    "0-d": lambda a: a[5:6].reshape(()),
    "empty": lambda a: a[:0].reshape(0, 2),
    "short": lambda a: a[:3],
    "two chunks and a rest": lambda a: a[:1031],
    "vectors exactly": lambda a: a[:1024].reshape(4, 16, 16),
}
ODD = {"no vector may be read": lambda a: a[1:31], "at 16 bytes": lambda a: a[16:46]}
STRIDED = {
    "transposed": lambda a: a[:12].reshape(3, 4).T,
    "with gaps": lambda a: a[:60].reshape(6, 10)[::2, 1:9:3],
    "permuted": lambda a: a[:24].reshape(2, 3, 4).transpose(2, 0, 1),
    "contiguous": lambda a: a[:7],
}


def numbers(rng, dtype, n):
    a = rng.standard_normal(n)
    return (a + 1j * rng.standard_normal(n) if np.dtype(dtype).kind == "c" else a).astype(dtype)


def made(layouts, device, dtype, rng):
    arrays = [gd.tensor(numbers(rng, dtype, 1100), device=device)._array for _ in layouts]
    views = [view(a) for view, a in zip(layouts.values(), arrays, strict=True)]
    return [gd.nn.Parameter(gd.as_tensor(view)) for view in views]


def set_gradients(parameters, rng, skip=()):
    for number, p in enumerate(parameters):
        g = numbers(rng, p.dtype.dtype, p.numel()).reshape(p.shape)
        p.grad = None if number in skip else gd.tensor(g, device=p.device)


def trained(device, name, options, dtype, layouts=FLAT, skips=((), (), ())):
    rng = np.random.default_rng(0)
    parameters = made(layouts, device, dtype, rng)
    optimizer = getattr(gd.optim, name)(parameters, **options)
    for skip in skips:
        set_gradients(parameters, rng, skip)
        optimizer.step()
    return parameters, optimizer


def assert_same(ours, theirs, tolerance):
    for p, q in zip(ours, theirs, strict=True):
        assert p.is_cuda
        assert p.dtype is q.dtype
        np.testing.assert_allclose(
            p.detach().cpu().numpy(), q.detach().cpu().numpy(), rtol=tolerance, atol=tolerance
        )


def assert_same_state(optimizer, reference, tolerance):
    ours, theirs = optimizer.state_dict(), reference.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"].keys() == theirs["state"].keys()
    for number, values in theirs["state"].items():
        assert ours["state"][number].keys() == values.keys()
        for key, value in values.items():
            mine = ours["state"][number][key]
            assert mine.dtype is value.dtype
            assert mine.is_cuda == (key not in ("step", "mu_product", "eta", "mu"))
            np.testing.assert_allclose(
                mine.cpu().numpy(), value.cpu().numpy(), rtol=tolerance, atol=tolerance
            )


def assert_trained_alike(case, dtype, tolerance, **kwargs):
    ours, optimizer = trained("cuda", *case, dtype, **kwargs)
    theirs, reference = trained("cpu", *case, dtype, **kwargs)
    assert_same(ours, theirs, tolerance)
    assert_same_state(optimizer, reference, tolerance)


@pytest.fixture
def exact(device):
    """Return the tolerance in float64: a GPU may contract products and sums."""
    return 1e-15 if device == "hostcuda" else 1e-13


@pytest.mark.parametrize("case", CASES)
def test_steps_in_float64_are_those_of_the_cpu(case, exact):
    assert_trained_alike(case, np.float64, exact)


@pytest.mark.parametrize("case", OTHERS)
def test_steps_without_a_kernel_are_those_of_the_cpu(case):
    assert_trained_alike(case, np.complex128, 1e-13, layouts=STRIDED, skips=[()] * 6)


def test_lbfgs_steps_as_on_the_cpu():
    found = []
    for device in ("cpu", "cuda"):
        p = gd.tensor([[3.0], [-2.0]], dtype=gd.float64, device=device, requires_grad=True)
        optimizer = gd.optim.LBFGS([p], max_iter=4, line_search_fn="strong_wolfe")

        def closure(p=p):
            p.grad = None
            loss = p.cosh().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append(p.tolist())
    np.testing.assert_allclose(*found, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("case", KERNELS)
def test_steps_in_other_dtypes_are_those_of_the_cpu(case, dtype, exact):
    assert_trained_alike(case, dtype, 3e-6 if dtype is np.float32 else 4 * exact)


@pytest.mark.parametrize("case", KERNELS)
def test_arrays_of_which_no_vector_may_be_read(case, exact):
    assert_trained_alike(case, np.float64, exact, layouts=ODD)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("case", KERNELS)
def test_parameters_that_are_not_contiguous(case, dtype, exact):
    assert_trained_alike(case, dtype, 4 * exact, layouts=STRIDED)


def test_gradients_that_are_not_contiguous(exact):
    results = []
    for device in ("cpu", "cuda"):
        p, q = (gd.ones(3, 4, dtype=gd.float64, device=device).requires_grad_() for _ in range(2))
        p.grad = gd.tensor(np.arange(12.0).reshape(4, 3), device=device).T
        q.grad = gd.tensor(np.arange(12.0).reshape(3, 4), device=device)
        gd.optim.SGD([p, q], lr=0.1).step()
        results.append((p, q))
    assert_same(results[1], results[0], exact)


@pytest.mark.parametrize("case", KERNELS)
def test_float16_is_calculated_in_float32(case):
    name, options = case
    rng = np.random.default_rng(0)
    ours = made(FLAT, "cuda", np.float16, rng)
    wide = [gd.nn.Parameter(p.detach().cpu().float()) for p in ours]
    for parameters in (ours, wide):
        set_gradients(parameters, np.random.default_rng(1))
    for p, q in zip(ours, wide, strict=True):
        q.grad = p.grad.cpu().float()
    getattr(gd.optim, name)(ours, **options).step()
    getattr(gd.optim, name)(wide, **options).step()
    for p, q in zip(ours, wide, strict=True):
        mine, exact = p.detach().cpu().numpy(), q.detach().numpy()
        # Rounded once: within half a step of float16, and what float32 is off.
        assert (np.abs(mine - exact) <= 0.502 * np.spacing(np.abs(mine))).all()


def test_the_eps_of_adam_does_not_vanish_in_float16():
    p = gd.ones(3, dtype=gd.float16, device="cuda", requires_grad=True)
    p.grad = gd.zeros(3, dtype=gd.float16, device="cuda")
    gd.optim.Adam([p]).step()
    assert p.tolist() == [1.0, 1.0, 1.0]


def test_nan_and_inf_stay_where_they_are(exact):
    results = []
    for device in ("cpu", "cuda"):
        p = gd.tensor([1.0, 2.0, 3.0, float("inf")], dtype=gd.float64, device=device)
        p.requires_grad_()
        optimizer = gd.optim.Adam([p], lr=0.1, amsgrad=True)
        for values in ([1.0, float("nan"), float("inf"), 1.0], [1.0, 1.0, 1.0, 1.0]):
            p.grad = gd.tensor(values, dtype=gd.float64, device=device)
            with np.errstate(all="ignore"):
                optimizer.step()
        results.append(([p], optimizer))
    (expected, reference), (ours, optimizer) = results
    assert_same(ours, expected, exact)
    assert_same_state(optimizer, reference, exact)
    assert np.isnan(ours[0].tolist()).tolist() == [False, True, True, False]


# launches ----------------------------------------------------------------------------------------


def twenty(dtype=gd.float32, device="cuda"):
    return [gd.ones(7, 1 + n, dtype=dtype, device=device).requires_grad_() for n in range(20)]


@pytest.mark.parametrize("case", CASES)
def test_a_step_over_twenty_parameters_is_one_launch(case, count):
    name, options = case
    parameters = twenty()
    optimizer = getattr(gd.optim, name)(parameters, **options)
    rng = np.random.default_rng(0)
    set_gradients(parameters, rng)
    optimizer.step()
    for _ in range(2):
        set_gradients(parameters, rng)  # in new memory
        counted = count(optimizer.step)
        assert counted.launches == 1
        assert counted.copies_and_syncs == {}


def test_the_first_step_makes_the_table_in_one_copy(count):
    parameters = twenty()
    set_gradients(parameters, np.random.default_rng(0))
    counted = count(gd.optim.SGD(parameters, lr=0.1).step)
    assert counted.launches == 1
    assert counted.copies_and_syncs == {"h2d": 1}


def test_more_parameters_than_a_launch_takes(kernels, count):
    most = kernels.optim.MOST
    parameters = [gd.zeros(1, device="cuda").requires_grad_() for _ in range(most + 1)]
    ones = gd.ones(1, device="cuda")
    for number, p in enumerate(parameters):
        p.grad = ones * float(number)
    optimizer = gd.optim.SGD(parameters, lr=1.0)
    optimizer.step()
    assert count(optimizer.step).launches == 2
    assert gd.cat([p.detach() for p in parameters]).tolist() == [-2.0 * n for n in range(most + 1)]


def test_large_parameters_are_cut_into_longer_chunks(kernels, monkeypatch, exact):
    monkeypatch.setattr(kernels.optim, "_MANY_BLOCKS", 1)
    monkeypatch.setattr(kernels.optim, "_MOST_CHUNK", 2048)
    layouts = {"a": lambda a: a, "b": lambda a: a[:1025], "c": lambda a: a.repeat(3)}
    assert_trained_alike(CASES[6], np.float64, exact, layouts=layouts)
    _, optimizer = trained("cuda", *CASES[6], np.float64, layouts=layouts)
    (steps,) = optimizer._steps.values()
    ((_, grid, *_),) = steps._table._launches
    assert grid == (1 + 1 + 2,)


def test_dtypes_have_a_launch_each(count):
    parameters = twenty() + twenty(gd.float64)
    optimizer = gd.optim.Adam(parameters)
    set_gradients(parameters, np.random.default_rng(0))
    optimizer.step()
    assert count(optimizer.step).launches == 2


def test_parameters_without_a_gradient_stay(count, exact):
    case = ("Adam", {"lr": 0.1, "weight_decay": 0.1})
    skips = ((0, 3), (), (1,), (0, 1, 2, 3, 4))
    assert_trained_alike(case, np.float64, exact, skips=skips)
    case = ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3})
    assert_trained_alike(case, np.float64, exact, skips=skips)
    parameters, optimizer = trained("cuda", *case, np.float64, skips=skips)
    set_gradients(parameters, np.random.default_rng(0), skip=(2,))
    counted = count(optimizer.step)
    assert counted.launches == 1
    assert counted.copies_and_syncs == {}


def test_counts_that_differ_have_a_launch_each(count):
    parameters = twenty()
    optimizer = gd.optim.Adam(parameters)
    for skip in ((0, 1), (), ()):
        set_gradients(parameters, np.random.default_rng(0), skip)
        optimizer.step()
    assert count(optimizer.step).launches == 2
    assert {float(optimizer.state[p]["step"]) for p in parameters} == {3.0, 4.0}


def test_zero_grad_is_one_launch_for_all_dtypes(count):
    parameters = twenty() + twenty(gd.float16) + twenty(gd.complex128)
    set_gradients(parameters, np.random.default_rng(0))
    parameters[0].grad = gd.ones(1, 7, device="cuda").T
    optimizer = gd.optim.SGD(parameters)
    held = [p.grad for p in parameters]
    optimizer.zero_grad(set_to_none=False)
    assert all(p.grad is g and not g.any() for p, g in zip(parameters, held, strict=True))
    set_gradients(parameters, np.random.default_rng(0))
    counted = count(lambda: optimizer.zero_grad(set_to_none=False))
    assert counted.launches == 1
    assert counted.copies_and_syncs == {}
    assert not any(p.grad.any() for p in parameters)


def test_zero_grad_of_gradients_with_gaps_or_history():
    p, q = (gd.ones(3, device="cuda").requires_grad_() for _ in range(2))
    wide = gd.ones(6, device="cuda")
    p.grad = wide[::2]
    with pytest.warns(UserWarning, match="create_graph"):
        (q * q).sum().backward(create_graph=True)
    before = q.grad
    gd.optim.SGD([p, q]).zero_grad(set_to_none=False)
    assert wide.tolist() == [0, 1, 0, 1, 0, 1]
    assert before.tolist() == [2, 2, 2]
    assert q.grad.tolist() == [0, 0, 0]
    assert q.grad.grad_fn is None


# where arrays change -----------------------------------------------------------------------------


def test_the_learning_rate_may_change(count):
    p = gd.zeros(2, device="cuda").requires_grad_()
    p.grad = gd.ones(2, device="cuda")
    optimizer = gd.optim.SGD([p], lr=1.0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25
    assert count(optimizer.step).launches == 1
    assert p.tolist() == [-1.25, -1.25]


def test_groups_have_options_and_launches_of_their_own(count):
    p, q = (gd.zeros(2, device="cuda").requires_grad_() for _ in range(2))
    optimizer = gd.optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.5}], lr=1.0)
    for _ in range(2):
        p.grad = q.grad = gd.ones(2, device="cuda")
        optimizer.step()
    assert count(optimizer.step).copies_and_syncs == {}
    assert (p.tolist(), q.tolist()) == ([-3, -3], [-1.5, -1.5])


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_new_data_of_a_parameter_is_stepped(name):
    options = {"lr": 0.5} | ({"momentum": 0.9} if name == "SGD" else {})
    p = gd.zeros(2, device="cuda").requires_grad_()
    optimizer = getattr(gd.optim, name)([p], **options)
    p.grad = gd.ones(2, device="cuda")
    optimizer.step()
    old = p.detach()
    before = old.tolist()
    p.data = gd.zeros(2, device="cuda")
    optimizer.step()
    assert old.tolist() == before
    assert p.tolist() != [0, 0]


def test_state_and_gradients_that_do_not_fit_are_refused():
    p = gd.zeros(3, device="cuda").requires_grad_()
    p.grad = gd.ones(3, device="cuda")
    optimizer = gd.optim.Adam([p])
    optimizer.step()
    p.data = gd.zeros(2, device="cuda")
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        optimizer.step()
    p.grad = gd.ones(2, device="cuda")
    with pytest.raises(ValueError, match="differ in shape or dtype"):
        optimizer.step()
    assert p.tolist() == [0, 0]


def test_a_parameter_given_twice_is_stepped_twice():
    p = gd.zeros(2, device="cuda").requires_grad_()
    p.grad = gd.ones(2, device="cuda")
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = gd.optim.SGD([p, p], lr=1.0)
    optimizer.step()
    assert p.tolist() == [-2, -2]


def test_parameters_on_several_devices(exact):
    expected, _ = trained("cpu", *CASES[6], np.float64)
    rng = np.random.default_rng(0)
    parameters = made(FLAT, "cuda:1", np.float64, rng)
    for p in parameters[::2]:
        p.data = p.detach().cpu()
    here = [gd.zeros(2, device="cuda:0").requires_grad_()]
    optimizer = gd.optim.Adam(here + parameters, **CASES[6][1])
    for _ in range(3):
        set_gradients(parameters, rng)
        here[0].grad = gd.ones(2, device="cuda:0")
        optimizer.step()
    for p, q in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.detach().cpu().numpy(), q.detach().numpy(), exact, exact)
    assert {str(optimizer.state[p]["exp_avg"].device) for p in parameters} == {"cpu", "cuda:1"}
    assert gd.cuda.current_device() == 0


def test_another_stream_gets_a_table_of_its_own(cp, count):
    parameters = twenty()
    set_gradients(parameters, np.random.default_rng(0))
    optimizer = gd.optim.SGD(parameters, lr=0.1)
    optimizer.step()
    with cp.cuda.Stream(non_blocking=True):
        assert count(optimizer.step).copies_and_syncs == {"h2d": 1}
        assert count(optimizer.step).copies_and_syncs == {}


# state -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), [("cpu", "cuda"), ("cuda", "cpu")])
@pytest.mark.parametrize("case", [CASES[2], CASES[6]])
def test_state_goes_from_device_to_device(case, source, target, exact):
    parameters, optimizer = trained(source, *case, np.float64)
    twins = [gd.nn.Parameter(p.detach().to(target)) for p in parameters]
    second = getattr(gd.optim, case[0])(twins, lr=3.0)
    second.load_state_dict(optimizer.state_dict())
    for given in (parameters, twins):
        set_gradients(given, np.random.default_rng(1))
    optimizer.step()
    second.step()
    pair = (parameters, twins) if source == "cuda" else (twins, parameters)
    assert_same(*pair, exact)


def test_a_step_count_on_the_device_is_counted_on_the_host(count):
    parameters, optimizer = trained("cuda", "Adam", {}, np.float32)
    saved = optimizer.state_dict()
    for values in saved["state"].values():
        values["step"] = values["step"].cuda()
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert count(optimizer.step).copies_and_syncs == {}
    assert all(optimizer.state[p]["step"].item() == 5 for p in parameters)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_optimizers_are_copied_with_their_state(again):
    _, optimizer = trained("cuda", "Adam", {}, np.float32)
    twin = again(optimizer)
    (group,) = twin.param_groups
    set_gradients(group["params"], np.random.default_rng(0))
    twin.step()
    assert all(p.is_cuda and twin.state[p]["step"].item() == 4 for p in group["params"])


class Halving(gd.optim.Optimizer):
    """An optimiser of a user, for which there is no kernel."""

    def __init__(self, params):
        super().__init__(params, {})

    def _update(self, group, p, grad):
        array = p._array
        array *= 0.5


def test_an_optimizer_without_a_kernel_of_its_own():
    p = gd.ones(2, device="cuda").requires_grad_()
    p.grad = gd.ones(2, device="cuda")
    Halving([p]).step()
    assert p.tolist() == [0.5, 0.5]
