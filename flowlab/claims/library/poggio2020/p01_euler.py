"""P1: the structural lemma."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import layered
from flowlab.claims.sample_problems import NETS, samples_for, small_data, states, visited, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Array, Blocks
from flowlab.language.network import Network
from flowlab.language.problem import Problem

_BIASED = "W2 @ relu(W1 @ x + b1) + b2"


def _nets(case: Case) -> list[Network | str]:
    """The given network, or `NETS` and one with biases, for which the identity holds of all blocks together."""
    return [case.problem.network] if case.problem is not None else [*NETS, _BIASED]


@claim("P1")
class Euler(Claim):
    """⟨V_k, ∂f_n/∂V_k⟩ = κ_k f_n for every block and sample."""

    title = "Euler identity (structural lemma)"
    statement = (
        "The inner product of a direction with the gradient of an output in it is the degree times the output, block "
        "by block. With ordinary biases only sums over blocks, weighted by the exponents of a joint scaling, obey "
        "this."
    )
    latex = r"\langle V_k, \partial f_n/\partial V_k\rangle = \kappa_k f_n"
    source = "(1.1) of flowlab's derivations, the structural lemma of Poggio, Banburski, Liao 2020"
    hypotheses = (layered,)
    stated = Variant(nets=_nets, joint=True, shift=0.0, share=0.0, neighbour=0.0)
    mutants = (
        stated.but("degree + 1", shift=1.0),
        stated.but("degree 1% off", share=0.01),
        stated.but("gradient of another block", neighbour=0.5),
        stated.but("ordinary biases", nets=lambda _: [_BIASED], joint=False),
    )
    counter_example = "ordinary biases: with f = W2 relu(W1 x + b1) + b2 no block scales alone"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = samples_for(case, small_data(case.seed))
        nets = variant.nets(case)
        apart = []
        for net in nets:
            loss = case.problem.loss.name if case.problem is not None else "exponential"
            problem = Problem(net, loss)
            symmetry, names = problem.network.symmetry, problem.network.weights
            drawn = states(problem, data, case.seed, 3) if net is _BIASED else visited(case, problem, data, 3)
            for state in drawn:
                # Random combinations of outputs test every output at once.
                mix = np.random.default_rng(case.seed).normal(size=(data.n, data.outputs))
                f = np.sum(
                    mix
                    * problem.network.outputs({w: np.asarray(v) for w, v in state.V.items()}, np.asarray(data.x), np),
                    axis=1,
                )
                along = {w: np.asarray(d) for w, d in _derivatives(problem, state.V, data.x, mix).items()}
                scale = float(np.abs(f).max()) or 1.0
                if variant.joint and not symmetry.is_multihomogeneous:
                    out = dict(symmetry.output)
                    for exponents in symmetry.basis:
                        joint = sum(float(e) * along[w] for w, e in exponents.items())
                        power = float(sum(c * exponents[w] for w, c in out.items()))
                        apart.append(float(np.abs(joint - power * f).max()) / scale)
                    continue
                for i, name in enumerate(names):
                    kappa = float(symmetry.degree(name) or 1)
                    kappa += variant.shift + variant.share * kappa
                    part = along[name] + variant.neighbour * along[names[(i + 1) % len(names)]]
                    apart.append(float(np.abs(part - kappa * f).max()) / scale)
        because = "a few hundred float64 roundings of one forward pass; the identity is exact"
        return Measurement(worst(apart), 1e-12, because, {"networks": [str(n) for n in nets]})


def _derivatives(problem: Problem, V: Blocks, x: Array, mix: Array) -> dict[str, jax.Array]:
    """⟨V_k, ∂f_n/∂V_k⟩ of every block by reverse autodiff of every sample, (N,) each."""

    @eqx.filter_jit
    def compiled(V: Blocks, x: Array, mix: Array) -> dict[str, jax.Array]:
        def one(inputs: Array, row: Array) -> dict[str, jax.Array]:
            gradient = jax.grad(lambda w: jnp.sum(row * problem.network.outputs(w, inputs[None])[0]))(V)
            return {w: jnp.sum(V[w] * g) for w, g in gradient.items()}

        # One sample at a time: all gradients at once would need N copies of the weights.
        return jax.lax.map(lambda pair: one(*pair), (x, mix))

    return _COMPILED.setdefault(problem.signature, compiled)(V, x, mix)


_COMPILED: dict[str, Callable[[Blocks, Array, Array], dict[str, jax.Array]]] = {}
