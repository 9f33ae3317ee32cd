"""Random numbers from a counter, and dropout without a stored mask, on CUDA."""

import copy
import math
import pickle

import layouts
import numpy as np
import pytest

import gradcore as gd
from gradcore.nn import functional as F

pytestmark = pytest.mark.cuda

REAL = ["float16", "float32", "float64"]
ALL = [*REAL, "complex64", "complex128"]
SEED = 0x0123456789ABCDEF
# Both halves of a counter count: the low one runs over.
OFFSET = 2**32 - 2


@pytest.fixture
def random(kernels):
    """Return the module under test."""
    return kernels.random


def words(seed, offset, counters):
    """Return Philox4x32-10's words for `counters` counters from `offset` on, as (counters, 4)."""
    low = np.uint64(2**32 - 1)
    shift = np.uint64(32)
    counter = np.uint64(offset) + np.arange(counters, dtype=np.uint64)
    c = [counter & low, counter >> shift, np.zeros_like(counter), np.zeros_like(counter)]
    keys = [seed & (2**32 - 1), seed >> 32]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        k0, k1 = map(np.uint64, keys)
        c = [(b >> shift) ^ c[1] ^ k0, b & low, (a >> shift) ^ c[3] ^ k1, a & low]
        keys = [(keys[0] + 0x9E3779B9) % 2**32, (keys[1] + 0xBB67AE85) % 2**32]
    return np.stack(c, 1)


