"""P15 to P19 and P21 to P24: where flows end, and statements about it that are false as usually made."""

import numpy as np
import pytest

import flowlab as fl


def holds(name, seed):
    (verdict,) = fl.check([name], seed=seed)
    assert verdict.answer == "holds", (verdict.measured, verdict.bound, verdict.reason)
    assert all(trial["refuted"] for trial in verdict.evidence["mutants"].values())
    assert all(q["as_printed"] is not False for q in verdict.quantities)
    return verdict


def test_one_layer_on_samples_that_cannot_be_separated_does_not_apply():
    x = np.array([[1.0, 0.3], [2.0, 0.6], [-1.0, 0.5], [0.5, -1.0]])
    (verdict,) = fl.check(["P16"], fl.Data(x, np.array([1.0, -1.0, 1.0, -1.0])))
    assert (verdict.answer, verdict.code) == ("undecided", "does not apply")
    (verdict,) = fl.check(["P16"], fl.Problem("W2 @ W1 @ x"))
    assert (verdict.answer, verdict.code) == ("undecided", "does not apply")


@pytest.mark.parametrize("name", ["P15", "P18", "P19", "P21", "P22", "P23", "P24"])
def test_claims_about_one_instance_say_nothing_of_others(name):
    (verdict,) = fl.check([name], fl.Problem("W2 @ relu(W1 @ x)"))
    assert (verdict.answer, verdict.code) == ("undecided", "does not apply")


def test_the_enclosure_of_the_optimum_is_one():
    """Control: the optimum lies in it, and it is narrow."""
    from flowlab.claims.library.poggio2020.flows import OPTIMUM
    from flowlab.claims.library.poggio2020.joint_margins import enclosed

    low, high = enclosed()
    assert low <= OPTIMUM <= high < low * (1 + 1e-6)


def test_a_normalisation_with_an_epsilon_is_no_scale_invariance(monkeypatch):
    """P24 must not pass where the variance gets an ε, as libraries add one."""
    from flowlab.claims.library.poggio2020 import batch_norm_net as module

    def softened(weights, x, y, whole=True):
        import jax.numpy as jnp

        h = x @ weights["W"].T
        h = h - jnp.mean(h, axis=0)
        h = h / jnp.sqrt(jnp.mean(h * h, axis=0) + 1e-5)
        return jnp.sum(jnp.logaddexp(0.0, -y * (jnp.tanh(weights["g"] * h) @ weights["a"])))

    monkeypatch.setattr(module, "loss", softened)
    (verdict,) = fl.check(["P24"])
    assert verdict.answer == "refuted"
