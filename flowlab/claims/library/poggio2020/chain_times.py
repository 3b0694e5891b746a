"""The time at which a chain of K norms has a product R, in closed form and by quadrature."""

import math

import mpmath as mp
import numpy as np


def log_time_of_chain(R: float, K: int) -> float:
    """Log t at which u^K = R in u' = u^{K-1} exp(-u^K), from t = ∫ e^R R^{2/K-2} dR / K, started long before; R above
    50.

    For K = 2 the integral is Ei(R), else e^R R^{1-a} M(1, 2-a, -R)/(1-a) with a = 2 - 2/K and Kummer's M.
    """
    with mp.workdps(40):
        a, R = 2 - mp.mpf(2) / K, mp.mpf(R)
        integral = mp.log(mp.ei(R)) if K == 2 else R + mp.log(R ** (1 - a) * mp.hyp1f1(1, 2 - a, -R) / (1 - a))
        return float(integral - mp.log(K))


def log_time_by_quadrature(R: float, K: int) -> float:
    """The same by Gauss-Laguerre: t = e^R ∫ e^{-s} (R - s)^{2/K-2} ds / K; R above 200, where its nodes end."""
    s, weight = np.polynomial.laguerre.laggauss(40)
    return R + math.log(float(weight @ (R - s) ** (2 / K - 2)) / K)


def excess(R: float, log_t: float, power: float) -> float:
    """R - log t - power log log t."""
    return R - log_t - power * math.log(log_t)


def power_of_log(K: int) -> float:
    """Of log t in the late law of K layers."""
    return 2 - 2 / K
