"""O13: two forms of optimistic multiplicative weights are one, and a third is not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.by_hand import steps
from flowlab.claims.library.daskalakis2019.flows import GAME, UNIFORM, strategies, walk
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.rules import rules

ROUNDS = 6
ETA = 0.1
COUNT = 2000

Values = Sequence[sp.Expr]


def _leader(eta: sp.Symbol, losses: Values, past: sp.Expr) -> list[sp.Expr]:
    """Log weights that follow the leader, with the last loss as a guess of the next: -η(L + l) and a constant."""
    first = sp.Symbol("z0")
    sums = [sum(losses[:t], sp.Integer(0)) for t in range(len(losses) + 1)]
    guesses = [past, *losses]
    return [first - eta * (total + guess - past) for total, guess in zip(sums, guesses, strict=True)]


def _doubled(eta: sp.Symbol, losses: Values, _: sp.Expr) -> list[sp.Expr]:
    """The form with all losses so far in every step: it counts each of them again and again."""
    places: list[sp.Expr] = [sp.Symbol("z0")]
    for t in range(len(losses)):
        places.append(places[-1] - eta * (sum(losses[: t + 1], sp.Integer(0)) + losses[t]))
    return places


def _swapped(eta: sp.Symbol, losses: Values, past: sp.Expr) -> list[sp.Expr]:
    places: list[sp.Expr] = [sp.Symbol("z0")]
    for now, before in zip(losses, [past, *losses[:-1]], strict=True):
        places.append(places[-1] - eta * (2 * before - now))
    return places


def _without_guess(eta: sp.Symbol, losses: Values, _: sp.Expr) -> list[sp.Expr]:
    return [sp.Symbol("z0") - eta * sum(losses[:t], sp.Integer(0)) for t in range(len(losses) + 1)]


@claim("O13")
class Forms(Claim):
    """Following the optimistic leader and optimistic mirror descent give the same weights."""

    title = "two forms of the algorithm"
    statement = (
        "x_t ~ exp(-eta L_{t-1} - eta l_{t-1}), which follows the leader with the last loss as a guess, is x_t ~ "
        "x_{t-1} exp(-2 eta l_{t-1} + eta l_{t-2}). With L_{t-1} in the place of l_{t-1} in the latter, losses "
        "count twice."
    )
    latex = r"z_t - z_{t-1} = -2\eta\, l_{t-1} + \eta\, l_{t-2} \iff z_t = z_0 - \eta (L_{t-1} + l_{t-1} - l_{-1})"
    source = (
        "Daskalakis, Panageas 2019; Lei, Nagarajan, Panageas, Wang 2021 (closed form as transcribed, which is refuted)"
    )
    hypotheses = (own_instances,)
    rung = "symbolic"
    stated = Variant(form=_leader, weights=(2.0, -1.0))
    mutants = (
        stated.but(USUAL, form=_doubled),
        stated.but("present and past in each other's place", form=_swapped, weights=(-1.0, 2.0)),
        stated.but("no guess", form=_without_guess, weights=(1.0, 0.0)),
    )
    counter_example = "no guess: plain multiplicative weights"
    usual = "x_t is proportional to x_{t-1} exp(-eta L_{t-1} - eta l_{t-1})."
    decisive = "a difference of eta l_0 already at the second step, by symbols"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        eta, past = sp.Symbol("eta"), sp.Symbol("l_past")
        losses = sp.symbols(f"l0:{ROUNDS}")
        told, wrong = variant.form(eta, losses, past), []
        # Rules are written for arrays; here one steps symbols.
        rule: Any = rules["optimistic"]()
        place, memory = {"z": sp.Symbol("z0")}, {"z": -past}
        for t, loss in enumerate(losses):
            memory, place = rule.advance(memory, place, {"z": -loss}, lambda z: z, eta)
            wrong.append(sp.expand(told[t + 1] - place["z"]) != 0)
        run = strategies(walk(case, COUNT, step=ETA))
        other = case.once(f"O13 {variant.weights}", lambda: steps(GAME, UNIFORM, UNIFORM, ETA, COUNT, *variant.weights))
        apart = max(float(np.abs(a - b).max()) for a, b in zip(run, other, strict=True))
        return Measurement.of(
            [
                Quantity(f"steps of {ROUNDS} in which the forms differ, by symbols", float(sum(wrong)), 0.0, 0.0),
                Quantity(f"difference in {COUNT} steps", apart, 0.0, 1e-11, route="descent, by hand", rung="numerical"),
            ],
            "symbols of the losses, whatever they are; the run is on the 3 x 3 game",
        )
