"""The chain of norms under exponential weight normalisation: its time, its law."""

import math

import mpmath as mp
from scipy.integrate import quad


def log_time_of_chain(R: float, K: int) -> float:
    """Log t at the product R of K norms under R' = K R² e^{-R} from R = 1: K t = Ei(R) - e^R/R - Ei(1) + e."""
    with mp.workdps(60):
        R = mp.mpf(R)
        return float(mp.log(mp.ei(R) - mp.exp(R) / R - mp.ei(1) + mp.e) - mp.log(K))


def law(log_loss: float, log_t: float, K: int, power: float = 2.0) -> float:
    """K L t (log t)^power."""
    return K * math.exp(log_loss + log_t + power * math.log(log_t))


def log_time_by_quadrature(R: float) -> float:
    """The same for K = 1 by quadrature of ∫ e^r r^{-2} dr, in r = R - s."""
    head, _ = quad(lambda s: math.exp(-s) * (R - s) ** -2, 0.0, R - 1.0, epsabs=0.0, epsrel=1e-12, limit=500)
    return R + math.log(head)
