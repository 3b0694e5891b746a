"""(1.12): the conservation laws that tell the normalised flows apart."""

import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.sample_problems import facing, integrated, samples_of, states
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import norm_above, time
from flowlab.language.datasets import load
from flowlab.language.problem import Problem
from flowlab.language.schemes import schemes
from flowlab.language.trajectory import Trajectory

_SCHEMES = ("gradient_flow", "lagrange", "exponential_weight_normalization")


@claim("E1.12")
class ConservationLaws(Claim):
    """Hidden balance and the off-span part of the first layer are conserved, with a factor of the scheme."""

    title = "conservation laws of the normalised flows"
    statement = (
        "Let M = V_1 V_1^T - V_2^T V_2 (its diagonal for ReLU), and P the projection off the span of the inputs. "
        "Gradient flow conserves the balance of the weights and W_1 P. The Lagrange flow conserves M exp(rho_1^2) and "
        "V_1 P exp(rho_1^2/2). Exponential weight normalisation conserves M rho_1^2 and V_1 P rho_1."
    )
    latex = (
        r"M e^{\rho_1^2} = \text{const (LM)}, \qquad M \rho_1^2 = \text{const (EWN)}, \qquad W_1W_1^\top - W_2^\top "
        r"W_2 = \text{const (GF)}"
    )
    source = "(1.12) of flowlab's derivations; for gradient flow Du, Hu and Lee 2018"
    hypotheses = (own_instances,)
    stated = Variant(law="", power=1.0, last=1.0)
    mutants = (
        stated.but("gradient-flow law on every scheme", law="gradient_flow"),
        stated.but("exponent doubled", power=2.0),
        stated.but("factor 1% off at the end", last=1.01),
    )
    quick = False
    counter_example = "gradient-flow law on every scheme: the normalised flows have as many laws, but others"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rtol, worst, table = 1e-10, 0.0, {}
        for net, diagonal in (("W2 @ W1 @ x", False), ("W2 @ relu(W1 @ x)", True)):
            for scheme in _SCHEMES:
                # Laws hold along kinks as well, which are followed: at tight tolerances that takes long.
                tolerance = rtol if not diagonal else 1e-7
                drift = _drift(_path(case, net, scheme, tolerance), diagonal, variant)
                table[f"{net} / {scheme}"] = drift
                worst = max(worst, drift / (100.0 * tolerance))
        return Measurement(
            worst,
            1.0,
            "in units of 100 rtol (rtol 1e-10; 1e-7 for ReLU), relative to the quantity itself",
            {"drift": table},
        )


def _path(case: Case, net: str, scheme: str, rtol: float) -> Trajectory:
    # Fewer samples than features: the first layer has a part off their span.
    data = load("gaussian?n=4&d=6&margin=0.3", seed=case.seed)
    problem = Problem(net, "logistic", scheme)
    start = facing(problem, next(iter(states(problem, data, case.seed, 1, widths=3))), data)
    ends = [norm_above(3.0), time(10.0)]
    return integrated(
        case, f"E1.12 {net} {scheme}", problem, start, data, ends, rtol=rtol, atol=rtol * 1e-2, max_steps=20_000
    )


def _drift(path: Trajectory, diagonal: bool, variant: Variant) -> float:
    scheme, power = schemes[variant.law]() if variant.law else path.problem.scheme, variant.power
    rho1, rho2 = (path.dataset["rho"].sel(block=b).values for b in ("W1", "W2"))
    V1, V2 = path.dataset["V_W1"].values, path.dataset["V_W2"].values
    x = np.asarray(samples_of(path).x)
    off = np.eye(x.shape[1]) - np.linalg.pinv(x) @ x
    first, second = np.einsum("tij,tkj->tik", V1, V1), np.einsum("tji,tjk->tik", V2, V2)
    if scheme.is_gradient_flow:
        balance = rho1[:, None, None] ** (2 * power) * first - rho2[:, None, None] ** (2 * power) * second
        span = rho1[:, None, None] ** power * (V1 @ off)
    else:
        log_factor = scheme.balance_log_factor(np, rho1)
        assert log_factor is not None
        log_factor = power * log_factor[:, None, None]
        # Over that of the first row: exp(rho^2) leaves float64.
        factor = np.exp(log_factor - log_factor[0])
        balance, span = (first - second) * factor, (V1 @ off) * np.sqrt(factor)
    if diagonal:
        balance = np.einsum("tii->ti", balance)
    balance[-1] *= variant.last
    return max(float(np.abs(q - q[0]).max() / np.abs(q[0]).max()) for q in (balance, span))
