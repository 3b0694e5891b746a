"""Write `references/*.json`: weights at the end of three flows, to 30 digits.

    python tests/dynamics/make_references.py

Gradient and Taylor steps are written out here in mpmath, on plain weights; nothing of flowlab is used. Steps are halved
until 30 digits stand.
"""

import json
from pathlib import Path

import mpmath as mp
import numpy as np

HERE = Path(__file__).parent / "references"
CASES = {
    "linear_exponential": {"text": "W1 @ x", "loss": "exponential", "seed": 101, "n": 4, "d": 2, "width": 0, "t": 1.0},
    "deep_linear_logistic": {
        "text": "W2 @ W1 @ x",
        "loss": "logistic",
        "seed": 102,
        "n": 4,
        "d": 2,
        "width": 2,
        "t": 2.0,
    },
    "softplus_square": {
        "text": "W2 @ softplus(W1 @ x)",
        "loss": "square",
        "seed": 103,
        "n": 3,
        "d": 2,
        "width": 2,
        "t": 1.0,
    },
}
STAGES = 12


def drawn(case):
    """Samples, labels and weights, as float64."""
    rng = np.random.default_rng(case["seed"])
    x = rng.normal(size=(case["n"], case["d"]))
    y = rng.normal(size=case["n"]) if case["loss"] == "square" else np.where(np.arange(case["n"]) % 2 == 0, 1.0, -1.0)
    if case["width"]:
        return x, y, {"W1": rng.normal(size=(case["width"], case["d"])), "W2": rng.normal(size=(1, case["width"]))}
    return x, y, {"W1": rng.normal(size=(1, case["d"]))}


def pull(case, x, y, w):
    """Minus the gradient of the summed loss."""
    out = {k: mp.zeros(m.rows, m.cols) for k, m in w.items()}
    for n in range(len(y)):
        xn = mp.matrix([[v] for v in x[n]])
        z = w["W1"] * xn
        if case["width"]:
            a = z.apply(lambda v: mp.log1p(mp.exp(v))) if "softplus" in case["text"] else z
            da = z.apply(lambda v: 1 / (1 + mp.exp(-v))) if "softplus" in case["text"] else z.apply(lambda v: mp.mpf(1))
            f = (w["W2"] * a)[0]
        else:
            f = z[0]
        slope = {
            "exponential": lambda f, t: t * mp.exp(-t * f),
            "logistic": lambda f, t: t / (1 + mp.exp(t * f)),
            "square": lambda f, t: t - f,
        }[case["loss"]](f, y[n])
        if case["width"]:
            out["W2"] += slope * a.T
            back = mp.matrix([[w["W2"][i] * da[i]] for i in range(a.rows)])
            out["W1"] += slope * back * xn.T
        else:
            out["W1"] += slope * xn.T
    return out


def end(case, steps):
    """Weights at the end by extrapolated midpoint steps (Gragg; even powers of the step), of order 2 STAGES."""
    x, y, w = drawn(case)
    x, y = [[mp.mpf(float(v)) for v in row] for row in x], [mp.mpf(float(v)) for v in y]
    w = {k: mp.matrix([[mp.mpf(float(v)) for v in row] for row in m]) for k, m in w.items()}
    h = mp.mpf(case["t"]) / steps
    add = lambda a, b, s: {k: a[k] + s * b[k] for k in a}  # noqa: E731
    for _ in range(steps):
        table = []
        for j in range(1, STAGES + 1):
            n = 2 * j
            q = h / n
            before, now = w, add(w, pull(case, x, y, w), q)
            for _ in range(n - 1):
                before, now = now, add(before, pull(case, x, y, now), 2 * q)
            # Gragg's smoothing keeps the expansion in even powers.
            smooth = add(add(before, now, 1), pull(case, x, y, now), q)
            row = [{k: m / 2 for k, m in smooth.items()}]
            for i in range(1, j):
                factor = mp.mpf(n) ** 2 / mp.mpf(2 * (j - i)) ** 2 - 1
                row.append({k: row[-1][k] + (row[-1][k] - table[-1][i - 1][k]) / factor for k in w})
            table.append(row)
        w = table[-1][-1]
    return w


def main():
    """Solve and write."""
    mp.mp.dps = 42
    HERE.mkdir(exist_ok=True)
    for name, case in CASES.items():
        steps = 128
        before = end(case, steps)
        while True:
            steps *= 2
            now = end(case, steps)
            off = max(max(abs(v) for v in now[k] - before[k]) for k in now)
            if off < mp.mpf(10) ** -31:
                break
            before = now
        x, y, start = drawn(case)
        told = {k: [[mp.nstr(m[i, j], 30) for j in range(m.cols)] for i in range(m.rows)] for k, m in now.items()}
        record = case | {"x": x.tolist(), "y": y.tolist(), "start": {k: v.tolist() for k, v in start.items()}}
        record |= {"end": told, "steps": steps, "change_at_last_halving": mp.nstr(off, 3), "mpmath": mp.__version__}
        (HERE / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
