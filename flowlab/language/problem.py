"""A problem: network, loss and scheme, with everything that fixes the flow except data and state."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from numbers import Real
from typing import Any

from flowlab.core.arguments import finite, guarded, must_be, short, shown
from flowlab.core.display import clipped, displayed, rows
from flowlab.core.errors import LanguageError, ShapeMismatch, UnknownName
from flowlab.core.hashing import sha256_json
from flowlab.core.registry import nearest
from flowlab.core.typing import Array, Blocks, Json, Namespace, Number, PerSample, Record, Samples
from flowlab.language.balanced_geometry import space_of
from flowlab.language.declarations import known_names, without_input
from flowlab.language.expr import Expr
from flowlab.language.geometries import Euclid, Geometry
from flowlab.language.losses import losses
from flowlab.language.network import Network
from flowlab.language.network_html import network_parts
from flowlab.language.norm_groups import PER, groups
from flowlab.language.schemes import schemes

COORDINATES = ("polar", "weights")
REDUCTIONS = ("sum", "mean")


@displayed
class Problem:
    """What is to be derived, integrated and checked.

    The objective is L(W) = Σ_n ℓ(f(W; x_n), y_n) + Σ_k ω_k ‖W_k‖², with 1/N before the first sum for
    `reduction="mean"`. Blocks with a learning rate η_k follow -η_k ∂L/∂W_k where -∂L/∂W_k stands in the scheme.

    Args:
        network: a Network, an expression, or its text.
        loss: a registered loss; with `"value"` the expression is the objective itself, one number without samples.
        scheme: a registered scheme.
        per: what one norm belongs to: `"layer"`, `"neuron"` (each row of a matrix) or `"network"`.
        coordinates: `"polar"` for norms and directions, `"weights"` for W itself (gradient_flow only); by default
            the former, of an objective itself the latter.
        reduction: `"sum"` or `"mean"` over samples.
        decay: coefficient ω of ‖W‖² for all blocks, or one per block.
        rates: learning rate η of blocks, `{"W1": 0.1}`; 1 for blocks that are not named.
        ascend: blocks that climb the objective while the others descend it, as the players of a zero-sum game do.
        geometry: where blocks live and in which metric they move, `{"p": "simplex"}`; other blocks in plain arrays.

    Raises:
        UnknownName: for unknown words; LanguageError: for combinations that are not defined.

    Examples:
        >>> problem = fl.Problem("W2 @ relu(W1 @ x)", loss="logistic", scheme="lagrange", decay=0.1)
        >>> problem.coordinates, problem.network.degrees["W1"]
        ('polar', Fraction(1, 1))
    """

    @guarded
    def __init__(
        self,
        network: "Network | Expr | str",
        loss: str = "exponential",
        scheme: str = "gradient_flow",
        *,
        per: str = "layer",
        coordinates: str | None = None,
        reduction: str = "sum",
        decay: float | Mapping[str, float] | None = None,
        rates: Mapping[str, float] | None = None,
        ascend: Sequence[str] = (),
        geometry: Mapping[str, str] | None = None,
    ) -> None:
        self.network = network if isinstance(network, Network) else Network(network)
        self.loss = losses[loss]()
        self.scheme = schemes[scheme]()
        self._require_objective()
        if coordinates is None:
            own = self.loss.is_value or ascend or geometry
            coordinates = "weights" if own and scheme == "gradient_flow" else "polar"
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
        given = dict(decay) if isinstance(decay, Mapping) else dict.fromkeys(blocks, decay or 0.0)
        self.decay: dict[str, float] = dict.fromkeys(blocks, 0.0) | _per_block(
            "decay", given, blocks, "a finite number, zero or above", lambda c: c >= 0
        )
        self.rates: dict[str, float] = dict.fromkeys(blocks, 1.0) | _per_block(
            "rates", dict(rates or {}), blocks, "a finite number above zero", lambda c: c > 0
        )
        self.ascend = known_names("ascend", ascend, blocks)
        known_names("geometry", tuple(geometry or {}), blocks)
        spaces = {w: space_of(word) for w, word in (geometry or {}).items()}
        self.geometry: dict[str, Geometry] = {w: spaces[w] for w in blocks if w in spaces and spaces[w] != Euclid()}
        self._require_fitting_players()

    def _require_fitting_players(self) -> None:
        """Refuse players and geometries where their flow is not defined."""
        for w, space in self.geometry.items():
            shape = self.network.shapes[w]
            if (space.rank or len(shape)) != len(shape):
                raise ShapeMismatch(
                    f'the block `{w}` must be {space.told} in the geometry "{space.name}", got one of shape {shape};'
                    " leave the geometry out."
                )
        what = "ascend" if self.ascend else "geometry"
        if self.moved_by_force and self.coordinates != "weights":
            raise LanguageError(
                f'`{what}` must be used with `coordinates="weights"`, got "{self.coordinates}"; leave it out.'
            )
        decayed = next((w for w in (*self.ascend, *self.geometry) if self.decay[w]), None)
        if decayed is not None:
            why = "ascends" if decayed in self.ascend else "has a geometry"
            raise LanguageError(
                f"`decay` must be zero for the block `{decayed}`, which {why}, got {self.decay[decayed]:g}; write the"
                " penalty into the objective."
            )

    @property
    def moved_by_force(self) -> bool:
        """Whether some block ascends or has a geometry, so that its force is not the gradient of what descends."""
        return bool(self.ascend or self.geometry)

    @cached_property
    def charts(self) -> dict[str, Geometry]:
        """The geometries of blocks that are integrated at a place in a chart, not at their weights themselves."""
        return {w: space for w, space in self.geometry.items() if space.has_chart}

    def on_grid(self, block: str) -> bool:
        """Whether the lift of a block jumps, from one point of a grid to another."""
        return block in self.geometry and self.geometry[block].jumps

    def sign(self, block: str) -> float:
        """-1 for a block that ascends, else 1."""
        return -1.0 if block in self.ascend else 1.0

    def lift(self, z: Blocks, xp: Namespace | None = None) -> dict[str, Array]:
        """Weights from places in the charts of their geometries, by block; `xp` is jax.numpy unless it is given."""
        xp = xp or _jnp()
        return {w: self.geometry[w].lift(xp, v) if w in self.geometry else v for w, v in z.items()}

    def dual(self, weights: Blocks, xp: Namespace | None = None) -> dict[str, Array]:
        """Places in the charts of weights, by block."""
        xp = xp or _jnp()
        return {w: self.geometry[w].dual(xp, v) if w in self.geometry else v for w, v in weights.items()}

    def chart_rate(self, z: Blocks, weights: Blocks, force: Blocks) -> dict[str, Array]:
        """The rate z' of every block under the force -∂L/∂W, signed for players and times its learning rate."""
        xp, own = _jnp(), self.paced(force)
        return {w: self.geometry[w].pace(xp, z[w], weights[w], g) if w in self.geometry else g for w, g in own.items()}

    def _require_objective(self) -> None:
        """Refuse an expression that is no objective of this loss."""
        network, loss = self.network, self.loss
        if loss.is_value:
            if network.has_samples:
                raise LanguageError(
                    f'the loss "{loss.name}" must have one number for all samples, got one a sample of '
                    f'`{shown(network.text)}`; write `mean(…, axis="samples")`, or name inputs in `constants`.'
                )
        elif not network.has_samples and network.inputs:
            raise LanguageError(
                f'the loss "{loss.name}" must have one output per sample, got the single number '
                f'`{shown(network.text)}`; use the loss "value".'
            )
        elif not network.inputs:
            raise LanguageError(without_input(tuple(network.roles)))

    @property
    def own_data(self) -> "Samples | None":
        """What is taken where no data are given: the constants that a problem brings with it, if any."""
        return None

    @property
    def is_rated(self) -> bool:
        """Whether some block has a learning rate other than 1."""
        return any(eta != 1.0 for eta in self.rates.values())

    @property
    def is_gradient(self) -> bool:
        """Whether the flow descends along the gradient of its objective: nobody ascends it, and no slope is coarse."""
        return self.network.is_gradient and not self.ascend

    def require_gradient(self, what: str) -> None:
        """Refuse a coarse gradient, for what is true of gradients alone.

        Raises:
            LanguageError: with the network.
        """
        if not self.network.is_gradient:
            raise LanguageError(
                f"{what} must have the gradient of the loss, got the coarse one of `{shown(self.network.text, 80)}`; "
                "leave `coarse` out."
            )

    def require_plain(self, what: str) -> None:
        """Refuse learning rates by block, players and geometries, for what takes the gradient as it is.

        Raises:
            LanguageError: with what is in the way.
        """
        self.require_gradient(what)
        if self.ascend:
            raise LanguageError(
                f"{what} must have an objective that all blocks descend, got {self.ascend[0]} ascending."
            )
        for w, space in self.geometry.items():
            raise LanguageError(
                f'{what} must have blocks in plain arrays, got `{w}` in the geometry "{space.name}"; leave it out.'
            )
        if self.is_rated:
            told = ", ".join(f"{w}: {eta:g}" for w, eta in self.rates.items() if eta != 1.0)
            raise LanguageError(
                f"{what} must have one learning rate for all blocks, got rates {{{told}}}; leave them out."
            )

    def paced(self, blocks: Blocks) -> dict[str, Array]:
        """Blocks, or norms of groups, each times its learning rate; turned round where a block ascends."""
        if not (self.is_rated or self.ascend):
            return dict(blocks)
        owner = {k: self.groups[k][0] if k in self.groups else k for k in blocks}
        return {k: self.sign(owner[k]) * self.rates[owner[k]] * v for k, v in blocks.items()}

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
        return self.loss.log_loss(xp, self.network.outputs(weights, data.inputs, xp), data.y, self.reduction)

    def objective(self, weights: Blocks, data: Samples, xp: Namespace | None = None) -> Number:
        """The function whose gradient flow this is, weight decay included; scalar, differentiable by jax."""
        xp = xp or _jnp()
        decay = sum(c * (weights[w] * weights[w]).sum() for w, c in self.decay.items() if c)
        return self.loss.total(xp, self.network.outputs(weights, data.inputs, xp), data.y, self.reduction) + decay

    def margins(self, weights: Blocks, data: Samples, xp: Namespace | None = None) -> PerSample:
        """Margins of all samples at these weights, (N,)."""
        xp = xp or _jnp()
        return self.loss.margins(xp, self.network.outputs(weights, data.inputs, xp), data.y)

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
        told: Record = {
            "network": self.network.describe(),
            "loss": self.loss.name,
            "scheme": self.scheme.name,
            "per": self.per,
            "coordinates": self.coordinates,
            "reduction": self.reduction,
            "decay": {w: c for w, c in sorted(self.decay.items()) if c},
        }
        rates = {w: eta for w, eta in sorted(self.rates.items()) if eta != 1.0}
        # Problems without rates are described as they always were.
        told |= {"rates": rates} if rates else {}
        told |= {"ascend": list(self.ascend)} if self.ascend else {}
        return told | ({"geometry": {w: space.name for w, space in self.geometry.items()}} if self.geometry else {})

    @classmethod
    def from_description(cls, description: Mapping[str, Json]) -> "Problem":
        """The problem of a `describe()`."""
        # What stands under a name is known to those who wrote it, and checked by what is made of it.
        told: Any = description
        network = Network.from_description(told["network"])
        rest = {key: told[key] for key in ("per", "coordinates", "reduction", "decay")}
        rest |= {key: told[key] for key in ("rates", "ascend", "geometry") if key in told}
        return cls(network, told["loss"], told["scheme"], **rest)

    @cached_property
    def signature(self) -> str:
        """SHA-256 of the description."""
        return sha256_json(self.describe())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.signature == other.signature

    def __hash__(self) -> int:
        return hash(self.signature)

    def _html_parts(self) -> list[str]:
        told = {"loss": self.loss.name, "scheme": self.scheme.name}
        told |= {name: getattr(self, name) for name in ("per", "coordinates", "reduction")}
        told |= {name: part for name in ("decay", "rates", "ascend", "geometry") if any(part := getattr(self, name))}
        return [*network_parts(self.network), rows(told, "problem")]

    def __repr__(self) -> str:
        return clipped(
            f"Problem({self.network.text!r}, loss={self.loss.name!r}, scheme={self.scheme.name!r}, per={self.per!r},"
            f" coordinates={self.coordinates!r}{self._players_told()})"
        )

    def _players_told(self) -> str:
        up = f", ascend={list(self.ascend)}" if self.ascend else ""
        spaces = {w: space.name for w, space in self.geometry.items()}
        return f"{up}, geometry={spaces}" if spaces else up


def _per_block(
    what: str, given: Mapping[str, float], blocks: tuple[str, ...], wanted: str, allowed: Callable[[float], bool]
) -> dict[str, float]:
    """Numbers by block, as floats."""
    known_names(what, tuple(given), blocks)
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not (finite(value) and allowed(value)):
            raise must_be(f"{what}[{name!r}]", value, wanted, "for example 0.1")
    return {w: float(value) for w, value in given.items()}


def _one_of(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        guess = nearest(str(value), known)
        hint = f" did you mean `{guess}`?" if guess else ""
        raise UnknownName(f"`{what}={short(value)}` is not known;{hint} Known: {', '.join(known)}.")
    return value


def _jnp() -> Namespace:
    import jax.numpy as jnp

    return jnp
