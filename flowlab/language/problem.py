"""A problem: network, loss and scheme, with everything that fixes the flow except data and state."""

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from numbers import Real
from typing import Any, Protocol, runtime_checkable

from flowlab.core.arguments import finite, guarded, short, shown
from flowlab.core.errors import LanguageError, UnknownName
from flowlab.core.hashing import sha256_json
from flowlab.core.registry import nearest
from flowlab.core.typing import Blocks, Json, Namespace, Number, PerSample, Record, Samples
from flowlab.language.expr import Expr
from flowlab.language.losses import losses
from flowlab.language.network import Network
from flowlab.language.norm_groups import PER, groups
from flowlab.language.schemes import schemes

COORDINATES = ("polar", "weights")
REDUCTIONS = ("sum", "mean")


class Problem:
    """What is to be derived, integrated and checked.

    The objective is L(W) = Σ_n ℓ(f(W; x_n), y_n) + Σ_k ω_k ‖W_k‖², with 1/N before the first sum for
    `reduction="mean"`.

    Args:
        network: a Network, an expression, or its text.
        loss: a registered loss.
        scheme: a registered scheme.
        per: what one norm belongs to: `"layer"`, `"neuron"` (each row of a matrix) or `"network"`.
        coordinates: `"polar"` for norms and directions, `"weights"` for W itself (gradient_flow only).
        reduction: `"sum"` or `"mean"` over samples.
        decay: coefficient ω of ‖W‖² for all blocks, or one per block.

    Raises:
        UnknownName: for unknown words; LanguageError: for combinations that are not defined.
    """

    @guarded
    def __init__(
        self,
        network: "Network | Expr | str",
        loss: str = "exponential",
        scheme: str = "gradient_flow",
        *,
        per: str = "layer",
        coordinates: str = "polar",
        reduction: str = "sum",
        decay: float | Mapping[str, float] | None = None,
    ) -> None:
        self.network = network if isinstance(network, Network) else Network(network)
        self.loss = losses[loss]()
        self.scheme = schemes[scheme]()
        self.per = _one_of("per", per, PER)
        self.coordinates = _one_of("coordinates", coordinates, COORDINATES)
        self.reduction = _one_of("reduction", reduction, REDUCTIONS)
        if coordinates == "weights" and scheme != "gradient_flow":
            raise LanguageError(
                f'`coordinates="weights"` is defined for scheme "gradient_flow", not {scheme!r}; use "polar".'
            )
        if self.loss.compares_outputs and not self.network.output_shape:
            raise LanguageError(
                f"the loss {loss!r} needs one output per class, but `{shown(self.network.text)}` has a single one; "
                'end it with a matrix block (capital name), declare `shapes`, or use "logistic" or "exponential".'
            )
        blocks = self.network.weights
        if decay is not None and not isinstance(decay, Real | Mapping):
            told = f"`decay={short(decay)}` is no coefficient"
            raise LanguageError(f"{told}; give a number, or a number per block such as {{{blocks[0]!r}: 0.1}}.")
        given = dict(decay) if isinstance(decay, Mapping) else dict.fromkeys(blocks, decay or 0.0)
        for name, value in given.items():
            if name not in blocks:
                guess = nearest(str(name), blocks) or blocks[0]
                told = f"`decay` names `{shown(name)}`, which the network does not have"
                raise UnknownName(f"{told}; did you mean `{guess}`?")
            if isinstance(value, bool) or not isinstance(value, Real) or not (finite(value) and value >= 0):
                told = f"`decay[{name!r}] = {short(value)}` is no coefficient"
                raise LanguageError(f"{told}; use a finite number, zero or above.")
        self.decay: dict[str, float] = {w: float(given.get(w) or 0.0) for w in blocks}

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The blocks that share each norm, {norm name: block names}."""
        return groups(self.network.weights, self.per)

    @cached_property
    def degrees(self) -> dict[str, Fraction | None]:
        """κ of every norm, or None where its group has no scaling of its own."""
        symmetry = self.network.symmetry
        if self.per == "network":
            return dict.fromkeys(self.groups, symmetry.joint_degree)
        if self.per == "neuron":
            return dict.fromkeys(self.groups)
        return {name: symmetry.degree(name) for name in self.groups}

    @cached_property
    def objective_only(self) -> "Problem":
        """The same objective under plain gradient flow: what autodiff is compiled for, once for all schemes."""
        return Problem(self.network, self.loss.name, reduction=self.reduction, decay=self.decay)

    @property
    def is_homogeneous(self) -> bool:
        """Whether every norm has a degree, so that f(W; x) = R f(V; x) with R = Π ρ_k^κ_k."""
        return all(kappa is not None for kappa in self.degrees.values())

    def log_loss(self, weights: Blocks, data: Samples, xp: Namespace | None = None) -> Number:
        """Logarithm of the data loss (without weight decay); scalar."""
        xp = xp or _jnp()
        return self.loss.log_loss(xp, self.network.outputs(weights, data.x, xp), data.y, self.reduction)

    def objective(self, weights: Blocks, data: Samples, xp: Namespace | None = None) -> Number:
        """The function whose gradient flow this is, weight decay included; scalar, differentiable by jax."""
        xp = xp or _jnp()
        decay = sum(c * (weights[w] * weights[w]).sum() for w, c in self.decay.items() if c)
        return self.loss.total(xp, self.network.outputs(weights, data.x, xp), data.y, self.reduction) + decay

    def margins(self, weights: Blocks, data: Samples, xp: Namespace | None = None) -> PerSample:
        """Margins of all samples at these weights, (N,)."""
        xp = xp or _jnp()
        return self.loss.margins(xp, self.network.outputs(weights, data.x, xp), data.y)

    def log_product(self, weights: Blocks, xp: Namespace | None = None) -> Number:
        """Logarithm of the factor that normalised outputs are divided by; scalar.

        Σ κ_k log ‖W_k‖ over blocks where every block scales alone; K log ‖θ‖ where only all weights together do; else
        0.
        """
        xp = xp or _jnp()
        symmetry = self.network.symmetry
        squares = {w: (weights[w] * weights[w]).sum() for w in self.network.weights}
        if symmetry.is_multihomogeneous:
            logs: Number = xp.zeros(())
            for w, square in squares.items():
                logs = logs + 0.5 * float(symmetry.degree(w) or 0) * xp.log(square)
            return logs
        if symmetry.joint_degree is not None:
            return 0.5 * float(symmetry.joint_degree) * xp.log(sum(squares.values()))
        return xp.zeros(())

    def describe(self) -> Record:
        """Everything that rebuilds this problem, JSON-able."""
        return {
            "network": self.network.describe(),
            "loss": self.loss.name,
            "scheme": self.scheme.name,
            "per": self.per,
            "coordinates": self.coordinates,
            "reduction": self.reduction,
            "decay": {w: c for w, c in sorted(self.decay.items()) if c},
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Json]) -> "Problem":
        """The problem of a `describe()`."""
        # What stands under a name is known to those who wrote it, and checked by what is made of it.
        told: Any = description
        shapes = {name: tuple(shape) for name, shape in told["network"]["shapes"].items()}
        network = Network(told["network"]["expression"], shapes=shapes)
        rest = {key: told[key] for key in ("per", "coordinates", "reduction", "decay")}
        return cls(network, told["loss"], told["scheme"], **rest)

    @cached_property
    def signature(self) -> str:
        """SHA-256 of the description."""
        return sha256_json(self.describe())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.signature == other.signature

    def __hash__(self) -> int:
        return hash(self.signature)

    def __repr__(self) -> str:
        return (
            f"Problem({self.network.text!r}, loss={self.loss.name!r}, scheme={self.scheme.name!r}, per={self.per!r},"
            f" coordinates={self.coordinates!r})"
        )


@runtime_checkable
class ResultLike(Protocol):
    """Anything with numbers of a problem that a figure may be of."""

    @property
    def kind(self) -> str: ...

    @property
    def problem(self) -> Problem: ...


def _one_of(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        guess = nearest(str(value), known)
        hint = f" did you mean `{guess}`?" if guess else ""
        raise UnknownName(f"`{what}={short(value)}` is not known;{hint} Known: {', '.join(known)}.")
    return value


def _jnp() -> Namespace:
    import jax.numpy as jnp

    return jnp
