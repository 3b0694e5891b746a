"""The l1 + l2 parametrisation β = w² - u² + λ v: instances, the flow of its weights, and the flow that β inherits."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.symbolic.derive import derive
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.induced.flow import InducedFlow

NODE = "w * w - u * u + lam * v"
SOURCE = "Zhou, Ge 2023 (parametrisation, from memory)"


def equations(case: Case) -> FlowEquations:
    """The flow of the weights, derived once; λ is a constant, one entry per feature."""

    def make() -> FlowEquations:
        network = Network(f"({NODE}) @ x", constants=["lam"])
        return derive(Problem(network, "square", reduction="mean", coordinates="weights"))

    return case.once("equations of the weights", make)


def start(d: int, alpha: float) -> dict[str, np.ndarray]:
    """W = u = α, v = 0."""
    return {"w": np.full(d, alpha), "u": np.full(d, alpha), "v": np.zeros(d)}


def induced(case: Case, d: int, alpha: float, lam: float) -> InducedFlow:
    """The flow of β from w = u = α, v = 0."""

    def make() -> InducedFlow:
        return equations(case).induced(NODE, start(d, alpha), constants={"lam": np.full(d, lam)})

    return case.once(f"flow of beta, d={d} alpha={alpha:g} lambda={lam:g}", make)


def limit(case: Case, x: np.ndarray, y: np.ndarray, alpha: float, lam: float) -> np.ndarray:
    """The minimiser of the potential over all β that fit, (d,)."""
    return induced(case, x.shape[1], alpha, lam).minimiser(samples(x, y)).beta


def samples(x: np.ndarray, y: np.ndarray, lam: float | None = None) -> Data:
    """Samples with targets, and λ as a constant where the flow of the weights needs it."""
    constants = {} if lam is None else {"lam": np.full(x.shape[1], lam)}
    return Data(x, y, kind="targets", constants=constants)


def draw(seed: int, n: int = 12, d: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian inputs, three weights that count, and noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, x[:, :3] @ np.array([1.0, -1.0, 0.5]) + 0.3 * rng.normal(size=n)


def sparse(seed: int, n: int, d: int, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaussian inputs, targets with noise, and the truth: three ones."""
    rng = np.random.default_rng(seed)
    x, truth = rng.normal(size=(n, d)), np.zeros(d)
    truth[:3] = 1.0
    return x, x @ truth + noise * rng.normal(size=n), truth


def usual_lambda(n: int, d: int, alpha: float, noise: float = 0.5) -> float:
    """λ_0 with λ_0² τ d = σ √(2 n log d), τ = log(1/α)/2: where the penalty is of the size of the noise."""
    return float(np.sqrt(noise * np.sqrt(2 * n * np.log(d)) / (0.5 * np.log(1 / alpha) * d)))


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """‖a - b‖/‖b‖."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def split(case: Case, x: np.ndarray, y: np.ndarray, alpha: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
    """The parts w² - u² and λ v of the limit, (d,) each."""
    flow = induced(case, x.shape[1], alpha, lam)
    z = flow.coordinate.inverse(np, flow.minimiser(samples(x, y)).beta)
    theta = flow.coordinate.theta(np, z)
    return np.asarray(theta["w"] ** 2 - theta["u"] ** 2), np.asarray(lam * theta["v"])
