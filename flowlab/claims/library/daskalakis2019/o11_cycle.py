"""O11: beyond the sharp step the iterates turn round the equilibrium in six steps."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.flows import SOURCE, beside, divergences, rest_of, strategies, walk
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

COUNT, LATE = 8000, 3000
SHARES = (0.58, 0.585, 0.6)


@claim("O11")
class Cycle(Claim):
    """Just beyond η τ_max = 1/√3 orbits stay round the equilibrium, with the period six of λ = e^{iπ/3}."""

    title = "cycles beyond the sharp step"
    statement = (
        "On the 3 x 3 game, with eta tau_max from .58 to .6, optimistic multiplicative weights leave the equilibrium "
        "and stay on a cycle round it. Its period is near six steps, that of the eigenvalue e^(i pi/3) at the "
        "threshold; its size shrinks to zero at 1/sqrt(3)."
    )
    latex = (
        r"\sigma > \tfrac{1}{\sqrt 3}: \quad 0 < \liminf \mathrm{KL} \le \limsup \mathrm{KL} < \infty, "
        r"\quad \text{period } 6"
    )
    source = f"{SOURCE} (remark that large steps cycle); period and place derived here from O5"
    hypotheses = (own_instances,)
    stated = Variant(rule="optimistic", shares=SHARES, period=6.0)
    mutants = (
        stated.but("below the sharp step", shares=(0.55, 0.56, 0.57)),
        stated.but("plain multiplicative weights", rule="gradient"),
        stated.but("period of a quarter turn", period=4.0),
    )
    counter_example = "plain multiplicative weights: orbits spiral out to the boundary, and no cycle holds them"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rest, quantities, sizes = rest_of(case), [], []
        top = float(rest.frequencies[0])
        near = beside(rest)
        for share in variant.shares:
            run = walk(case, COUNT, step=share / top, rule=variant.rule, start=near, name="O11")
            seen = divergences(rest, run)[-LATE:]
            p = strategies(run)[0][-LATE:, 0]
            # The mean turn between rows, by the phase of the signal without its negative frequencies.
            spectrum = np.fft.fft(p - p.mean())
            spectrum[LATE // 2 :] = 0.0
            turn = float(np.median(np.diff(np.unwrap(np.angle(np.fft.ifft(spectrum)[500:-500])))))
            sizes.append(float(seen.max()))
            quantities += [
                Quantity(
                    f"least divergence of the last {LATE} steps, {share:g}", float(seen.min()), 1e-4, 0.0, relation=">="
                ),
                Quantity(
                    f"largest divergence of the last {LATE} steps, {share:g}",
                    float(seen.max()),
                    0.5,
                    0.0,
                    relation="<=",
                ),
                Quantity(
                    f"steps of a turn, {share:g}",
                    2 * np.pi / turn if turn else np.inf,
                    variant.period,
                    0.2,
                    altered=0.1,
                ),
            ]
        quantities.append(Quantity("size at .58 over that at .6", sizes[0] / sizes[2], 0.25, 0.0, relation="<="))
        return Measurement.of(quantities, "runs begin 1e-3 from the equilibrium")
