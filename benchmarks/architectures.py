"""Lowered fields of attention, convolution and a transformer block against hand-written JAX: ratios within one run.

    python benchmarks/architectures.py

The hand-written sides are what a careful JAX programmer writes: one forward and one backward pass, shared values kept;
for the convolution the faster of `lax.conv` with its transposes, and of patches with a dot product. Both sides take the
same weights and data, in weight coordinates under the exponential loss.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
from field import agreement, interleaved
from jax import lax

import flowlab as fl
from flowlab.core.provenance import versions

N, T, D, WIDE = 64, 32, 64, 128
"""Samples, tokens, features of a token, and hidden units of the block."""
SIDE, CHANNELS, PLACES = 28, 16, 3
"""Pixels along a side, output channels (input channels are 1, then as many), places of the filter along a side."""

ATTENTION = "a @ mean(softmax((X @ Q) @ (X @ K).T) @ (X @ V), axis=0)"
BLOCK = "a @ mean({h} + relu({h} @ W1) @ W2, axis=0)"
CONVOLUTION = "a @ flatten(relu(conv(K, X)))"


def softmax_pull(A: Any, cot: Any) -> Any:
    """From the cotangent of a softmax over the last axis to that of its argument."""
    both = A * cot
    return both - A * both.sum(axis=-1, keepdims=True)


def pull_of(f: Any, y: Any) -> Any:
    """-dl/df of the exponential loss."""
    return y * jnp.exp(-y * f)


def attend(W: dict, X: Any) -> tuple[Any, ...]:
    """Values of one head."""
    q, k, v = X @ W["Q"], X @ W["K"], X @ W["V"]
    A = jax.nn.softmax(q @ k.swapaxes(1, 2), axis=-1)
    return q, k, v, A, A @ v


def attention_pulls(X: Any, q: Any, k: Any, v: Any, A: Any, cot: Any) -> dict[str, Any]:
    """Rates of Q, K and V from the cotangent (N, T, d) of the head."""
    S = softmax_pull(A, cot @ v.swapaxes(1, 2))
    rows = X.reshape(-1, X.shape[-1]).T
    flat = [c.reshape(-1, c.shape[-1]) for c in (S @ k, S.swapaxes(1, 2) @ q, A.swapaxes(1, 2) @ cot)]
    return {name: rows @ c for name, c in zip("QKV", flat, strict=True)}


def attention(W: dict, data: Any) -> dict:
    """Rates of one head, mean over tokens, linear output."""
    X = data.given["X"]
    q, k, v, A, out = attend(W, X)
    m = out.mean(axis=1)
    psi = pull_of(m @ W["a"], data.y)
    cot = jnp.broadcast_to((psi[:, None] * W["a"] / T)[:, None], out.shape)
    return {"a": psi @ m} | attention_pulls(X, q, k, v, A, cot)


def block(W: dict, data: Any) -> dict:
    """Rates of one head with a residual connection, and a hidden layer with another one."""
    X = data.given["X"]
    q, k, v, A, out = attend(W, X)
    h = X + out
    z = h @ W["W1"]
    act = jnp.where(z > 0, z, 0.0)
    m = (h + act @ W["W2"]).mean(axis=1)
    psi = pull_of(m @ W["a"], data.y)
    cot = jnp.broadcast_to((psi[:, None] * W["a"] / T)[:, None], h.shape)
    back = jnp.where(z > 0, cot @ W["W2"].T, 0.0)

    def outer(p: Any, q: Any) -> Any:
        return p.reshape(-1, p.shape[-1]).T @ q.reshape(-1, q.shape[-1])

    rates = {"a": psi @ m, "W2": outer(act, cot), "W1": outer(h, back)}
    return rates | attention_pulls(X, q, k, v, A, cot + back @ W["W1"].T)


def convolution_by_lax(W: dict, data: Any) -> dict:
    """Rates of a convolutional layer by `lax.conv` and its transposes."""
    X = data.given["X"]
    z, pull = jax.vjp(lambda K: lax.conv(X, K, (1, 1), "VALID"), W["K"])
    act = jnp.where(z > 0, z, 0.0).reshape(N, -1)
    psi = pull_of(act @ W["a"], data.y)
    cot = jnp.where(z > 0, (psi[:, None] * W["a"]).reshape(z.shape), 0.0)
    return {"K": pull(cot)[0], "a": psi @ act}


def convolution_by_patches(W: dict, data: Any) -> dict:
    """Rates of a convolutional layer by patches and dot products."""
    X = data.given["X"]
    side = SIDE - PLACES + 1
    cuts = [X[:, :, i : i + side, j : j + side] for i in range(PLACES) for j in range(PLACES)]
    patches = jnp.stack(cuts, axis=2).reshape(N, -1, side * side)
    flat = W["K"].reshape(CHANNELS, -1)
    z = jnp.einsum("ok,nkp->nop", flat, patches)
    act = jnp.where(z > 0, z, 0.0).reshape(N, -1)
    psi = pull_of(act @ W["a"], data.y)
    cot = jnp.where(z > 0, (psi[:, None] * W["a"]).reshape(z.shape), 0.0)
    return {"K": jnp.einsum("nop,nkp->ok", cot, patches).reshape(W["K"].shape), "a": psi @ act}


def case(text: str, shape: tuple[int, ...], shapes: dict, seed: int = 0) -> tuple[Callable, tuple]:
    """The compiled field and its arguments."""
    rng = np.random.default_rng(seed)
    names = ("t", "d") if len(shape) == 2 else ("c", "h", "w")
    network = fl.Network(text, inputs={"X": names}, shapes=shapes)
    data = fl.Data(X=rng.normal(size=(N, *shape)) / np.sqrt(D), y=np.where(np.arange(N) % 2 == 0, 1.0, -1.0))
    field = fl.lower(fl.derive(fl.Problem(network, coordinates="weights")))
    state = fl.initial_state(network, data, default_width=D, seed=seed)
    return jax.jit(lambda y, data: field.rate(0.0, y, data)), (field.pack(state), data)


def compare(budget: float) -> dict[str, Any]:
    """All three, with the agreement of both sides."""
    square = dict.fromkeys("QKV", (D, D))
    head = "(X + softmax((X @ Q) @ (X @ K).T) @ (X @ V))"
    cases = {
        "attention": (ATTENTION, (T, D), square, (attention,)),
        "block": (BLOCK.format(h=head), (T, D), square | {"W1": (D, WIDE), "W2": (WIDE, D)}, (block,)),
    } | {
        f"convolution of {c}": (
            CONVOLUTION,
            (c, SIDE, SIDE),
            {"K": (CHANNELS, c, PLACES, PLACES)},
            (convolution_by_lax, convolution_by_patches),
        )
        for c in (1, CHANNELS)
    }
    out = {}
    for name, (text, shape, shapes, hands) in cases.items():
        ours, args = case(text, shape, shapes)
        found = {}
        for hand in hands:
            theirs = jax.jit(hand)
            gap = agreement(dict(sorted(ours(*args).items())), dict(sorted(theirs(*args).items())))
            found[hand.__name__] = {"disagreement": gap} | interleaved(ours, theirs, args, budget)
        out[name] = found
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for each pair")
    print(json.dumps({"versions": versions(), "cases": compare(parser.parse_args().budget)}, indent=2))
