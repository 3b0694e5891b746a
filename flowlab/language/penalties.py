"""Penalties on weights, as functions of expressions: terms of an objective that is itself the loss, `"value"`.

Weight decay is `decay`, beside any loss and in any coordinates. Whatever else shrinks weights is written into the
objective, `"sum((X @ b - t)**2) + 0.1 * l1_penalty(b)"`, and is derived, printed and certified like the rest of it.
"""

from flowlab.core.arguments import must_be
from flowlab.core.errors import LanguageError
from flowlab.language.calls import apply
from flowlab.language.exact_numbers import Number, exact
from flowlab.language.expr import Expr
from flowlab.language.operations.base import composed


@composed.register("l1_penalty")
def l1_penalty(W: Expr) -> Expr:
    """The sum of the sizes of all entries; its kinks at 0 are followed, so that entries come to rest there.

    Examples:
        >>> net = fl.Network("l1_penalty(b)")
        >>> float(net.outputs({"b": np.array([3.0, -4.0])}, {}).ravel()[0])
        7.0
        >>> net = fl.Network("sum((X @ b - t)**2) / 2 + 0.1 * l1_penalty(b)", constants=["X", "t"])
        >>> flow = fl.derive(fl.Problem(net, "value"))
    """
    return apply("sum", _sizes(W))


@composed.register("lp_penalty")
def lp_penalty(W: Expr, p: Number) -> Expr:
    """The sum of the sizes of all entries to a power p above 1.

    Examples:
        >>> net = fl.Network("lp_penalty(W, 1.5)")
        >>> float(net.outputs({"W": np.array([[4.0, -1.0]])}, {}).ravel()[0])
        9.0
    """
    if exact(p) <= 1:
        raise must_be("p", p, "a number above 1", "for example 1.5, or use `l1_penalty`")
    return apply("sum", _sizes(W) ** exact(p))


@composed.register("group_penalty")
def group_penalty(W: Expr) -> Expr:
    """The sum of the norms along the last axis: of the rows of a matrix, or of a vector as a whole.

    Its slope does not exist where a row is 0: a flow that comes there ends early, and says so.

    Examples:
        >>> net = fl.Network("group_penalty(W)")
        >>> float(net.outputs({"W": np.array([[3.0, 4.0], [0.0, 1.0]])}, {}).ravel()[0])
        6.0
    """
    # Of a vector there is one norm, which `flatten` makes a vector of again.
    return apply("sum", apply("flatten", apply("sum", W * W, axis=-1) ** exact(0.5)))


@composed.register("path_penalty")
def path_penalty(*layers: Expr) -> Expr:
    """The sum over all paths of the sizes of their products, layers from the last to the first (Neyshabur et al. 2015).

    Examples:
        >>> net = fl.Network("path_penalty(W2, W1)")
        >>> float(net.outputs({"W2": np.array([[1.0, -1.0]]), "W1": np.array([[2.0], [-3.0]])}, {}).ravel()[0])
        5.0
    """
    if len(layers) < 2:
        raise LanguageError("`path_penalty` must have two layers or more, got fewer; use `l1_penalty` for one.")
    made = _sizes(layers[0])
    for layer in layers[1:]:
        made = made @ _sizes(layer)
    return apply("sum", made)


def _sizes(W: Expr) -> Expr:
    return Expr("activation", (W,), ("abs",))
