"""The l1 + l2 parametrisation of sparse regression: the flow that b inherits, where it ends, and what that costs.

python examples/zhou_ge.py
"""

from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl


def main(small: bool = False, out: Path | None = None) -> dict[str, float]:
    """The end of two flows against the minimiser of the derived potential, and the risk over lambda."""
    n, d, alpha = (12, 120, 1e-3) if small else (100, 2000, 1e-6)
    draw = np.random.default_rng(0)
    x, truth = draw.normal(size=(n, d)), np.zeros(d)
    truth[:3] = 1.0
    lam = np.full(d, 0.2 if small else 0.02)
    data = fl.Data(x, x @ truth + 0.5 * draw.normal(size=n), kind="targets", constants={"lam": lam})

    net = fl.Network("(w*w - u*u + lam*v) @ x", constants=["lam"])
    flow = fl.derive(fl.Problem(net, "square", reduction="mean", coordinates="weights"))
    start = fl.State.from_weights({"w": np.full(d, alpha), "u": np.full(d, alpha), "v": np.zeros(d)})
    beta = flow.induced("w*w - u*u + lam*v", start, constants={"lam": lam})
    print(beta, end="\n\n")

    ends = {"until": fl.log_loss_below(-40), "rtol": 1e-10, "atol": 1e-13}
    path = fl.integrate(fl.lower(flow), start, data, **ends)  # 3 d unknowns
    same = fl.integrate(fl.lower(beta), beta.start, data, **ends)  # d unknowns, in z
    best = beta.minimiser(data)
    w, u, v = (np.asarray(path.last.weights()[name]) for name in "wuv")
    found = {
        "flow of the weights": float(np.linalg.norm(w * w - u * u + lam * v - best.beta)),
        "flow of beta": float(np.linalg.norm(np.asarray(same.last.weights()["beta"]) - best.beta)),
    }
    print(best, *fl.check(["Z1"], path), sep="\n", end="\n\n")

    risks = fl.risk(beta, data, truth, vary="lam", values=list(np.geomspace(0.005, 0.5, 5 if small else 15)))
    if out is not None:
        fl.draw("risk", risks).save(out / "risk.pdf")
    ds = risks.dataset
    found |= {"best lambda": float(ds["risk"].min()), **{k: float(ds[f"risk_{k}"]) for k in ("min_l1", "min_l2")}}
    print(*(f"{name}: {value:.3g}" for name, value in found.items()), sep="\n")
    return found


if __name__ == "__main__":
    main()
