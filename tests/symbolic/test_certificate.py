"""Derived equations against reverse-mode autodiff, and the power of that check."""

import dataclasses

import corpus
import numpy as np
import pytest
import sympy

import flowlab as fl
from flowlab.core.errors import DerivationMismatch
from flowlab.symbolic import derive as derive_module
from flowlab.symbolic.certificate import BOUND, certify, drawn_width, random_state, residuals
from flowlab.symbolic.mutants import KINDS, mutants

BOUND_ON_CORPUS = 1e-12
"""What the equations are held to here, tighter than what `derive` refuses."""


def worst(problem: fl.Problem, states: int, seed: int = 0) -> tuple[float, int]:
    """Largest residual over random states, and how many of them were alive."""
    flow = fl.derive(problem, verify=False)
    found = [residuals(flow, random_state(problem, seed + i, lengths=i % 2 == 1)) for i in range(states)]
    alive = [max(r.values()) for r in found if r is not None]
    return max(alive), len(alive)


@pytest.mark.parametrize(("expression", "settings"), corpus.HAND + corpus.COARSE, ids=lambda v: str(v))
def test_hand_written_architectures(expression, settings):
    size, alive = worst(corpus.problem(expression, settings), 20)
    assert alive >= 15
    assert size <= BOUND_ON_CORPUS


@pytest.mark.parametrize("seed", range(25))
def test_random_architectures(seed):
    size, alive = worst(corpus.random_problem(seed), 20, seed=100)
    assert alive >= 10
    assert size <= BOUND_ON_CORPUS


def test_corpus_is_large_enough():
    assert len({text for text, _ in corpus.HAND}) >= 30
    assert len(corpus.HAND) >= 40


def test_three_hundred_mutants_are_refuted():
    refuted, kinds, survivors = 0, set(), []
    for expression, settings in corpus.HAND[:32:2]:
        flow = fl.derive(corpus.problem(expression, settings), verify=False)
        sizes = {w: np.size(v) for w, v in random_state(flow.problem, 0).V.items()}
        for mutant in mutants(flow):
            # The direction of a block of one weight does not move, whatever its equation is multiplied by.
            if sizes.get(mutant.block) == 1:
                continue
            found = [residuals(mutant.flow, random_state(flow.problem, seed)) for seed in range(2)]
            if max(max(r.values()) for r in found if r is not None) > BOUND:
                refuted += 1
                kinds.add(mutant.kind)
            else:
                survivors.append((expression, settings, mutant.kind, mutant.block))
    assert survivors == []
    assert refuted >= 300 or pytest.fail(f"only {refuted} mutants were made")
    assert kinds == set(KINDS)


def test_derive_refuses_a_wrong_word(monkeypatch):
    """A pull-back that is 1 % off is caught before the equations are returned, and named."""
    from flowlab.language.activations import activations

    word = activations["relu"]
    honest = word.slope
    monkeypatch.setattr(word, "slope", lambda self, *args: 1.01 * honest(self, *args))
    with pytest.raises(DerivationMismatch, match=r"disagrees with autodiff by .*e-0[0-9]") as caught:
        fl.derive(fl.Problem("W2 @ relu(W1 @ x)"))
    assert "W1" in caught.value.equation
    assert 1e-3 < caught.value.residual < 1e-1


def test_derive_refuses_a_wrong_derivation(monkeypatch):
    """The same for the structural part: the multiplier of one block doubled."""
    honest = derive_module.derive_equations

    def wrong(problem):
        book, equations = honest(problem)
        return book, (*equations[:-1], dataclasses.replace(equations[-1], V=2 * equations[-1].V))

    monkeypatch.setattr(derive_module, "derive_equations", wrong)
    with pytest.raises(DerivationMismatch, match="V_W2"):
        fl.derive(fl.Problem("W2 @ relu(W1 @ x)", scheme="lagrange"))


def test_states_hide_nothing():
    """Norms differ from one another and from one, and both sides of every kink are seen."""
    problem = fl.Problem("W3 @ relu(W2 @ relu(W1 @ x))")
    for seed in range(5):
        rho = [float(r) for r in random_state(problem, seed).rho.values()]
        assert min(abs(a - b) for i, a in enumerate(rho) for b in [*rho[:i], 1.0]) > 1e-3
    assert certify(fl.derive(problem, verify=False)).units_seen_both


def test_a_network_that_is_always_zero_has_zero_rates():
    flow = fl.derive(fl.Problem("W2 @ relu(-relu(W1 @ x))"))
    assert flow.residual == 0.0
    wrong = flow.with_equations([dataclasses.replace(e, V=e.V + 1) for e in flow.equations])
    assert max((residuals(wrong, random_state(flow.problem, 0)) or {"": 0.0}).values()) > 1.0


