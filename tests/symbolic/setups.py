"""The set-ups of the literature, each as one would write it, and those that cannot be written yet, with the reason.

A row is a set-up or several of one kind. `network` is what `fl.Network` is called with (its expression as `text`),
`problem` what `fl.Problem` is, `given` the shapes of one sample of inputs and of constants, `widths` those that data do
not settle; what is left out is the input x with three features, and the square loss. `until` is the end that its run is
asked for: t = 1, or separation where a loss has a tail.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import flowlab as fl

SEPARATED = fl.separated()


@dataclass(frozen=True)
class Setup:
    """One set-up: a network, a problem, and the sizes it is tried at."""

    text: str
    network: dict[str, Any] = field(default_factory=dict)
    problem: dict[str, Any] = field(default_factory=dict)
    given: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"x": (3,)})
    widths: dict[str, int] = field(default_factory=dict)
    outputs: int = 1
    samples: int = 5
    until: Any = field(default_factory=lambda: fl.time(1.0))


def separates(setup, *hidden):
    """The same with as few samples as features, which even linear nets separate, and units enough for none to die."""
    return replace(setup, samples=3, widths=dict.fromkeys(hidden, 8), until=SEPARATED)


def plain(text, outputs=1, **problem):
    """A set-up of one input vector."""
    return Setup(text, {}, problem, outputs=outputs)


def tensors(text, given, **network):
    """A set-up with inputs of any shape, in weight coordinates."""
    widths = network.pop("widths", {})
    outputs = network.pop("outputs", 1)
    known = {"constants", "frozen"} & set(network)
    inputs = {
        k: tuple(f"{k}{i}" for i in range(len(v))) for k, v in given.items() if k not in network.get("constants", ())
    }
    inputs = {k: v for k, v in inputs.items() if not any(k in network[name] for name in known)}
    inputs = {k: v for k, v in inputs.items() if k != "x"} | ({"x": ("d",)} if "x" in given else {})
    return Setup(text, {"inputs": inputs, **network}, {}, given, widths, outputs)


GRADIENT = "((X @ b - t) @ X)"
"""Of least squares."""


def least_squares(text, **network):
    """A flow of least squares by a rule of its own, whose gradients are written out by hand under `stop`."""
    given = {"X": (5, 3), "t": (5,)}
    return Setup(text, {"constants": ["X", "t"], **network}, {"loss": "value", "coordinates": "weights"}, given)


def value(text, given, **problem):
    """A set-up whose objective is one number: the samples are added up in the text."""
    inputs = {k: tuple(n if k == "X" and n == 2 else f"{k}{i}" for i, n in enumerate(v)) for k, v in given.items()}
    inputs |= {"x": ("d",)} if "x" in given else {}
    return Setup(text, {"inputs": inputs}, {"loss": "value", **problem}, given)


X, TOKENS, COLUMNS = {"X": (2, 6)}, {"X": (4, 3)}, {"X": (3, 4)}

SETUPS: dict[str, tuple[Setup, ...]] = {
    "linear, bias": (
        plain("W @ x + b", 2),
        plain("w @ x + b"),
        plain("w @ x + b", coordinates="weights"),
    ),
    "deep linear": (plain("W3 @ W2 @ W1 @ x", 2, scheme="lagrange"),),
    "two-layer ReLU": (separates(plain("W2 @ relu(W1 @ x)", loss="logistic"), "W1"),),
    "two-layer ReLU with biases": (
        plain("a @ relu(W @ x + b) + c", loss="logistic"),
        separates(plain("a @ relu(W @ x + b) + c", loss="logistic", coordinates="weights"), "W"),
    ),
    "three-layer ReLU": (separates(plain("W3 @ relu(W2 @ relu(W1 @ x))", loss="exponential"), "W1", "W2"),),
    "leaky_relu, abs, squared ReLU, z^k": tuple(
        plain(f"a @ {unit}") for unit in ("leaky_relu(W @ x)", "abs(W @ x)", "relu(W @ x)**2", "(W @ x)**3")
    ),
    "polynomial activation": (plain("a @ ((W @ x)**3 + W @ x)"),),
    "quadratic net": (plain("a @ (W @ x)**2"),),
    "quadratic form": (plain("x @ W @ x"),),
    "residual, DenseNet-like skips": (
        plain("x + W2 @ relu(W1 @ x)", 3),
        plain("a @ concat(x, relu(W1 @ x), relu(W2 @ concat(x, relu(W1 @ x))))"),
    ),
    "linear resnet": (plain("x + W1 @ x + W2 @ (x + W1 @ x)", 3),),
    "diagonal u*v": (plain("(u * v) @ x"),),
    "diagonal w*w - u*u": (plain("(w * w - u * u) @ x"),),
    "diagonal depth 3": (plain("(u * v * w) @ x"),),
    "positive weights w*w": (plain("(w * w) @ x"),),
    "positive weights abs": (plain("abs(w) @ x"),),
    "matrix factorisation": (
        Setup("U @ V.T @ x", widths={"U": 2}, network={"shapes": {"U": (2, "r"), "V": (3, "r")}}, outputs=2),
    ),
    "symmetric factorisation": (Setup("U @ U.T @ x", network={"shapes": {"U": (3, 2)}}, outputs=3),),
    "deep matrix factorisation of a full matrix": (
        Setup("W3 @ W2 @ W1 @ x", outputs=2, samples=3),
        tensors("sum(M * (W2 @ W1))", {"M": (3, 2)}),
    ),
    "rank-one": (plain("outer(u, v) @ x", 2),),
    "matrix sensing, matrix completion": (
        tensors("einsum('ir,jr,ij->', U, V, A)", {"A": (3, 2)}),
        tensors("sum(M * (U @ V.T))", {"M": (3, 2)}),
    ),
    "phase retrieval": (plain("sum((U @ x)**2)"),),
    "tensor CP, symmetric inputs": (plain("sum((A @ x) * (B @ x) * (C @ x))"),),
    "tensor CP sensing, general tensors": (tensors("einsum('ir,jr,kr,ijk->', U, V, W, T)", {"T": (2, 3, 2)}),),
    "tied autoencoder": (plain("W.T @ relu(W @ x + b) + c", 3),),
    "recurrent linear": (plain("a @ W @ W @ W @ x"),),
    "weight-tied deep ReLU": (plain("a @ relu(W @ relu(W @ x))"),),
    "RNN, linear RNN, SSM over a sequence": (
        tensors("a @ tanh(W @ tanh(W @ tanh(U @ X[0]) + U @ X[1]) + U @ X[2])", {"X": (3, 2)}),
        tensors("a @ (W @ (W @ (U @ X[0]) + U @ X[1]) + U @ X[2])", {"X": (3, 2)}),
        tensors("c @ (l * (l * (B @ X[0]) + B @ X[1]) + B @ X[2])", {"X": (3, 2)}),
    ),
    "GLU": (plain("a @ (sigmoid(G @ x) * (W @ x))"),),
    "bilinear GLU": (plain("a @ ((G @ x) * (W @ x))"),),
    "SwiGLU": (plain("a @ (silu(G @ x) * (W @ x))"),),
    "two-expert sigmoid gate": (plain("sigmoid(g @ x) * (a @ x) + (1 - sigmoid(g @ x)) * (b @ x)"),),
    "softmax gate, MoE with E experts": (
        plain("sum(softmax(G @ x) * (W @ x))"),
        tensors("einsum('e,eh,eh->', softmax(G @ x), A, relu(einsum('ehd,d->eh', W, x)))", {"x": (3,)}),
    ),
    "gated deep linear nets with fixed gates": (
        tensors("a @ (G * (W2 @ (H * (W1 @ x))))", {"x": (3,), "G": (4,), "H": (2,)}),
    ),
    "maxout": (plain("a @ maximum(W @ x, V @ x)"),),
    "max-pool over features, positions": (
        Setup("max_pool(W @ x, 4)[0]", network={"shapes": {"W": (4, "d")}}),
        tensors("a @ flatten(max_pool(conv(W, X), 2))", X, shapes={"W": (2, "X0", 3)}),
    ),
    "mean pool over features": (plain("mean(relu(W @ x))"),),
    "avg-pool over positions with a shared filter": (
        Setup("mean(relu(conv(w, x)))", network={"shapes": {"w": (2,)}}),
        tensors("a @ flatten(avg_pool(relu(conv(W, X)), 2))", X, shapes={"W": (2, "X0", 3)}),
    ),
    "1-D conv, shared weights": (
        Setup("a @ relu(conv(w, x))", network={"shapes": {"w": (2,)}}),
        tensors("a @ flatten(relu(conv(W, X, stride=2, padding=1)))", X, shapes={"W": (2, "X0", 3)}),
        tensors("a @ flatten(relu(depthwise_conv(W, X)))", X, shapes={"W": ("X0", 3)}),
        tensors("a @ flatten(relu(conv(W, X) + b))", X, shapes={"W": (2, "X0", 3)}),
    ),
    "2-D conv": (
        tensors(
            "a @ flatten(max_pool(relu(conv(K, X, padding='same')), 2, axes=2))",
            {"X": (1, 4, 4)},
            shapes={"K": (2, 1, 3, 3)},
        ),
    ),
    "locally connected": (Setup("a @ relu((M * W) @ x)", {"constants": ["M"]}, given={"x": (3,), "M": (4, 3)}),),
    "circular conv linear nets": (
        Setup("conv(u, conv(v, x, padding='circular'), padding='circular')[0]", {"shapes": {"u": (3,), "v": (3,)}}),
    ),
    "group-equivariant nets": (
        Setup(
            "sum(relu(einsum('ki,gij,j->gk', W, P, x)) @ a)",
            {"constants": {"P": ("g", "d", "d")}},
            given={"x": (3,), "P": (2, 3, 3)},
        ),
    ),
    "LayerNorm, RMSNorm": (plain("a @ layer_norm(W @ x)"), plain("a @ tanh(g * rms_norm(W @ x) + b)")),
    "BatchNorm": (plain("a @ relu(batch_norm(W @ x))"),),
    "weight norm, per layer and per neuron": (
        separates(plain("W2 @ relu(W1 @ x)", scheme="weight_normalization", loss="exponential"), "W1"),
        plain("W2 @ relu(W1 @ x)", scheme="weight_normalization", per="neuron"),
        plain("a @ relu((W @ x) / sqrt(sum(W * W, axis=1)))"),
    ),
    "pre/post-norm block": (
        plain("c @ (x + W2 @ relu(W1 @ rms_norm(x)))"),
        plain("c @ layer_norm(x + W2 @ relu(W1 @ x))"),
    ),
    "softmax attention, 1 layer": (
        Setup(
            "o @ V @ X @ softmax(X.T @ K.T @ Q @ x)",
            {"inputs": {"X": ("d", "t"), "x": ("d",)}},
            given={"X": (3, 4), "x": (3,)},
        ),
        tensors("a @ (softmax(causal(X @ Q @ K.T @ X.T)) @ X @ V)[2]", TOKENS),
    ),
    "linear attention, in-context regression, merged KQ": (
        Setup(
            "einsum('i,ij,jk,k->', q, H, P, x)",
            {"inputs": {"H": ("d", "d"), "x": ("d",)}},
            given={"H": (3, 3), "x": (3,)},
        ),
    ),
    "linear attention, split K and Q": (
        Setup(
            "v @ X @ (X.T @ K.T @ Q @ x)", {"inputs": {"X": ("d", "t"), "x": ("d",)}}, given={"X": (3, 4), "x": (3,)}
        ),
    ),
    "one token": (plain("(x @ Q.T @ K @ x) * (V @ x)", 2),),
    "transformer block, multi-head": (
        tensors("a @ mean(X + relu(layer_norm(X + softmax(X @ Q @ K.T @ X.T) @ X @ V) @ W1) @ W2, axis=0)", TOKENS),
        tensors(
            "sum(einsum('hov,htv->to', O, einsum('htk,hkv->htv', softmax(einsum('htd,hsd->hts',"
            " einsum('td,hde->hte', X, Q), einsum('td,hde->hte', X, K))), einsum('td,hde->hte', X, V))))",
            TOKENS,
            shapes={"Q": (2, 3, 2)},
        ),
    ),
    "embeddings, one-hot x": (
        tensors("a @ mean(relu(W @ (E @ X)), axis=1)", {"X": (5, 4)}),
        plain("a @ relu(W @ (E @ x))"),
    ),
    "sequence inputs (N, T, d)": (tensors("a @ mean(relu(X @ W + b), axis=0)", TOKENS),),
    "LoRA, W0 trained too": (plain("(W0 + B @ A) @ x", 2),),
    "LoRA, W0 frozen": (Setup("(W0 + B @ A) @ x", {"frozen": ["W0"]}, given={"x": (3,), "W0": (2, 3)}, outputs=2),),
    "frozen, random-feature blocks": (Setup("a @ relu(W0 @ x)", {"frozen": ["W0"]}, given={"x": (3,), "W0": (4, 3)}),),
    "fixed outer signs": (Setup("s @ relu(W @ x)", {"constants": ["s"]}, given={"x": (3,), "s": (4,)}),),
    "learning rate per block": (plain("W2 @ relu(W1 @ x)", rates={"W1": 0.1, "W2": 1.0}, coordinates="weights"),),
    "muP, mean-field 1/m": (
        Setup("a @ relu(W @ x)", {"parametrisation": "mup"}, {"coordinates": "weights"}),
        Setup("a @ relu(W @ x)", {"parametrisation": "mean_field"}, {"coordinates": "weights"}),
        plain("mean(a * relu(W @ x))"),
    ),
    "weight decay per block": (plain("W2 @ relu(W1 @ x)", decay={"W1": 0.1}, coordinates="weights"),),
    "sample weights": (
        # With roots of the weights as an input and targets times them; or a shift of -y log of the weight.
        tensors("c * (a @ relu(W @ x))", {"x": (3,), "c": ()}),
        separates(
            Setup(
                "a @ relu(W @ x) + s", {"inputs": {"x": ("d",), "s": ()}}, {"loss": "exponential"}, {"x": (3,), "s": ()}
            ),
            "W",
        ),
    ),
    "several outputs, cross entropy": (
        separates(plain("W2 @ relu(W1 @ x)", 3, loss="cross_entropy"), "W1"),
        # Units of five samples slide here on kinks.
        replace(plain("W2 @ relu(W1 @ x)", 3, loss="cross_entropy"), until=fl.time(3.0)),
    ),
    "vector targets, square": (plain("W2 @ relu(W1 @ x)", 2),),
    "user activation (own file): sin": (plain("a @ sin(W @ x)"),),
    "RBF, exp units, random Fourier features": (
        tensors("a @ exp(-sum((C - einsum('i,j->ij', u, x))**2, axis=1))", {"x": (3,), "u": (4,)}, constants=["u"]),
        plain("a @ exp(W @ x)"),
        Setup("a @ cos(W @ x + b)", {"frozen": ["W", "b"]}, given={"x": (3,), "W": (4, 3), "b": (4,)}),
    ),
    "complex weights": (plain("(u @ x)**2 + (v @ x)**2"),),
    "BYOL, SimSiam linear": (
        value("einsum('N->', sum((P @ W @ X[0] - stop(W @ X[1]))**2))", {"X": (2, 3)}),
        value("einsum('N->', sum((P @ W @ x - stop(W @ x))**2)) + sum(W * W)", {"x": (3,)}),
    ),
    "contrastive losses": (
        value(
            "sum(einsum('Ni,Nj->ij', W @ X[0], W @ X[1])**2) - einsum('N->', (W @ X[0]) @ (W @ X[1]))", {"X": (2, 3)}
        ),
    ),
    "two-player GAN flow": (
        value("einsum('N->', d @ X - d @ (G @ Z)) - d @ d", {"X": (3,), "Z": (2,)}, ascend=["d"]),
        value(
            "einsum('N->', a @ tanh(D @ X) - a @ tanh(D @ (G @ Z))) - sum(D * D) - a @ a",
            {"X": (3,), "Z": (2,)},
            ascend=["a", "D"],
        ),
    ),
    # Of a block under sum(W * stop(F)) the rate is -F, whatever F is.
    "heavy ball, Nesterov flow": (
        least_squares(f"sum(p * stop({GRADIENT} + 0.5 * p)) - sum(stop(p) * b)"),
        # Friction of 3/t, by log t as a block.
        least_squares(
            f"sum(p * stop({GRADIENT} + 3 * exp(-s) * p)) - sum(stop(p) * b) - stop(exp(-s)) * s",
            shapes={"s": (), "p": (3,)},
        ),
    ),
    "Adam, sign, RMSProp flow": (
        least_squares(
            f"sum(b * stop(m * exp(-u / 2))) + sum(m * stop(m - {GRADIENT}))"
            f" + sum(u * stop(1 - {GRADIENT}**2 * exp(-u)))"
        ),
        least_squares(f"sum(b * stop({GRADIENT} * exp(-u / 2))) + sum(u * stop(1 - {GRADIENT}**2 * exp(-u)))"),
    ),
    "SAM": (least_squares(f"sum(b * stop((X @ (b + 0.1 * {GRADIENT} / sqrt(sum({GRADIENT}**2))) - t) @ X))"),),
    "physics-informed (d/dx in the loss)": (
        # u(x) = a tanh(W x + b) with u' = u: the derivative by hand.
        Setup("einsum('i,ij,i->j', a, W, 1 - tanh(W @ x + b)**2)[0] - a @ tanh(W @ x + b)", given={"x": (1,)}),
    ),
}
"""By the name of the row; complex weights, derivatives in the input and rules other than gradient flow are written
out by hand."""

ELSEWHERE = {
    "user loss (own file, Python)": "tests/language/test_new_words.py",
    "user operation": "tests/language/test_new_words.py",
    "NTK, linearised model beside the flow": "tests/studies/test_linearised.py",
    "equinox.Module": "tests/language/test_opaque.py",
    "plain jax function": "tests/language/test_opaque.py",
    "L1, Lp, spectral, path norms": "tests/language/test_penalties.py",
    "mirror, natural gradient flow": "tests/symbolic/test_players_and_geometries.py",
    "teacher-student, population Gaussian loss": "tests/symbolic/test_gaussian.py",
}
"""Rows that are no text of the language, but a word of a user's own, a function, or a study; where they are tried."""

MISSING = {
    "Langevin, SGD-noise SDE, label noise": "flows have no noise; descents have batches",
    "infinite width (mean-field PDE)": "weights are finitely many; margins of unbounded width are there, and no flow",
}
"""Rows that cannot be written for now, with the reason."""

CUT_SHORT = {
    "linear, bias [1]": ("stalled", "the norm of b falls to zero"),
    "positive weights abs [0]": ("nonunique", "entry (2) of `w` is on its kink, which ceases to attract"),
}
"""Runs that cannot reach the end they are asked for: how they end, and the reason that they give.

A bias of one number changes its sign only through zero, where it has no direction: weight coordinates pass. The slope
of |w| jumps where w is zero, and once both sides lead away more than one flow goes on.
"""

ROWS = 84
"""Of the table of set-ups that all this comes from."""
