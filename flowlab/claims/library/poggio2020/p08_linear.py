"""P8: one layer on separable data, where every constant of the late flow is known."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import across, linear, machine, one_layer, only_block
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def _of_equal_multipliers(_: np.ndarray, z: np.ndarray, alpha: np.ndarray, __: np.random.Generator) -> np.ndarray:
    return np.linalg.lstsq(z, -np.log(np.full(len(alpha), alpha.mean())), rcond=None)[0]


@claim("P8")
class LateLinearFlow(Claim):
    """ρ ~ log t/γ, ρ‖v - v*‖ → C* = ‖P_⊥ w~‖, a margin gap of order 1/log t, L t → 1/γ²."""

    title = "constants of the late flow of one layer"
    statement = (
        "On separable data with exponential loss a single layer has rho/log t -> 1/gamma and rho |v - v*| -> |P_perp "
        "w~|. Moreover rho (gamma - margin) -> max_n log alpha_n + gamma v* w~, and L t -> 1/gamma^2."
    )
    latex = (
        r"\rho/\log t \to 1/\gamma, \quad \rho\,\lVert v - v^*\rVert \to \lVert P_\perp \tilde w\rVert, \quad "
        r"\rho\,(\gamma - \min_n \bar f_n) \to \max_n \log\alpha_n + \gamma \langle v^*, \tilde w\rangle, \quad L\,t "
        r"\to 1/\gamma^2"
    )
    source = "Poggio, Banburski, Liao 2020; constants after Soudry et al. 2018"
    hypotheses = (one_layer(),)
    stated = Variant(part=lambda bounded, *_: bounded, power=2.0)
    mutants = (
        stated.but("first power of the margin", power=1.0),
        stated.but("bounded part of another seed", part=lambda bounded, _, __, rng: rng.permutation(bounded) * 1.5),
        stated.but("all multipliers equal", part=_of_equal_multipliers),
    )
    counter_example = "all multipliers equal: then w~ has no part across v*, and the constant would vanish"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = linear(case)
        w, support, alpha, bounded = machine(data)
        z = np.asarray(data.x)[support] * np.asarray(data.y)[support, None]
        bounded = variant.part(bounded, z, alpha, np.random.default_rng(case.seed))
        gamma, v = 1.0 / float(np.linalg.norm(w)), w / np.linalg.norm(w)
        end = path.dataset.isel(step=-1)
        log_t, rho = float(end["log_t"]), float(end["rho"][0])
        # Off the span of the support w~ depends on the start and on all samples; the constant is about its part inside.
        onto = np.linalg.pinv(z) @ z
        V = onto @ np.asarray(path.last.V[only_block(path)]).ravel()
        star = across(bounded, v)
        along = float(np.log(alpha).max() + gamma * (v @ bounded))
        # What a limit lacks at log t falls like 1/log t; the constants in front are a few units.
        late, route = 20.0 / log_t, f"flow at log t = {log_t:.3g}"
        # The next orders of what is large on some data: v* w~ in the norm, and half of γ² |P_perp w~|² in the gap, with
        # w~ as it is off the support too.
        W = np.asarray(path.last.weights()[only_block(path)]).ravel()
        second, third = float(abs(v @ bounded)) / log_t, (gamma * across(W, v)) ** 2 / log_t
        return Measurement.of(
            [
                Quantity("rho/log t", rho / log_t, 1.0 / gamma, late * max(1.0, 1.0 / gamma) + 2 * second, route=route),
                Quantity(
                    "rho |v - v*|",
                    rho * float(np.linalg.norm(V - v)),
                    star,
                    late * max(1.0, star),
                    route=route,
                    second=across(onto @ W, v),
                    second_route="part of the weights across v*",
                ),
                Quantity(
                    "rho (gamma - margin)",
                    rho * (gamma - float(end["min_margin"])),
                    along,
                    late * max(1.0, along) + third,
                    route=route,
                ),
                Quantity(
                    "L t", float(np.exp(log_t + end["log_loss"])), gamma**-variant.power, 1e-7 * gamma**-2, route=route
                ),
            ],
            "limits are missed by a few units of 1/log t, and L t by roundings of exponents of size log t",
            gamma=gamma,
            support=support.tolist(),
            log_t=log_t,
            **(
                {}
                if case.data is not None
                else {
                    "differs": "C* = .16070 and L t = 5.2581596315 were measured on eight samples that are not "
                    "recorded; here "
                    "the constants are those of a draw of its own, each against its closed form"
                }
            ),
        )
