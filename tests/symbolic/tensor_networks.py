"""Set-ups beyond one input vector: tensors, several inputs, constants, attention, convolution, normalisation.

No axis has `SAMPLES` entries but that of the samples, by which a reader of the equations knows it.
"""

SAMPLES = 13
WIDE, GRID = {"X": ("c", "l")}, {"X": ("c", "h", "w")}
TOKENS, COLUMNS = {"X": ("t", "d")}, {"X": ("d", "t")}
COVARIANCE = "W2 @ W1 @ (W2 @ W1).T"

TENSOR_NETWORKS = {
    "matrix sensing": {"text": "einsum('ir,jr,ij->', U, V, A)", "inputs": {"A": ("m", "k")}},
    "matrix completion": {"text": "sum(M * (U @ V.T))", "inputs": {"M": ("m", "k")}},
    "tensor sensing": {"text": "einsum('ir,jr,kr,ijk->', U, V, W, T)", "inputs": {"T": ("i", "j", "k")}},
    "recurrent": {"text": "a @ tanh(W @ tanh(U @ X[0]) + U @ X[1])", "inputs": {"X": (2, "d")}},
    "linear recurrent": {"text": "a @ (W @ (W @ (U @ X[0]) + U @ X[1]) + U @ X[2])", "inputs": {"X": (3, "d")}},
    "mixture of experts": {"text": "sum(softmax(G @ x) * (W @ x))"},
    "two experts": {"text": "sigmoid(g @ x) * (a @ x) + (1 - sigmoid(g @ x)) * (b @ x)"},
    "gated linear": {"text": "a @ (G * (W @ x))", "inputs": {"G": ("h",)}},
    "max-pooling": {"text": "a @ max_pool(conv(w, x), 2)", "shapes": {"w": (3,)}},
    "max over features": {"text": "max_pool(W @ x, 4)[0]", "shapes": {"W": (4, "d")}},
    "mean over positions": {
        "text": "a @ mean(relu(conv(W, X)), axis=-1)",
        "inputs": WIDE,
        "shapes": {"W": (2, "c", 3)},
    },
    "shared filter": {"text": "sum(relu(conv(w, x)))", "shapes": {"w": (2,)}},
    "images": {"text": "a @ flatten(relu(conv(K, X)))", "inputs": GRID, "shapes": {"K": (2, "c", 2, 2)}},
    "two layers of filters": {
        "text": "a @ flatten(relu(conv(K, relu(conv(L, X, padding='same')), stride=2)))",
        "inputs": {"X": (2, 5)},
        "shapes": {"K": (2, 3, 2), "L": (3, 2, 3)},
    },
    "a bias per channel": {
        "text": "a @ flatten(relu(g * conv(K, X) + b))",
        "inputs": GRID,
        "shapes": {"K": (2, "c", 2, 2)},
    },
    "images twice": {
        "text": "sum(conv(K, tanh(conv(L, X, padding=1)), padding='circular'))",
        "inputs": {"X": (2, 3, 3)},
        "shapes": {"K": (1, 2, 2, 2), "L": (2, 2, 2, 2)},
    },
    "grey images": {"text": "a @ flatten(relu(conv(k, X)))", "inputs": {"X": (4, 4)}, "shapes": {"k": (2, 2)}},
    "locally connected": {"text": "a @ relu((M * W) @ x)", "constants": ["M"]},
    "covariance by transport": {"text": f"(a @ x) * bures({COVARIANCE} + 0.3 * eye, S)", "constants": ["S"]},
    "covariance at no noise": {"text": f"(a @ x) * bures({COVARIANCE}, S)", "constants": ["S"]},
    "covariance by entropy": {"text": f"(a @ x) * kullback_leibler({COVARIANCE} + eye, S)", "constants": ["S"]},
    "covariance by entries": {"text": f"(a @ x) * frobenius({COVARIANCE}, S)", "constants": ["S"]},
    "root of a sum": {
        "text": "(a @ x) * trace(C @ root(W @ W.T + s * eye)) + s * (a @ x)",
        "shapes": {"s": (), "C": ("h", "h"), "W": ("h", "k")},
        "constants": ["C"],
    },
    "inverse of a block": {"text": "(a @ x) * trace(C @ inverse(5 * eye - W))", "constants": ["C"]},
    "nuclear norm": {"text": "(a @ x) * nuclear(W)", "shapes": {"W": ("h", "k")}},
    "circular": {"text": "conv(u, conv(v, x, padding='circular'), padding='circular')[0]"},
    "layer norm": {"text": "a @ layer_norm(W @ x)"},
    "layer norm with eps": {"text": "a @ layer_norm(W @ x, 0.1)"},
    "rms norm": {"text": "a @ relu(rms_norm(W @ x))"},
    "batch norm": {"text": "a @ relu(batch_norm(W @ x))"},
    "group norm": {"text": "a @ group_norm(W @ x, 2)", "shapes": {"W": (6, "d")}},
    "weight norm by hand": {"text": "a @ relu((W @ x) / sqrt(sum(W * W, axis=1)))"},
    "pre-norm": {"text": "c @ (x + W2 @ relu(W1 @ rms_norm(x)))"},
    "softmax attention": {"text": "o @ V @ X @ softmax(X.T @ K.T @ Q @ x)", "inputs": COLUMNS},
    "linear attention, merged": {"text": "einsum('i,ij,jk,k->', q, H, P, x)", "inputs": {"H": ("e", "e")}},
    "linear attention, split": {"text": "v @ X @ (X.T @ K.T @ Q @ x)", "inputs": COLUMNS},
    "several heads": {
        "text": "sum(einsum('hov,htv->to', O, einsum('htk,hkv->htv', softmax(einsum('htd,hsd->hts',"
        " einsum('td,hde->hte', X, Q), einsum('td,hde->hte', X, K))), einsum('td,hde->hte', X, V))))",
        "inputs": TOKENS,
    },
    "causal attention": {"text": "a @ (softmax(causal(X @ Q @ K.T @ X.T)) @ X @ V)[1]", "inputs": TOKENS},
    "causal linear attention": {"text": "a @ (tril(X @ Q @ K.T @ X.T) @ X @ V)[-1]", "inputs": TOKENS},
    "transformer block": {
        "text": "a @ mean(X + relu(layer_norm(X + softmax(X @ Q @ K.T @ X.T) @ X @ V) @ W1) @ W2, axis=0)",
        "inputs": TOKENS,
    },
    "embedding": {"text": "a @ relu(W @ (E @ X))[:, 0]", "inputs": {"X": ("v", "t")}},
    "shared over positions": {"text": "a @ mean(relu(X @ W + b), axis=0)", "inputs": TOKENS},
    "low-rank adaptation": {"text": "(W0 + B @ A) @ x", "frozen": ["W0"]},
    "random features": {"text": "a @ relu(W0 @ x)", "frozen": ["W0"]},
    "fixed signs": {"text": "s @ relu(W @ x)", "constants": ["s"]},
    "radial basis": {"text": "a @ exp(-(D - c)**2)", "inputs": {"D": ("m",)}},
    "skip by joining": {"text": "a @ relu(W2 @ concat(relu(W1 @ x), x))"},
    "joined with a constant": {"text": "a @ relu(W @ concat(x, b, u))", "constants": ["u"]},
    "positive weights": {"text": "abs(w) @ x"},
    "division": {"text": "(a @ x) / (1 + sum(w * w))"},
    "depthwise": {
        "text": "a @ flatten(relu(depthwise_conv(w, X)))",
        "inputs": {"X": ("c", "l")},
        "shapes": {"w": ("c", 3)},
    },
    "depthwise twice": {
        "text": "sum(depthwise_conv(v, tanh(depthwise_conv(w, X, padding='circular')), stride=2))",
        "inputs": {"X": ("c", 5)},
        "shapes": {"w": ("c", 3), "v": ("c", 2)},
    },
    "average pooling": {
        "text": "a @ flatten(avg_pool(relu(conv(K, X, padding='same')), 2, axes=2))",
        "inputs": {"X": (1, 4, 4)},
        "shapes": {"K": (2, 1, 3, 3)},
    },
    "stride": {
        "text": "a @ flatten(relu(conv(K, X, stride=2)))",
        "inputs": {"X": (2, 9)},
        "shapes": {"K": (3, 2, 3)},
    },
    "centred by hand": {"text": "a @ relu(W @ x - mean(W @ x, axis='samples'))"},
    "softmax over samples": {"text": "a @ (softmax(W @ x, 'samples') * (V @ x))"},
    "contraction of all samples": {"text": "a @ (einsum('Ni,Nj->ij', W @ x, V @ x) @ x)"},
    "outer products": {"text": "sum(tanh(outer(W @ x, V @ x)))"},
    "matrix products by letters": {"text": "einsum('i,i->', a, tanh(einsum('ij,j->i', W, einsum('ij,i->j', U, x))))"},
    "names of symbols": {
        "text": "y @ F @ relu(T_1 @ X) + s @ x",
        "inputs": {"F": ("t", "d"), "X": ("e",)},
        "constants": ["s"],
    },
    "sizes of axes": {"text": "per_size(a, 0) @ relu(per_size(W, 1, 0.5) @ x) + per_size(x, 'samples') @ b"},
    "one matrix per sample": {"text": "(a @ softmax(X.T)) @ b", "inputs": {"X": ("t", "d")}},
    "a constant matrix per position": {
        "text": "a @ mean(relu(X @ W + P), axis=0)",
        "inputs": TOKENS,
        "constants": ["P"],
        "shapes": {"P": ("t", "h")},
    },
}
"""By name: what `fl.Network` is called with, its expression as `text`."""