def test_direction_of_one_weight_does_not_turn():
    """Its rate is zero but for roundings; that is agreement, not disagreement."""
    flow = fl.derive(fl.Problem("w @ relu(W @ x)", scheme="lagrange"))
    state = random_state(flow.problem, 3, d=1, width=1)
    assert np.shape(state.V["w"]) == (1,)
    assert max((residuals(flow, state) or {}).values()) < 1e-12


@pytest.mark.parametrize("text", ["a * x", "x + c", "relu(w @ (W @ x))"])
def test_rates_that_are_roundings_only(text):
    """At fixed norms nothing moves a block of one weight; derive must not take roundings for an error."""
    assert fl.derive(fl.Problem(text, scheme="fixed_norm", decay=0.1)).residual < 1e-12


def test_float32_is_refused(monkeypatch):
    import jax

    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(fl.PrecisionTooLow, match="jax_enable_x64"):
            fl.derive(fl.Problem("W1 @ x"))
    finally:
        jax.config.update("jax_enable_x64", True)


def attention(count):
    """Residual blocks of attention and of hidden units, `count` of each."""
    h = fl.input("X")
    for i in range(count):
        n, w = fl.layer_norm(h), {name: fl.weight(f"{name}{i}") for name in "QKVAB"}
        h = h + fl.softmax((n @ w["Q"]) @ (n @ w["K"]).T) @ (n @ w["V"])
        h = h + fl.relu(fl.layer_norm(h) @ w["A"]) @ w["B"]
    return fl.Problem(fl.Network(fl.weight("a") @ fl.mean(h, axis=0), inputs={"X": ("t", "d")}), coordinates="weights")


@pytest.mark.long
def test_roundings_of_long_networks_are_told_from_errors(monkeypatch):
    """What float64 rounds off is taken for what it is by more digits; an error of the same size stays."""
    from flowlab.symbolic import certificate

    flow = fl.derive(attention(12), verify=False)
    states = [random_state(flow.problem, seed, width=drawn_width(flow.problem.network)) for seed in range(6)]
    found = [max((residuals(flow, state) or {"": 0.0}).values()) for state in states]
    with monkeypatch.context() as patch:
        patch.setattr(certificate, "extended_gaps", lambda *_: {})
        rounded = [max((residuals(flow, state) or {"": 0.0}).values()) for state in states]
    assert max(found) <= certificate._ROUNDINGS < max(rounded)


def test_an_error_of_the_size_of_roundings_stays():
    flow = fl.derive(fl.Problem("W2 @ relu(W1 @ x)"))
    assert flow.residual < 1e-14
    off = 1 + sympy.Rational(5, 10**12)
    wrong = flow.with_equations([dataclasses.replace(e, V=off * e.V) for e in flow.equations])
    assert certify(wrong).residual == pytest.approx(5e-12, rel=1e-3)


def test_levels_take_every_block_once(monkeypatch):
    """Paths that meet again and again do not double the blocks below them, which 24 blocks would not survive."""
    from flowlab.symbolic import states

    seen, level = [], states._Levels.level
    monkeypatch.setattr(
        states._Levels, "level", lambda self, at, blocks, *more: seen.append(blocks) or level(self, at, blocks, *more)
    )
    states.random_state(attention(3), 0, levelled=True)
    assert len(seen) >= 4
    assert all(len(set(blocks)) == len(blocks) for blocks in seen)


def test_long_networks_are_held_against_autodiff_too(monkeypatch):
    """Their gradients are traced by jax and worked out by numpy; they are those of jax, and others are refused."""
    from flowlab.language import autodiff

    problem = attention(3)
    assert len(problem.network.nodes) > autodiff._LONGEST_COMPILED
    state = random_state(problem, 0)
    given = dict(state.weights), state.samples.inputs, state.samples.y
    ours, theirs = (f(problem, *given) for f in (autodiff._evaluated, autodiff._velocity))
    assert all(np.allclose(v, theirs[w], rtol=1e-9, atol=1e-12) for w, v in ours.items())
    assert fl.derive(problem).residual <= 1e-11
    evaluated = autodiff._evaluated
    monkeypatch.setattr(
        autodiff, "_evaluated", lambda *a: {w: v * (1.01 if w == "Q1" else 1.0) for w, v in evaluated(*a).items()}
    )
    with pytest.raises(DerivationMismatch, match="Q1"):
        fl.derive(problem)
