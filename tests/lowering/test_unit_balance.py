"""What hidden units keep is put right along a symmetry: outputs and sides stay, differences are those asked for."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.lowering.unit_balance import balanced, laws_of_units, levels


def made(text, seed, **given):
    rng = np.random.default_rng(seed)
    net = fl.Network(text)
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights", **given)))
    return (
        field,
        {w: rng.normal(size=s) for w, s in net.resolve(3, 1, dict.fromkeys(net.weights[:-1], 5)).items()},
        rng.normal(size=(9, 3)),
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("W2 @ relu(W1 @ x)", 1),
        ("W3 @ relu(W2 @ relu(W1 @ x))", 2),
        ("a @ relu(W1 @ x)", 1),
        ("W3 @ relu(W2 @ relu(W1 @ x)**2)", 2),
    ],
)
def test_outputs_stay_while_differences_are_put_right(text, count):
    field, W, x = made(text, count)
    laws, kept = laws_of_units(field.problem, field.laws), levels(field.problem, field.laws, W)
    assert len(laws) == len(kept) == count
    rng = np.random.default_rng(9)
    off = {w: v * (1 + 1e-6 * rng.normal(size=v.shape)) for w, v in W.items()}
    found = off
    for _ in range(2):
        found = balanced(field.problem, field.laws, found, kept)
    drift, before = (
        max(float(np.abs(a - b).max()) for a, b in zip(levels(field.problem, field.laws, v), kept, strict=True))
        for v in (found, off)
    )
    assert drift < 1e-12
    assert before > 1e-6
    outputs = [np.asarray(field.problem.network.outputs(v, x, np)) for v in (off, found)]
    assert np.abs(outputs[0] - outputs[1]).max() < 1e-12 * np.abs(outputs[0]).max()
    assert max(float(np.abs(np.asarray(found[w]) - off[w]).max()) for w in W) > 1e-8


@pytest.mark.parametrize("text", ["W2 @ relu(W1 @ x)", "W3 @ relu(W2 @ relu(W1 @ x))"])
def test_units_without_weights_stay(text):
    field, W, _ = made(text, 3)
    W["W1"][0], W["W2"][:, 0] = 0.0, 0.0
    kept = levels(field.problem, field.laws, W)
    found = balanced(field.problem, field.laws, W, kept)
    assert all(np.isfinite(np.asarray(v)).all() for v in found.values())
    assert not np.asarray(found["W1"])[0].any()


@pytest.mark.parametrize(
    ("text", "given"),
    [("W2 @ maximum(A @ x, B @ x)", {}), ("W2 @ tanh(W1 @ x)", {}), ("W2 @ relu(W1 @ x)", {"decay": 0.1})],
)
def test_nothing_is_kept_where_no_law_is(text, given):
    field, W, _ = made(text, 0, **given)
    assert field.keeping(W) is field
