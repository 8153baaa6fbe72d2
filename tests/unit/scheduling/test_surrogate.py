from __future__ import annotations

import numpy as np
import pytest

from arena_ray.scheduling.surrogate import Kernel, Situations, Surrogate

RNG = np.random.default_rng(0)


def situations(count: int, *, width: int = 2, seed: int = 0) -> Situations:
    rng = np.random.default_rng(seed)
    return Situations(rng.integers(0, 9, count).astype(float), rng.normal(size=count), rng.uniform(size=(count, width)))


def nothing(width: int = 2) -> Situations:
    return Situations(np.zeros(0), np.zeros(0), np.zeros((0, width)))


def at(time: float, place: float, score: float = 0.0) -> Situations:
    return Situations(np.array([time]), np.array([score]), np.array([[place]]))


def test_the_kernel_is_a_squared_exponential_that_fades_with_time() -> None:
    kernel = Kernel(length=0.5, score_length=2.0, forgetting=0.2, noise=0.1)
    assert kernel(at(3, 0.4), at(3, 0.4)).item() == 1.0
    assert kernel(at(3, 0.4), at(3, 0.9)).item() == pytest.approx(np.exp(-0.5))
    assert kernel(at(3, 0.4, 1.0), at(3, 0.4, -1.0)).item() == pytest.approx(np.exp(-0.5))
    assert kernel(at(3, 0.4), at(7, 0.4)).item() == pytest.approx(0.8**2)


def test_predictions_are_those_of_the_formula() -> None:
    known, gains, asked = situations(9), RNG.normal(size=9), situations(4, seed=1)
    surrogate = Surrogate(known, gains, pending=nothing(), rng=np.random.default_rng(1))
    kernel = surrogate.kernel
    inverse = np.linalg.inv(kernel(known, known) + (kernel.noise + 1e-9) * np.eye(9))
    across = kernel(asked, known)
    standardised = (gains - gains.mean()) / gains.std()
    mean, deviation = surrogate.predict(asked)
    np.testing.assert_allclose(mean, across @ inverse @ standardised, atol=1e-8)
    np.testing.assert_allclose(deviation**2, 1 - np.diag(across @ inverse @ across.T), atol=1e-8)


def test_what_is_being_tried_makes_sure_and_promises_nothing() -> None:
    known, gains, asked = situations(9), RNG.normal(size=9), situations(1, seed=5)
    alone = Surrogate(known, gains, pending=nothing(), rng=np.random.default_rng(1)).predict(asked)
    tried = Surrogate(known, gains, pending=asked, rng=np.random.default_rng(1)).predict(asked)
    np.testing.assert_allclose(alone[0], tried[0])
    assert tried[1] < alone[1]


def test_the_kernel_is_likelier_than_the_one_it_began_with() -> None:
    known = Situations(np.arange(30.0), np.zeros(30), RNG.uniform(size=(30, 1)))
    gains = np.sin(12 * known.places[:, 0])
    kernel = Surrogate(known, gains, pending=nothing(1), rng=np.random.default_rng(1)).kernel
    assert kernel.length < 0.4, "it wiggles"
    assert kernel.noise < 0.05, "and is not noisy"
    assert kernel.forgetting < 0.05, "nor forgotten"
