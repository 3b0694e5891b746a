"""What a user declares of the leaves of an expression: their roles and shapes, held against the expression."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

from flowlab.core.arguments import must_be, short, shown
from flowlab.core.errors import LanguageError, ShapeMismatch, UnknownName
from flowlab.core.registry import nearest
from flowlab.language.expr import NAME, Expr

Shape = tuple[int | str, ...]
Shapes = Mapping[str, Shape]
"""Declared shapes by name, with integers or names as dimensions."""


def roles_of(nodes: Sequence[Expr], declared: dict[str, Shape], roles: Mapping[str, str]) -> dict[str, str]:
    """The role of every leaf, in the order in which the network meets them from the input on: W1 before W2.

    Args:
        nodes: operands before the nodes that use them.
        declared: shapes by name; those that leaves bring are entered.
        roles: what is declared beside the expression.

    Raises:
        LanguageError: without weights, for two roles of one name, or a shape that is none.
        UnknownName: for a name that the expression does not have.
        ShapeMismatch: for two shapes of one name.
    """
    # Leaves in the order in which the network meets them from the input on: W1 before W2.
    found: dict[str, str] = {}
    for node in nodes:
        for arg in (*node.args, node):
            role = arg.role
            if role is not None and found.setdefault(arg.params[0], role) != role:
                told = f"`{arg.leaf}` must have one role, got {found[arg.params[0]]} and {role}"
                raise LanguageError(f"{told}; rename one of them.")
    weights = tuple(name for name, role in found.items() if role == "weight")
    if not weights:
        raise LanguageError("a network needs a weight block besides the input `x`; write for example 'W @ x'.")
    for what, names in (("inputs", roles), ("shapes", declared)):
        odd = next((name for name in names if name not in found), None)
        if odd is not None:
            what = "frozen` or `constants" if roles.get(odd) == "constant" else what
            guess = nearest(odd, list(found))
            told = f"`{what}` names `{shown(odd)}`, which the network does not have"
            raise UnknownName(f"{told}; did you mean `{guess or weights[0]}`?")
    for name, role in roles.items():
        if found[name] != role:
            raise LanguageError(
                f"`{name}` must have one role, got {found[name]} and {role}; write `fl.{role}({name!r})`."
            )
    for node in nodes:
        name = node.leaf
        if name is not None and node.params[1] is not None:
            given = declared_shapes({name: node.params[1]})[name]
            if declared.setdefault(name, given) != given:
                told = f"the block `{name}` is declared with the shapes {shown(declared[name])} and {shown(given)}"
                raise ShapeMismatch(f"{told}; declare it once.")
    for name, shape in declared.items():
        fits = (NAME.match(d) if isinstance(d, str) else type(d) is int and d > 0 for d in shape)
        if not all(fits):
            told = f"`shapes[{name!r}] = {short(shape)}` is no shape"
            raise LanguageError(f"{told}; use positive integers or names.")
    return found


def without_input(names: Sequence[str]) -> str:
    """What is wrong with a network that has no input, and what to do."""
    read = shown(", ".join(f"`{name}`" for name in names), 120)
    told = f"a network with labels has an input, which is named `x`, but the expression has only {read}"
    return f'{told}; write `x`, name others by `inputs`, or make it one number for the loss "value".'


def declared_roles(
    inputs: Shapes | Sequence[str],
    constants: Shapes | Sequence[str],
    frozen: Shapes | Sequence[str],
    declared: dict[str, Shape],
) -> dict[str, str]:
    """The roles of leaves as a user declares them; shapes that come with them are entered in `declared`.

    Raises:
        LanguageError: for two roles of one name.
    """
    roles: dict[str, str] = {}
    for role, what, given in (
        ("input", "inputs", inputs),
        ("constant", "constants", constants),
        ("constant", "frozen", frozen),
    ):
        for name, shape in leaves(what, given).items():
            if roles.setdefault(name, role) != role:
                raise LanguageError(f"`{shown(name)}` must be an input or a constant, got both; name it once.")
            if shape is not None:
                declared |= declared_shapes({name: shape}, what)
    return roles


def known_names(what: str, names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Some of the known names, in their order.

    Raises:
        UnknownName: for one that is not known, with the nearest; LanguageError: for a text in place of a list.
    """
    known = tuple(known)
    if isinstance(names, str):
        raise must_be(what, names, "a list of names", f'for example ["{known[0]}"]')
    odd = next((name for name in names if name not in known), None)
    if odd is not None:
        told = f"`{what}` names `{shown(odd)}`, which the network does not have"
        raise UnknownName(f"{told}; did you mean `{nearest(str(odd), known) or known[0]}`?")
    return tuple(name for name in known if name in names)


def leaves(what: str, given: Any) -> dict[str, tuple[int | str, ...] | None]:
    """Names with shapes or without, as a user lists them."""
    if isinstance(given, str):
        given = (given,)
    if not isinstance(given, Mapping | Sequence) or not all(isinstance(name, str) for name in given):
        raise LanguageError(f"`{what}` must be names or shapes by name, got {short(given)}; write {{'X': ('t', 'd')}}.")
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)


def declared_shapes(shapes: Any, what: str = "shapes") -> dict[str, tuple[int | str, ...]]:
    """Declared shapes with plain integers."""
    if shapes is not None and not isinstance(shapes, Mapping):
        raise LanguageError(f"`{what}={short(shapes)}` is no table of shapes; write {{'W1': (16, 4)}}.")
    out: dict[str, tuple[int | str, ...]] = {}
    for name, shape in (shapes or {}).items():
        if not isinstance(shape, tuple | list):
            where = f"`{what}[{short(name)}] = {short(shape)}`"
            raise LanguageError(f"{where} is no shape; use a tuple of positive integers or names.")
        out[name] = tuple(int(d) if isinstance(d, Integral) and not isinstance(d, bool) else d for d in shape)
    return out
