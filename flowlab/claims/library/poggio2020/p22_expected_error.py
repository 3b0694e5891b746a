"""P22: with noisy labels the late direction is not the one of least expected error."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flipped_labels import (
    APART,
    SAMPLES,
    D,
    clean,
    expected_error,
    instance_of,
    sampled,
)
from flowlab.claims.library.poggio2020.flows import machine
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import log_time
from flowlab.language.problem import Problem
from flowlab.language.state import State


def _along_the_path(_: Case, errors: np.ndarray) -> float:
    return float(errors[-1] - errors.min())


def _without_noise(case: Case, _: np.ndarray) -> float:
    """Where every label is the teacher's, the largest margin does about as well as anything before it."""
    data, teacher = case.once("P22 instance", lambda: instance_of(case.seed))
    return case.once("P22 clean", lambda: clean(data, teacher))


@claim("P22")
class ExpectedError(Claim):
    """On one instance with a tenth of the labels wrong, stopping early has a smaller expected error than the maximum
    margin.
    """

    title = "the flow does not minimise the expected error (falsifier on one instance)"
    statement = (
        "A linear net interpolates forty Gaussian samples with three strong and 57 weak inputs, four labels of which "
        "are wrong. The expected 0-1 error of its late, max-margin direction exceeds the least one along the path by "
        "more than 0.05. The claim covers this instance only."
    )
    latex = r"\mathcal E(v^*) > \min_t \mathcal E(v(t)) + 0.05"
    source = "against `gradient descent minimises the expected error' in Poggio, Banburski, Liao 2020"
    hypotheses = (own_instances,)
    stated = Variant(gap=_along_the_path, sign=1.0, bound=APART, relation=">=")
    mutants = (
        stated.but(USUAL, bound=0.0, relation="<="),
        stated.but("labels without noise", gap=_without_noise),
        stated.but("early and late exchanged", sign=-1.0),
    )
    counter_example = (
        "labels without noise, and the teacher's inputs alone: the maximum margin is about as good as anything on the "
        "way to it"
    )
    usual = "Gradient descent on the training loss minimises the expected error."
    decisive = (
        "expected error of the late direction against the least one along the path, in closed form; refuted on this "
        "instance, no more"
    )
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, teacher = case.once("P22 instance", lambda: instance_of(case.seed))
        start = State.from_weights({"W1": 1e-3 * np.random.default_rng(case.seed).normal(size=(1, D)) / np.sqrt(D)})
        path = integrated(case, "P22", Problem("W1 @ x", coordinates="weights"), start, data, log_time(1e6))
        V = path.dataset["V_W1"].values.reshape(len(path), -1)
        errors = np.array([expected_error(v, teacher) for v in V])
        w = machine(data)[0]
        best, late = int(errors.argmin()), errors[-1]
        apart = variant.sign * variant.gap(case, errors)
        quantities = [
            Quantity(
                "expected error of the late direction",
                float(late),
                expected_error(w, teacher),
                1e-4,
                route="flow at log t = 1e6, angle to the teacher",
            ),
            Quantity(
                "the same by sampling",
                sampled(w, teacher, case.seed),
                expected_error(w, teacher),
                4.0 * float(np.sqrt(late / SAMPLES)),
                altered=0.0,
                route=f"{SAMPLES} samples",
            ),
            Quantity(
                "late error less the least error along the path",
                apart,
                variant.bound,
                0.0,
                relation=variant.relation,
                route="all rows of the flow",
            ),
            Quantity(
                "training errors of the late direction",
                float((np.asarray(data.x) @ V[-1] * np.asarray(data.y) <= 0).sum()),
                0.0,
                0.5,
                altered=0.0,
            ),
        ]
        return Measurement.of(
            quantities,
            "the late direction lacks a few units of 1/log t; four standard deviations of the sampling; a difference "
            "far above roundings",
            limits="one instance per seed, linear net, Gaussian inputs",
            early_log_t=float(path.dataset["log_t"][best]),
            early_error=float(errors[best]),
        )
