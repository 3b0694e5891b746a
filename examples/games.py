"""A zero-sum game: the replicator flow turns round its equilibrium, optimistic steps reach it, plain ones leave it.

python examples/games.py
"""

from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import flowlab as fl

A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])


def main(small: bool = False, out: Path | None = None) -> dict[str, float]:
    """Equations, the exact equilibrium, what is stable there, three runs and their verdicts; returns the divergences
    from the equilibrium at the start and at the end of every run.
    """
    net = fl.Network("p @ (A @ q)", constants=("A",))
    game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
    data, start = fl.Data(A=A), fl.State.from_weights({"p": [0.5, 0.3, 0.2], "q": [0.2, 0.2, 0.6]})
    flow = fl.derive(game)
    print(flow, flow.modified("optimistic", step=0.1).text().partition(",")[0], sep="\n", end="\n\n")

    nash = fl.equilibrium(game, data)
    print(nash, {w: [str(v) for v in row] for w, row in nash.exact.items()}, sep="\n")
    for rule in ("gradient", "optimistic", "extragradient"):
        print(fl.stability(nash, rule, step=0.1))

    end = 60.0 if small else 300.0
    path = fl.integrate(fl.lower(flow), start, data, until=fl.time(end), rtol=1e-11, atol=1e-13)
    walks = {
        rule: fl.descend(game, start, data, rule=rule, step=0.1, count=round(10 * end))
        for rule in ("optimistic", "gradient")
    }
    found = {"start": nash.divergence(start.weights())}
    found |= {name: nash.divergence(run.weights(-1)) for name, run in {"flow": path, **walks}.items()}
    print(found)
    for verdict in fl.check(["O4"] if small else ["O4", "O5", "O12"]):
        print(verdict)
    if out is not None:
        for name in ("kl", "simplex"):
            fl.draw(name, path, *walks.values()).save(out / f"{name}.pdf")
    return found


if __name__ == "__main__":
    main()
