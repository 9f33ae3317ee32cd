"""Learning rate schedules beside PyTorch's: the same rates, step by step."""

import copy
import warnings

import pytest

import gradcore as gd
from gradcore.optim import lr_scheduler

SCHEDULES = {
    "LambdaLR": lambda o, m: m.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (1 + e)]),
    "LambdaLR, one": lambda o, m: m.LambdaLR(o, lambda e: 0.9**e),
    "MultiplicativeLR": lambda o, m: m.MultiplicativeLR(o, lambda e: 1 - 0.5 / (1 + e)),
    "StepLR": lambda o, m: m.StepLR(o, 3, gamma=0.5),
    "MultiStepLR": lambda o, m: m.MultiStepLR(o, [2, 5, 5, 9]),
    "ConstantLR": lambda o, m: m.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda o, m: m.LinearLR(o, 0.25, 0.75, total_iters=4),
    "ExponentialLR": lambda o, m: m.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o, m: m.PolynomialLR(o, 6, power=1.5),
    "CosineAnnealingLR": lambda o, m: m.CosineAnnealingLR(o, 4, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda o, m: m.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "CosineAnnealingWarmRestarts, 1": lambda o, m: m.CosineAnnealingWarmRestarts(o, 3),
    "OneCycleLR": lambda o, m: m.OneCycleLR(o, [0.5, 1.0], total_steps=14),
    "OneCycleLR, linear": lambda o, m: m.OneCycleLR(
        o, 0.5, epochs=7, steps_per_epoch=2, anneal_strategy="linear", three_phase=True
    ),
    "CyclicLR": lambda o, m: m.CyclicLR(o, 0.1, [0.5, 1.0], 3, 2),
    "CyclicLR, halved": lambda o, m: m.CyclicLR(o, 0.1, 0.5, 2, mode="triangular2"),
    "CyclicLR, exponential": lambda o, m: m.CyclicLR(o, 0.1, 0.5, 2, mode="exp_range", gamma=0.9),
    "CyclicLR, function": lambda o, m: m.CyclicLR(
        o, 0.1, 0.5, 3, scale_fn=lambda x: 1 / x, cycle_momentum=False
    ),
    "SequentialLR": lambda o, m: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 3), m.ExponentialLR(o, 0.9), m.StepLR(o, 2)], [3, 8]
    ),
    "SequentialLR, nested": lambda o, m: m.SequentialLR(
        o,
        [m.ChainedScheduler([m.CosineAnnealingLR(o, 5)]), m.LinearLR(o, 0.5, total_iters=3)],
        [4],
    ),
    "ChainedScheduler": lambda o, m: m.ChainedScheduler(
        [m.ConstantLR(o, 0.1, 4), m.ExponentialLR(o, 0.9)]
    ),
}
CLOSED = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"]
OPTIMIZERS = {"SGD": {"momentum": 0.5}, "Adam": {}}
STEPS = 13


def optimizer_of(lib, name="SGD"):
    p, q = (lib.ones(2, requires_grad=True) for _ in range(2))
    p.grad, q.grad = lib.ones(2), lib.ones(2)
    groups = [{"params": [p], "lr": 0.5}, {"params": [q]}]
    return getattr(lib.optim, name)(groups, lr=0.25, **OPTIMIZERS[name])


def run(optimizer, scheduler, steps):
    seen = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen += scheduler.get_last_lr()
        seen += [group["lr"] for group in optimizer.param_groups]
        seen += [group.get("momentum", 0) for group in optimizer.param_groups]
        seen += [b for group in optimizer.param_groups for b in group.get("betas", ())]
    return seen