def dropped(shape, noise):
    """Return where dropout with this noise drops."""
    seed, offset, p = noise
    n = math.prod(shape)
    return (words(seed, offset, -(-n // 4)).ravel()[:n] < round(p * 2**32)).reshape(shape)


# Philox --------------------------------------------------------------------------------------


def test_philox_gives_the_published_vectors(cp, random):
    kernel = cp.RawKernel(
        random.PHILOX
        + """
        extern "C" __global__ void gc_known(const unsigned int* in, unsigned int* out) {
          const gc_words c = {{in[0], in[1], in[2], in[3]}};
          const gc_words r = gc_philox(c, in[4], in[5]);
          for (int j = 0; j < 4; j++) out[j] = r.v[j];
        }
        """,
        "gc_known",
    )
    # Random123, tests/kat_vectors: philox4x32 10, counter, key, result.
    pi = "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0"
    for given, expected in (
        ("00000000 " * 6, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 6, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (pi, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ):
        out = cp.zeros(4, cp.uint32)
        kernel((1,), (1,), (cp.asarray([int(w, 16) for w in given.split()], cp.uint32), out))
        assert " ".join(f"{w:08x}" for w in out.tolist()) == expected


def test_this_files_philox_gives_the_published_vectors():
    assert [f"{w:08x}" for w in words(0, 0, 1)[0].tolist()] == [
        "6627e8d5",
        "e169c58d",
        "bc57ac4c",
        "9b00dbd8",
    ]


def drawn(random, kind, shape, dtype, seed, offset):
    if kind == "integers":
        return random.integers(shape, -5, 2**40, seed, offset)
    return getattr(random, kind)(shape, dtype, seed, offset)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [*(("uniform", t) for t in ALL), *(("normal", t) for t in ALL), ("integers", "int64")],
)
def test_an_element_depends_on_seed_offset_and_place_alone(cp, random, kind, dtype):
    whole = drawn(random, kind, (2100,), dtype, SEED, OFFSET)
    assert whole.dtype == dtype
    for shape in ((), (1,), (3, 5), (2, 0), (1029,)):
        part = drawn(random, kind, shape, dtype, SEED, OFFSET)
        assert part.shape == shape
        cp.testing.assert_array_equal(part.ravel(), whole[: part.size])
        # What comes behind it begins where this draw ends, at the next counter.
        used = random.counters(part.size, dtype)
        rest = drawn(random, kind, (4,), dtype, SEED, OFFSET + used)
        first = used * (2100 // random.counters(2100, dtype))
        assert first >= part.size
        cp.testing.assert_array_equal(rest, whole[first : first + 4])


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("dtype", REAL)
def test_a_draw_is_one_launch_without_copies(random, count, kind, dtype):
    counted = count(lambda: drawn(random, kind, (1000,), dtype, 1, 2))
    assert counted.launches == 1
    assert counted.copies_and_syncs == {}


def test_integers_and_complex_numbers_are_one_launch_too(random, count):
    assert count(lambda: random.integers((1000,), 0, 9, 1, 2)).launches == 1
    assert count(lambda: random.normal((1000,), "complex64", 1, 2)).launches == 1
    assert count(lambda: random.normal((0, 3), "complex64", 1, 2)).launches == 0


# uniform and normal numbers ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REAL)
def test_uniform_numbers_are_the_leading_bits(cp, random, dtype):
    n = 1001
    if dtype == "float64":
        w = words(SEED, OFFSET, -(-n // 2)).reshape(-1, 2)
        expected = ((w[:, 0] << np.uint64(32) | w[:, 1]) >> np.uint64(11)) / 2.0**53
    else:
        bits = {"float16": 11, "float32": 24}[dtype]
        w = words(SEED, OFFSET, -(-n // 4)).ravel()
        expected = (w >> np.uint64(32 - bits)) / 2.0**bits
    got = random.uniform((n,), dtype, SEED, OFFSET).get()
    np.testing.assert_array_equal(got.astype(np.float64), expected[:n])


def test_complex_numbers_are_pairs(cp, random):
    pairs = random.uniform((10, 2), "float32", 3, 4)
    z = random.uniform((10,), "complex64", 3, 4)
    cp.testing.assert_array_equal(z.view(cp.float32).reshape(10, 2), pairs)
    pairs = random.normal((10, 2), "float64", 3, 4)
    z = random.normal((10,), "complex128", 3, 4)
    cp.testing.assert_allclose(z.view(cp.float64).reshape(10, 2), pairs / 2**0.5, rtol=1e-15)


@pytest.mark.parametrize("dtype", REAL)
def test_the_ends_of_the_ranges(cp, random, dtype):
    """What the lowest and the highest words give."""
    kernel = cp.RawKernel(
        random._UNIFORM.source({"T": dtype})
        + """
        extern "C" __global__ void gc_ends(unsigned int word, unsigned int other, T* out) {
          const gc_words r = {{word, word, other, other}}, s = {{word, other, word, other}};
          const int n = gc_draw<T>::count;
          gc_draw<T>::uniform(r, out);
          gc_draw<T>::normal(n == 4 ? s : r, out + n);
        }
        """,
        "gc_ends",
    )
    top = 2**32 - 1
    bits = {"float16": 11, "float32": 24, "float64": 53}[dtype]
    n = 2 if dtype == "float64" else 4
    for word, other in ((0, 0), (0, top), (top, 0), (top, top)):
        out = cp.zeros(2 * n, dtype)
        kernel((1,), (1,), (cp.uint32(word), cp.uint32(other), out))
        values = out.get().astype(np.float64)
        expected = [0.0 if w == 0 else 1 - 2.0**-bits for w in (word, other)]
        np.testing.assert_array_equal(values[:n], np.repeat(expected, n // 2))
        assert values[:n].max() < 1
        # The first of Box and Muller's two numbers is the lowest or the highest.
        low_first = (word == 0) != (dtype == "float64")
        longest = np.hypot(values[n], values[n + 1])
        if low_first:
            assert longest == pytest.approx(8.57 if dtype == "float64" else 6.76, abs=0.01)
        else:
            assert longest < 2e-4


def test_every_float16_in_steps_of_2_to_the_minus_11_is_drawn(random):
    values = np.unique(random.uniform((60_000,), "float16", 5, 0).get()).astype(np.float64)
    np.testing.assert_array_equal(values, np.arange(2048) / 2048)


@pytest.mark.parametrize("dtype", REAL)
def test_normal_numbers_are_box_and_mullers(random, dtype):
    n = 1002
    if dtype == "float64":
        w = words(SEED, OFFSET, -(-n // 2)).reshape(-1, 2)
        unit = ((w[:, 0] << np.uint64(32) | w[:, 1]) >> np.uint64(11)) / 2.0**53
        u, v = 1 - unit[::2], unit[1::2]
    else:
        w = words(SEED, OFFSET, -(-n // 4)).ravel() / 2.0**32
        u, v = w[::2] + 2.0**-33, w[1::2]
    size = np.sqrt(-2 * np.log(u))
    expected = np.stack([size * np.cos(2 * np.pi * v), size * np.sin(2 * np.pi * v)], 1)
    got = random.normal((n,), dtype, SEED, OFFSET).get().astype(np.float64)
    # The logarithm of a number that float32 rounds to 1 - 2^-24 is as inexact as that.
    tolerance = {"float16": 2e-3, "float32": 2e-4, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(got, expected.ravel()[:n], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments(random, dtype):
    n = 100_000
    error = 5 / math.sqrt(n)  # five standard errors of a variable of variance 1
    u = random.uniform((n,), dtype, 11, 0).get().astype(np.float64)
    assert abs(u.mean() - 1 / 2) < error * math.sqrt(1 / 12)
    assert abs((u**2).mean() - 1 / 3) < error * math.sqrt(4 / 45)
    z = random.normal((n,), dtype, 12, 0).get().astype(np.float64)
    # The variances of z, z^2, z^3 and z^4.
    for power, (mean, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], 1):
        assert abs((z**power).mean() - mean) < error * math.sqrt(variance)
    for series in (u - 0.5, z):
        for lag in (1, 2, 3, 4):
            correlation = (series[lag:] * series[:-lag]).mean() / series.var()
            assert abs(correlation) < error


# integers and permutations -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-3, 4), (0, 2**32), (-(2**63), 5), (7, 2**63), (-(2**62), 2**62 + 2**60)],
)
def test_integers_are_the_high_bits_of_a_product(random, low, high):
    n = 50
    expected = []
    for a, b, c, d in words(SEED, OFFSET, n).tolist():
        bits = a << 96 | b << 64 | c << 32 | d
        expected.append(low + (bits * (high - low) >> 128))
    got = random.integers((n,), low, high, SEED, OFFSET)
    assert got.dtype == np.int64
    assert got.tolist() == expected


def test_integers_of_the_whole_range(random):
    got = random.integers((50,), -(2**63), 2**63, SEED, OFFSET).tolist()
    w = words(SEED, OFFSET, 50).tolist()
    assert got == [(a << 32 | b) - 2**63 for a, b, _, _ in w]


def test_integers_are_equally_frequent(random):
    n, sides = 20_000, 7
    counts = np.bincount(random.integers((n,), 0, sides, 1, 0).get(), minlength=sides)
    assert len(counts) == sides
    chi2 = ((counts - n / sides) ** 2).sum() / (n / sides)
    assert chi2 < 29.9  # exceeded once in 26000 times with 6 degrees of freedom


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutations(random, n):
    first = random.permutation(n, 1, 0)
    assert first.dtype == np.int64
    assert sorted(first.tolist()) == list(range(n))
    if n == 1000:
        assert first.tolist() != random.permutation(n, 1, n).tolist()
        # The number of fixed points is about Poisson distributed with mean 1.
        assert (first.get() == np.arange(n)).sum() < 8


# dropout -------------------------------------------------------------------------------------


def factors(shape, noise):
    p = noise[2]
    return np.where(dropped(shape, noise), 0.0, 1 / (1 - p) if p < 1 else 0.0)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_dropout_of_contiguous_arrays(cp, random, same, count, dtype, p):
    for shape in ((), (1,), (3, 7), (1030,), (0, 3)):
        noise = (SEED, OFFSET, p)
        x = layouts.random(shape, dtype, 1)
        device = cp.asarray(x)
        y = random.dropout(device, noise)
        same(y, x * factors(shape, noise), dtype)
        counted = count(lambda a=device, n=noise: random.dropout_backward((True,), a, n))
        assert counted.launches == (x.size > 0)
        assert counted.copies_and_syncs == {}


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
@pytest.mark.parametrize("name", ["transposed", "broadcast", "every other", "permuted"])
def test_the_layout_does_not_change_what_is_dropped(cp, random, same, count, dtype, name):
    noise = (7, 0, 0.5)
    x, wide = layouts.pair(cp, name, dtype)
    same(random.dropout(x, noise), wide * factors(wide.shape, noise), dtype)
    assert count(lambda: random.dropout(x, noise)).launches == 1


@pytest.mark.parametrize("dtype", ALL)
def test_dropout_of_an_array_that_is_not_aligned(cp, random, same, dtype):
    noise = (7, 0, 0.5)
    x = layouts.random((50,), dtype, 1)
    for start in (1, 2, 3):
        y = random.dropout(cp.asarray(x)[start:], noise)
        same(y, x[start:] * factors((50 - start,), noise), dtype)


def test_a_word_equal_to_the_threshold_keeps(cp, random):
    place = 9
    word = int(words(SEED, 0, 3).ravel()[place])
    x = cp.ones((3, 4), "float32")
    for array in (x, cp.ones((4, 3), "float32").T):
        at = random.dropout(array, (SEED, 0, word / 2**32)).ravel()[place]
        above = random.dropout(array, (SEED, 0, (word + 1) / 2**32)).ravel()[place]
        assert (at > 0, above == 0) == (True, True)


def test_dropout_multiplies_what_it_drops_by_0(cp, random):
    noise = (7, 0, 0.5)
    x = np.full(40, np.inf, np.float32)
    x[20:] = np.nan
    got = random.dropout(cp.asarray(x), noise).get()
    gone = dropped(x.shape, noise)
    assert np.isnan(got[gone]).all()
    assert np.isinf(got[:20][~gone[:20]]).all()
    assert np.isnan(got[20:]).all()
    assert np.signbit(random.dropout(cp.full(40, -1.0), noise).get()).all()


def test_the_rate_and_the_independence_of_dropout(cp, random):
    n = 40_000
    x = cp.ones(n, "float32")
    for p in (0.01, 0.5, 0.9):
        error = 5 * math.sqrt(p * (1 - p) / n)
        masks = []
        offset = 0
        for _ in range(3):
            masks.append(random.dropout(x, (1, offset, p)).get() == 0)
            offset += random.counters(n, "bool")
        for mask in masks:
            assert abs(mask.mean() - p) < error
            # The variance of the number dropped of 100 each.
            rows = mask.reshape(-1, 100).sum(1)
            assert rows.var() == pytest.approx(100 * p * (1 - p), rel=0.35)
        for a, b in ((masks[0], masks[1]), (masks[1], masks[2]), (masks[0][1:], masks[0][:-1])):
            assert abs(((a - p) * (b - p)).mean()) < error * math.sqrt(p * (1 - p)) + 1e-4


# gradcore: dropout ---------------------------------------------------------------------------

uses_cuda = pytest.mark.usefixtures("cuda")


@uses_cuda
def test_dropout_saves_three_numbers_and_runs_one_kernel_each_way(count):
    x = gd.ones(64, 32, device="cuda", requires_grad=True)
    v = gd.rand(64, 32, device="cuda")
    y = F.dropout(x, 0.25)
    assert y.grad_fn.name() == "MulBackward0"
    ((seed, offset, p),) = y.grad_fn.saved
    assert (type(seed), type(offset), p) == (int, int, 0.25)
    forward = count(lambda: F.dropout(x, 0.25))
    assert forward.launches == 1
    assert forward.copies_and_syncs == {}
    backward = count(lambda: gd.autograd.grad(y, x, v, retain_graph=True))
    assert backward.launches == 1
    assert backward.copies_and_syncs == {}
    (g,) = gd.autograd.grad(y, x, v)
    expected = y.detach().cpu().numpy() * v.cpu().numpy()
    np.testing.assert_allclose(g.cpu().numpy(), expected, rtol=1e-6)
    assert set(np.unique(y.detach().cpu().numpy())) == {0, np.float32(1 / 0.75)}


@uses_cuda
@pytest.mark.parametrize("dtype", [gd.float16, gd.float64])
def test_cotangents_of_any_layout_meet_the_same_mask(dtype):
    x = gd.rand(6, 5, dtype=dtype, device="cuda", requires_grad=True)
    y = F.dropout(x, 0.5)
    factor = (y.detach() / x.detach()).cpu().numpy()
    for v in (
        gd.rand(5, 6, dtype=dtype, device="cuda").T,
        gd.rand(6, 10, dtype=dtype, device="cuda")[:, ::2],
        gd.rand(5, dtype=dtype, device="cuda").expand(6, 5),
    ):
        (g,) = gd.autograd.grad(y, x, v, retain_graph=True)
        expected = factor.astype(np.float64) * v.cpu().numpy()
        np.testing.assert_allclose(g.cpu().numpy(), expected, rtol=4e-3, atol=1e-3)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), factor, rtol=4e-3)


@uses_cuda
def test_dropout_of_a_transposed_input_and_its_gradient():
    gd.manual_seed(2)
    base = gd.rand(4, 3, device="cuda", requires_grad=True)
    y = F.dropout(base.T, 0.5)
    factor = (y / base.T).detach().cpu().numpy()
    assert 0 < (factor == 0).sum() < 12
    y.sum().backward()
    np.testing.assert_allclose(base.grad.cpu().numpy(), factor.T, rtol=1e-6)


@uses_cuda
def test_higher_derivatives_meet_the_same_mask():
    x = gd.rand(20, dtype=gd.float64, device="cuda", requires_grad=True)
    y = F.dropout(x, 0.5)
    factor = (y / x).detach().cpu().numpy()
    at = x.detach().cpu().numpy()
    (first,) = gd.autograd.grad((y**4).sum(), x, create_graph=True)
    (second,) = gd.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = gd.autograd.grad(second.sum(), x)
    np.testing.assert_allclose(first.detach().cpu().numpy(), 4 * factor**4 * at**3, rtol=1e-12)
    np.testing.assert_allclose(second.detach().cpu().numpy(), 12 * factor**4 * at**2, rtol=1e-12)
    np.testing.assert_allclose(third.cpu().numpy(), 24 * factor**4 * at, rtol=1e-12)


@uses_cuda
def test_dropout_follows_the_seed():
    x = gd.ones(200, device="cuda")
    gd.manual_seed(1)
    first, second = F.dropout(x).tolist(), F.dropout(x).tolist()
    assert first != second
    gd.manual_seed(1)
    assert F.dropout(x).tolist() == first
    assert F.dropout(x).tolist() == second
    gd.manual_seed(2)
    assert F.dropout(x).tolist() != first
    assert gd.cuda.get_rng_state() == ("cuda", 2, (2, 50))  # four elements a counter


@uses_cuda
def test_dropout_of_everything_nothing_and_of_no_elements():
    x = gd.ones(5, device="cuda", requires_grad=True)
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.5, training=False) is x
    y = F.dropout(x, 1.0)
    assert y.tolist() == [0] * 5
    y.sum().backward()
    assert x.grad.tolist() == [0] * 5
    assert F.dropout(gd.ones(0, 3, device="cuda")).shape == (0, 3)
    assert F.dropout(gd.ones((), device="cuda")).shape == ()


# gradcore: generators ------------------------------------------------------------------------

DRAWS = {
    "rand": lambda **k: gd.rand(50, **k),
    "half": lambda **k: gd.rand(50, dtype=gd.float16, **k),
    "randn": lambda **k: gd.randn(5, 10, **k),
    "complex": lambda **k: gd.randn(5, dtype=gd.complex64, **k),
    "randint": lambda **k: gd.randint(100, (50,), **k),
    "randperm": lambda **k: gd.randperm(50, **k),
}

over_draws = pytest.mark.parametrize("name", DRAWS)


@uses_cuda
@over_draws
def test_a_generator_on_cuda_has_a_state(name):
    draw = DRAWS[name]
    generator = gd.Generator("cuda").manual_seed(3)
    start = pickle.loads(pickle.dumps(generator.get_state()))
    first = draw(device="cuda", generator=generator)
    assert first.device == gd.device("cuda:0")
    first = first.tolist()
    middle = generator.get_state()
    second = draw(device="cuda", generator=generator).tolist()
    assert second != first
    generator.set_state(middle)
    assert draw(device="cuda", generator=generator).tolist() == second
    twin = copy.deepcopy(generator)
    twin.set_state(start)
    assert draw(device="cuda", generator=twin).tolist() == first
    assert twin.initial_seed() == 3


@uses_cuda
@over_draws
def test_draws_are_launched_once_and_copy_nothing(count, name):
    counted = count(lambda: DRAWS[name](device="cuda"))
    if name != "randperm":  # which sorts
        assert counted.launches == 1
    assert not {"h2d", "d2h", "sync"} & set(counted.copies_and_syncs)


@uses_cuda
def test_draws_do_not_overlap():
    generator = gd.Generator("cuda").manual_seed(1)
    whole = gd.rand(20, device="cuda", generator=generator).tolist()
    generator.manual_seed(1)
    parts = [gd.rand(n, device="cuda", generator=generator).tolist() for n in (3, 1, 4, 0, 8)]
    assert parts == [whole[0:3], whole[4:5], whole[8:12], [], whole[12:20]]


@uses_cuda
def test_seeds_of_any_size():
    values = []
    for seed in (0, -1, 2**63, 2**64 - 1, 2**64):
        generator = gd.Generator("cuda").manual_seed(seed)
        assert generator.initial_seed() == seed
        values.append(gd.rand(4, device="cuda", generator=generator).tolist())
    assert values[1] == values[3] != values[2]
    assert values[0] == values[4]


@uses_cuda
def test_a_generator_of_another_device_is_refused():
    cpu, cuda = gd.Generator(), gd.Generator("cuda")
    for draw in DRAWS.values():
        with pytest.raises(
            RuntimeError, match="Expected a 'cuda:0' device type for generator but found 'cpu'"
        ):
            draw(device="cuda", generator=cpu)
        with pytest.raises(
            RuntimeError, match="Expected a 'cpu' device type for generator but found 'cuda:0'"
        ):
            draw(generator=cuda)
    with pytest.raises(RuntimeError, match=r"expected the state of a generator on cuda, .* on cpu"):
        cuda.set_state(cpu.get_state())
    with pytest.raises(RuntimeError, match=r"expected the state of a generator on cpu, .* on cuda"):
        cpu.set_state(cuda.get_state())


@uses_cuda
def test_manual_seed_starts_every_generator():
    gd.manual_seed(5)
    made_later = gd.rand(3, device="cuda").tolist()
    gd.rand(7, device="cuda")
    gd.manual_seed(5)
    assert gd.rand(3, device="cuda").tolist() == made_later
    assert gd.cuda.initial_seed() == 5
    gd.cuda.manual_seed(6)
    assert (gd.cuda.initial_seed(), gd.initial_seed()) == (6, 5)
    gd.cuda.seed()
    assert gd.cuda.initial_seed() != 6


@uses_cuda
def test_the_state_of_a_device_comes_back():
    state = gd.cuda.get_rng_state()
    first = gd.rand(3, device="cuda").tolist()
    gd.cuda.set_rng_state(state)
    assert gd.rand(3, device="cuda").tolist() == first
    gd.cuda.set_rng_state(state, "cuda:0")
    assert gd.rand(3, device="cuda").tolist() == first
    with pytest.raises(RuntimeError, match=r"expected the state of a generator on cuda"):
        gd.cuda.set_rng_state(gd.get_rng_state())


@pytest.fixture
def two_devices(cuda):
    if gd.cuda.device_count() < 2:
        pytest.skip("needs two devices")


@pytest.mark.usefixtures("two_devices")
@over_draws
def test_each_device_has_a_generator_of_its_own(name):
    draw = DRAWS[name]
    gd.cuda.manual_seed_all(8)
    first, second = (draw(device="cuda:0").tolist() for _ in range(2))
    other = draw(device="cuda:1")
    assert other.device == gd.device("cuda:1")
    assert int(other._array.device.id) == 1
    assert other.tolist() == first  # the same seed, and its own offset
    states = gd.cuda.get_rng_state_all()
    gd.cuda.manual_seed(9)
    assert draw(device="cuda:1").tolist() == second
    gd.cuda.set_rng_state_all(states)
    assert draw(device="cuda:1").tolist() == second
    gd.cuda.seed_all()
    seeds = {gd.cuda.get_rng_state(i)[1] for i in range(2)}
    assert len(seeds) == 1
    assert seeds != {8}


@pytest.mark.usefixtures("two_devices")
def test_dropout_on_a_device_that_is_not_the_current_one():
    x = gd.rand(40, device="cuda:1", requires_grad=True)
    state = gd.cuda.get_rng_state(0)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    assert {int(t._array.device.id) for t in (x, y, x.grad)} == {1}
    np.testing.assert_allclose(x.grad.cpu().numpy(), (y / x).detach().cpu().numpy(), rtol=1e-6)
    assert gd.cuda.get_rng_state(0) == state


@pytest.mark.usefixtures("two_devices")
def test_fork_rng_puts_back_the_generators_of_the_devices():
    def draws():
        return [gd.rand(3, device=d).tolist() for d in ("cpu", "cuda:0", "cuda:1")]

    gd.manual_seed(1)
    gd.rand(5, device="cuda:0")  # cuda:1 has no generator yet
    states = [gd.get_rng_state(), gd.cuda.get_rng_state(0)]
    with gd.random.fork_rng():
        gd.manual_seed(2)
        draws()
    assert [gd.get_rng_state(), gd.cuda.get_rng_state(0)] == states
    assert gd.random._seed == 1
    expected = draws()

    gd.manual_seed(1)
    gd.rand(5, device="cuda:0")
    with gd.random.fork_rng(devices=[1, "cuda:0"]):
        gd.manual_seed(2)
        draws()
    assert draws() == expected

    gd.manual_seed(1)
    with gd.random.fork_rng(devices=[0]):
        gd.rand(5, device="cuda:1")
    gd.rand(5, device="cuda:0")
    forked = draws()
    assert forked[:2] == expected[:2]
    assert forked[2] != expected[2]
