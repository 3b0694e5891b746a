"""What a coarse gradient does on average over Gaussian inputs, and why it is the gradient of nothing."""

from collections.abc import Callable

import numpy as np

from derivations.notebook import Derivation, control
from flowlab.claims.library.yin2019 import quadrature
from flowlab.claims.library.yin2019.curl_and_work import closed
from flowlab.claims.library.yin2019.flows import angle, coarse_relu, slope_v, slope_w
from flowlab.claims.library.yin2019.population import model, teacher
from flowlab.language.state import State

M, N, SEEDS = 3, 4, (0, 1, 2)
THREE = "three random weights and teachers"


def derivation() -> Derivation:
    """Claims Q1 to Q6: from means of two units to the curl."""
    d = Derivation(
        "Coarse gradients on average",
        """P. Yin, J. Lyu, S. Zhang, S. Osher, Y. Qi, J. Xin, ICLR 2019; claims Q1 to Q6 of flowlab. The curl is found
        here.""",
    )
    d.say(
        r"""A net $y(Z) = v^\top\sigma(Zw)$ steps, $\sigma = 1_{z>0}$, and learns from a teacher $v^*, w^*$ with
        $\lVert w^*\rVert = 1$; all entries of $Z$ are independent standard normal numbers. The error is pulled back
        through the slope $\tau'$ of another function $\tau$."""
    )
    _means(d)
    _stein(d)
    _coarse(d)
    _true(d)
    _curl(d)
    return d


def _drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ws = rng.normal(size=N)
    return rng.normal(size=M), rng.normal(size=N), rng.normal(size=M), ws / np.linalg.norm(ws)


def _worst(gap: Callable[..., float]) -> Callable[[], float]:
    return lambda: max(gap(*_drawn(seed)) for seed in SEEDS)


def _means(d: Derivation, half: float = 1.0) -> None:
    d.section("Means of two units")
    d.equation(
        "arc",
        r"\mathrm E\,\sigma(a^\top z)\,\sigma(b^\top z) = \tfrac14 + \tfrac14\bigl(1 - \tfrac{2\theta}{\pi}\bigr)",
        r"""Both are on where $z$ is on the right side of two hyperplanes at the angle $\theta$ of $a$ and $b$, which is
        a part $(\pi - \theta)/2\pi$ of the plane. The constant parts $1/2$ of $\sigma$ give the first term, the signs
        the second.""",
        check=_worst(
            lambda _v, w, _u, ws: abs(
                quadrature.mean("step", w, "step", ws) - 0.5 + half * float(angle(w[None], ws)[0]) / (2 * np.pi)
            )
        ),
        bound=1e-14,
        how=f"quadrature over the angle in the plane of both, at {THREE}",
    )


def _stein(d: Derivation, slope: str = "step") -> None:
    d.equation(
        "stein",
        r"\mathrm E\,\sigma(a^\top z)\,\tau'(b^\top z)\,z = \nabla_b\, \mathrm E\,\sigma(a^\top z)\,\tau(b^\top z) = "
        r"\frac{b/\lVert b\rVert + a/\lVert a\rVert}{2\sqrt{2\pi}} \quad (\tau = \mathrm{relu})",
        r"""A slope in $b$ may be taken under the mean. With $\tau(u) = u/2 + |u|/2$ the odd parts give
        $a^\top b/\lVert a\rVert$, and $\sigma$'s constant meets $|u|$, whose mean is $\sqrt{2/\pi}\,\lVert b\rVert$.
        So a coarse gradient is a slope in the surrogate's arguments alone.""",
        check=_worst(
            lambda _v, w, _u, ws: float(
                np.abs(
                    quadrature.pull("step", ws, slope, w) - (w / np.linalg.norm(w) + ws) / (2 * np.sqrt(2 * np.pi))
                ).max()
            )
        ),
        bound=1e-14,
        how=f"quadrature, at {THREE}",
    )


