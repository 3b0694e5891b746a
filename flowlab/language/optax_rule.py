"""A gradient transformation of optax as a descent rule; optax itself comes with what the user passes."""

import inspect
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Array, Blocks, Number, PyTree, Scalar
from flowlab.language.rules import Rule, rules


@runtime_checkable
class GradientTransformation(Protocol):
    """What transforms gradients into updates, as optax has it: `init(params)` and `update(gradient, state, params)`."""

    @property
    def init(self) -> Callable[..., Any]: ...

    @property
    def update(self) -> Callable[..., Any]: ...


class Transformed(Rule):
    """The place plus the update that a transformation makes of the gradient, which is minus the force.

    Args:
        transformation: such as `optax.adam(1e-3)`; masks and labels go by names of blocks.
    """

    name = "optax"
    on_weights = True
    is_plain = False
    own_rate = True

    def __init__(self, transformation: GradientTransformation) -> None:
        self.transformation = transformation
        parameters = inspect.signature(transformation.update).parameters.values()
        self.takes_more = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        raise TypeError("a transformation updates all blocks at once.")

    def begun(self, place: Blocks, force: Blocks) -> PyTree:
        return self.transformation.init(dict(place))

    def advance(
        self,
        memory: PyTree,
        place: Blocks,
        force: Blocks,
        field: Callable[[Blocks], Blocks],
        step: Scalar,
        objective: Callable[[Blocks], Number] | None = None,
    ) -> tuple[PyTree, Blocks]:
        gradient = {w: -f for w, f in force.items()}
        more: dict[str, Any] = {}
        if self.takes_more and objective is not None:
            # Line searches ask for it; where it is not used, the compiler leaves it out.
            more = {"value": objective(place), "grad": gradient, "value_fn": objective}
        updates, memory = self.transformation.update(gradient, memory, dict(place), **more)
        return memory, {w: place[w] + updates[w] for w in place}

    def told(self, place: Blocks, objective: Callable[[Blocks], Number] | None) -> str:
        """What it is called in provenance, by the states that it keeps; one step is tried on shapes.

        Raises:
            LanguageError: if it does not make updates of gradients alone, or changes the form of its state.
        """
        try:
            memory = jax.eval_shape(self.begun, place, place)
            after, moved = jax.eval_shape(
                lambda m, z: self.advance(m, z, z, lambda other: other, jnp.ones(()), objective), memory, place
            )
            forms = [
                jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (memory, after, place, moved)
            ]
        except Exception as error:
            # Whatever a foreign function raises, it is no rule here.
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise LanguageError(
                f"`rule` must turn gradients of the blocks into updates, got one that fails ({why[:120]}); pass for"
                " example `optax.adam(1e-3)`."
            ) from None
        if forms[0] != forms[1] or forms[2] != forms[3]:
            what = "its state" if forms[0] != forms[1] else "the blocks"
            raise LanguageError(
                f"`rule` must keep the shapes and types of {what}, got one that changes them; pass for example"
                " `optax.adam(1e-3)`."
            )
        states = jax.tree.leaves(memory, is_leaf=lambda part: hasattr(part, "_fields"))
        kinds = dict.fromkeys(name for state in states for name in _states(state))
        return f"{self.name}({', '.join(kinds)})"

    # Two of one transformation are the same to the compiler's cache.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transformed) and self.transformation == other.transformation

    def __hash__(self) -> int:
        return hash((type(self), self.transformation))


def _states(state: Any) -> list[str]:
    """The names of the named tuples that a state is made of, without those that hold nothing."""
    if not hasattr(state, "_fields"):
        return [name for part in state for name in _states(part)] if isinstance(state, tuple | list) else []
    inner = [name for part in state for name in _states(part)]
    return [type(state).__name__, *inner] if state else inner


def rule_of(rule: str | GradientTransformation) -> Rule:
    """The rule of a name, or of a transformation.

    Raises:
        UnknownName: for a name that is none.
    """
    return rules[rule]() if isinstance(rule, str) else Transformed(rule)


def word_of(rule: str | GradientTransformation, what: str) -> str:
    """The name of a rule whose every step is known.

    Raises:
        LanguageError: for a transformation, of which only its updates are.
    """
    if not isinstance(rule, str):
        known = ", ".join(name for name in rules if rules[name].on_weights)
        raise LanguageError(
            f"`rule` must be a rule of flowlab for {what}, got a transformation whose steps are not known as formulas;"
            f" use one of {known}."
        )
    return rule