@pytest.mark.parity
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_are_pytorchs(torch, schedule, name):
    found = []
    for lib in (gd, torch):
        optimizer = optimizer_of(lib, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler = SCHEDULES[schedule](optimizer, lib.optim.lr_scheduler)
            found.append(scheduler.get_last_lr() + run(optimizer, scheduler, STEPS))
    assert found[0] == pytest.approx(found[1], rel=1e-12, abs=1e-15)


@pytest.mark.parity
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_state_is_carried_on_and_is_pytorchs(torch, schedule):
    states = []
    for lib in (gd, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer = optimizer_of(lib)
            scheduler = SCHEDULES[schedule](optimizer, lib.optim.lr_scheduler)
            run(optimizer, scheduler, 4)
            states.append(copy.deepcopy(scheduler.state_dict()))
            if lib is torch:
                break
            twin = optimizer_of(lib)
            second = SCHEDULES[schedule](twin, lib.optim.lr_scheduler)
            twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            second.load_state_dict(states[0])
            assert run(twin, second, 5) == run(optimizer, scheduler, 5)
    assert states[0].keys() == states[1].keys()


@pytest.mark.parity
@pytest.mark.parametrize("schedule", [*CLOSED, "CosineAnnealingLR", "CosineAnnealingWarmRestarts"])
def test_a_given_epoch(torch, schedule):
    found = []
    for lib in (gd, torch):
        optimizer = optimizer_of(lib)
        scheduler = SCHEDULES[schedule](optimizer, lib.optim.lr_scheduler)
        rates = []
        for epoch in (5, 2, 9):
            optimizer.step()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler.step(epoch)
            rates += scheduler.get_last_lr()
        found.append(rates)
    assert found[0] == pytest.approx(found[1], rel=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateaus_are_pytorchs(torch, mode, threshold_mode):
    values = [3.0, 2.0, 2.0, 2.01, 1.99995, 2.0, 1.0, 1.5, 1.2, 1.1, 1.0, 0.9, 0.95, 4.0, 4.0, 4.0]
    found = []
    for lib in (gd, torch):
        optimizer = optimizer_of(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode,
            0.5,
            patience=1,
            threshold_mode=threshold_mode,
            cooldown=1,
            min_lr=[0.1, 0.05],
        )
        rates = []
        for value in values:
            scheduler.step(lib.tensor(value))
            rates += scheduler.get_last_lr()
        found.append((rates, scheduler.state_dict()))
    assert found[0][0] == found[1][0]
    assert found[0][1] == found[1][1]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "options"),
    [("StepLR", {"step_size": 3}), ("LinearLR", {}), ("CosineAnnealingLR", {"T_max": 4})],
)
def test_training_is_taken_up_at_an_epoch(torch, name, options):
    found = []
    for lib in (gd, torch):
        optimizer = optimizer_of(lib)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        scheduler = getattr(lib.optim.lr_scheduler, name)(optimizer, **options, last_epoch=2)
        found.append(run(optimizer, scheduler, 5))
    assert found[0] == pytest.approx(found[1], rel=1e-12)


def test_the_optimizer_steps_first():
    optimizer = optimizer_of(gd)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()


def test_a_tensor_as_rate_stays_the_same():
    lr = gd.tensor(0.5)
    optimizer = gd.optim.SGD([gd.ones(1, requires_grad=True)], lr=lr)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25
    assert scheduler.get_last_lr()[0] is not lr


O = optimizer_of(gd)
WRONG = [
    (lambda: lr_scheduler.StepLR(1, 2), TypeError, "is not an Optimizer"),
    (lambda: lr_scheduler.StepLR(O, 2, last_epoch=3), KeyError, "initial_lr"),
    (lambda: lr_scheduler.LambdaLR(O, [abs]), ValueError, "Expected 2 lr_lambdas"),
    (lambda: lr_scheduler.MultiplicativeLR(O, 0.5), TypeError, "should be a function"),
    (lambda: lr_scheduler.ConstantLR(O, 2.0), ValueError, "between 0 and 1"),
    (lambda: lr_scheduler.LinearLR(O, 0.0), ValueError, "greater than 0"),
    (lambda: lr_scheduler.LinearLR(O, 0.5, 2.0), ValueError, "between 0 and 1"),
    (lambda: lr_scheduler.CosineAnnealingWarmRestarts(O, 0), ValueError, "positive integer T_0"),
    (lambda: lr_scheduler.CosineAnnealingWarmRestarts(O, 2, 0), ValueError, "T_mult >= 1"),
    (lambda: lr_scheduler.OneCycleLR(O, 1.0), ValueError, "either total_steps OR"),
    (lambda: lr_scheduler.OneCycleLR(O, 1.0, 0), ValueError, "positive integer total_steps"),
    (lambda: lr_scheduler.OneCycleLR(O, 1.0, 9, pct_start=2.0), ValueError, "pct_start"),
    (lambda: lr_scheduler.OneCycleLR(O, [1.0], 9), ValueError, "same length"),
    (lambda: lr_scheduler.CyclicLR(O, 0.1, 1.0, mode="x"), ValueError, "mode is invalid"),
    (lambda: lr_scheduler.ReduceLROnPlateau(O, "x"), ValueError, "mode x is unknown"),
    (lambda: lr_scheduler.ReduceLROnPlateau(O, factor=1.0), ValueError, "Factor should be"),
    (lambda: lr_scheduler.ChainedScheduler([]), ValueError, "at least one scheduler"),
    (lambda: lr_scheduler.SequentialLR(O, [], []), ValueError, "at least one scheduler"),
    (lambda: lr_scheduler.LRScheduler(O), NotImplementedError, "must define get_lr"),
]


@pytest.mark.parametrize(("call", "error", "match"), WRONG)
def test_wrong_arguments(call, error, match):
    for group in O.param_groups:
        group.pop("initial_lr", None)
    with pytest.raises(error, match=match):
        call()


def test_schedulers_of_other_optimizers():
    one, two = (lr_scheduler.StepLR(optimizer_of(gd), 2) for _ in range(2))
    plateau = lr_scheduler.ReduceLROnPlateau(one.optimizer)
    for schedulers, match in (([one, two], "same optimizer"), ([one, plateau], "does not support")):
        with pytest.raises(ValueError, match=match):
            lr_scheduler.ChainedScheduler(schedulers)
        with pytest.raises(ValueError, match=match):
            lr_scheduler.SequentialLR(one.optimizer, schedulers, [2])
    with pytest.raises(ValueError, match="one more than"):
        lr_scheduler.SequentialLR(one.optimizer, [one], [2])


def test_one_cycle_is_over():
    optimizer = optimizer_of(gd)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=2)
    run(optimizer, scheduler, 2)
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        scheduler.step()