def _coarse(d: Derivation, slope: str = "relu") -> None:
    d.section("The coarse and the true gradient")
    d.equation(
        "coarse",
        r"\mathrm E\,g = \frac{h\,u - (v^\top v^*)(u + w^*)}{2\sqrt{2\pi}}, \quad u = \frac{w}{\lVert w\rVert}, \quad "
        r"h = \lVert v\rVert^2 + (\mathbf 1^\top v)^2 - (\mathbf 1^\top v)(\mathbf 1^\top v^*) + v^\top v^*",
        r"""Sum [stein] over the rows of $Z$: one row meets itself with the weights $v_i^2$ and $-v_i v_i^*$, and all
        others through the mean $1/2$ of their units.""",
        check=_worst(
            lambda v, w, vs, ws: float(
                np.abs(
                    model(slope, M, N).gradient(v[None], w[None], vs, ws)[1] - coarse_relu(v[None], w[None], vs, ws)
                ).max()
            )
        ),
        bound=1e-13,
        how=f"the flow that `flowlab.derive` makes of `fl.population`, at {THREE}",
    )


def _true(d: Derivation, sign: float = 1.0) -> None:
    d.equation(
        "true",
        r"\nabla_v f = \tfrac14\bigl(Jv - ((1 - \tfrac{2\theta}{\pi})I + \mathbf 1\mathbf 1^\top)v^*\bigr), \qquad "
        r"\nabla_w f = -\frac{v^\top v^*}{2\pi\lVert w\rVert}\,\frac{p}{\lVert p\rVert}, \quad p = w^* - (u^\top w^*)u",
        r"""By [arc] the loss depends on $w$ through $\theta$ alone, and $\nabla_w\theta = -p/(\lVert w\rVert\,\lVert
        p\rVert)$; $J = I + \mathbf 1\mathbf 1^\top$. The coarse gradient in $v$ is the true one.""",
        check=_worst(lambda v, w, vs, ws: _gap_of_true(v[None], w[None], vs, ws, sign)),
        bound=1e-13,
        how=f"the flow of the same population loss without coarse slopes, at {THREE}",
    )


def _gap_of_true(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray, sign: float) -> float:
    in_v, in_w = model("relu", M, N).true(v, w, vs, ws)
    gaps = (in_v - slope_v(v, w, vs, ws), in_w - sign * slope_w(v, w, vs, ws))
    return max(float(np.abs(gap).max()) for gap in gaps)


def _curl(d: Derivation, share: float = 1.0) -> None:
    d.section("The curl")
    d.equation(
        "curl",
        r"\frac{\partial(\nabla_v f)}{\partial w} - \Bigl(\frac{\partial\,\mathrm E g}{\partial v}\Bigr)^{\top} = "
        r"-\frac{v^* p^\top}{2\pi\lVert w\rVert\sin\theta} - \frac{(2v + 2(\mathbf 1^\top v)\mathbf 1 - (\mathbf "
        r"1^\top v^*)\mathbf 1 + v^*)u^\top - v^*(u + w^*)^\top}{2\sqrt{2\pi}}",
        r"""Differentiate [true] in $w$ and [coarse] in $v$. A gradient would give zero. The blocks of $v$ with itself
        and of $w$ with itself are symmetric.""",
        check=_worst(lambda v, w, vs, ws: _gap_of_curl(v, w, vs, ws, share)),
        bound=1e-12,
        how=f"forward differentiation of the derived equations, `flow.curl()`, at {THREE}",
    )


def _gap_of_curl(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray, share: float) -> float:
    curl = model("relu", M, N).flow.curl()
    found = curl.at(State.from_weights({"v": v, "w": w}), teacher(vs, ws))
    assert curl.pairs == (("v", "w"),)
    return float(np.abs(found["v", "w"] - closed("relu", v, w, vs, ws, share)).max())


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""
    return {
        "half of the angle": lambda: _means(control(), half=0.5),
        "the slope of the identity": lambda: _stein(control(), slope="one"),
        "another surrogate": lambda: _coarse(control("stein"), slope="identity"),
        "the true gradient turned round": lambda: _true(control("arc"), sign=-1.0),
        "no curl of the coarse part": lambda: _curl(control("true", "coarse"), share=0.0),
    }
