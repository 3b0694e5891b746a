"""The derivation itself: from the objective to the rates of one generic block, step by step."""

from dataclasses import replace

import sympy as sp

from flowlab.core.errors import LanguageError
from flowlab.language.problem import Problem
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.book import Book, Vec, s_text
from flowlab.symbolic.names import labels, symbol
from flowlab.symbolic.players import record_players, record_space
from flowlab.symbolic.prose import network_tex, network_text, prose
from flowlab.symbolic.scalars import SYMBOLS

_LISTED = 6
"""Scalings of an opaque function that are named in print."""


def derive_equations(problem: Problem) -> tuple[Book, tuple[Equation, ...]]:
    """The equations of every norm and direction, with the book of their derivation.

    Block k is generic: the derivation is made once with symbols ρ_k, κ_k and then read off for every block, so its
    length does not depend on depth.

    Raises:
        LanguageError: for weight decay or learning rates that differ between blocks of one norm.
    """
    polar = problem.coordinates == "polar"
    _check_decay(problem)
    book = Book(
        homogeneous=polar and problem.is_homogeneous,
        unit=not problem.scheme.any_length,
        binary=problem.loss.has_one_output,
        decayed=any(problem.decay.values()),
        value=problem.loss.is_value,
    )
    _objective(problem, book)
    if not problem.network.is_gradient:
        _coarse(book)
    _chain_rule(book)
    if problem.is_rated:
        _learning_rates(book)
    if problem.moved_by_force:
        record_players(problem, book)
    for w, space in problem.geometry.items():
        record_space(problem, book, w, space)
    if not polar:
        rate = book.velocity
        if problem.moved_by_force:
            if len(problem.geometry) < len(problem.network.weights):
                book.record("flow", "other blocks follow their force", "dW_k/dt = F_k", r"\dot W_k = F_k")
        else:
            book.record(
                "gradient flow",
                "weights follow the negative gradient",
                f"dW_k/dt = {_paced(book, _weights_text(book, False), False)}",
                rf"\dot W_k = {_paced(book, _weights_text(book, True), True)}",
            )
        return book, tuple(
            Equation(w, problem.network.symmetry.degree(w), None, int(problem.sign(w)) * rate.G, rate.V, w)
            for w in problem.groups
        )
    if book.homogeneous:
        _homogeneity(problem, book)
    else:
        _no_homogeneity(problem, book)
    rho_rate, V_rate = problem.scheme.symbolic(book)
    return book, tuple(
        Equation(group, kappa if book.homogeneous else None, sp.expand(rho_rate), V_rate.G, V_rate.V, group)
        for group, kappa in problem.degrees.items()
    )


def _check_decay(problem: Problem) -> None:
    if problem.coordinates == "weights":
        return
    for group, members in problem.groups.items():
        for what, given in (("decay", problem.decay), ("rates", problem.rates)):
            if len({given[w] for w in members}) > 1:
                raise LanguageError(
                    f"`{what}` differs between the blocks of one norm (`{group}`); give all of them one, or use"
                    ' per="layer".'
                )


def _objective(problem: Problem, book: Book) -> None:
    loss = problem.loss.name.replace("_", "-")
    mean = problem.reduction == "mean"
    tail = (" + sum_k omega_k |W_k|^2", r" + \sum_k \omega_k \lVert W_k\rVert^2") if book.decayed else ("", "")
    if book.value:
        _value(problem, book, tail)
        return
    head = ("(1/N) sum_n", r"\tfrac1N\sum_n") if mean else ("sum_n", r"\sum_n")
    over = "averaged over samples" if mean else "summed over samples"
    book.record(
        "objective",
        f"the {loss} loss of f = {network_text(problem)}, {over}",
        f"L(W) = {head[0]} l(f(W; x_n), y_n){tail[0]}",
        rf"L(W) = {head[1]} \ell(f(W;x_n), y_n){tail[1]}",
        f"the {loss} loss of $f(W;x) = {network_tex(problem)}$, {over}",
    )
    if problem.network.is_opaque:
        _called(problem, book)
    by = ("/N", r"\tfrac1N") if mean else ("", "")
    if book.binary:
        book.record(
            "definition",
            "labels are $+-1$ and the loss depends on the margin $q_n = y_n f(W; x_n)$ alone; $psi_n$ is the pull of"
            " sample $n$ on it",
            f"q_n = y_n f(W; x_n),  psi_n = -l'(q_n){by[0]}",
            rf"q_n = y_n f(W;x_n), \qquad \psi_n = -{by[1]}\,\ell'(q_n)",
        )
    else:
        book.record(
            "definition",
            "the outputs of sample $n$ and its pull on them",
            f"f_n = f(W; x_n),  psi_n = -(dl/df)(f_n, y_n){by[0]}",
            rf"f_n = f(W;x_n), \qquad \psi_n = -{by[1]}\,\nabla_f\,\ell(f_n, y_n)",
        )


def _value(problem: Problem, book: Book, tail: tuple[str, str]) -> None:
    # An objective that is no sum over samples has nothing that stands for a sample's pull.
    book.record(
        "objective",
        f"the value of f = {network_text(problem)} itself",
        f"L(W) = f(W){tail[0]}",
        rf"L(W) = f(W){tail[1]}",
        f"the value of $f(W) = {network_tex(problem)}$ itself",
    )


def _called(problem: Problem, book: Book) -> None:
    # What is known of a function that is not read, and how.
    kinks = (
        "its slope jumps: kinks are stepped over, not followed"
        if problem.network.jumps
        else "no kink was found; one that it has is stepped over, not followed"
    )
    symmetry = problem.network.symmetry
    shown = [
        ", ".join(f"{block} by c^{e}" if e.denominator == 1 else f"{block} by c^({e})" for block, e in scaling.items())
        for scaling in symmetry.scalings[:_LISTED]
    ]
    scalings = f"{', or '.join(shown)}{', or others' if len(symmetry.scalings) > _LISTED else ''}" if shown else "none"
    if symmetry.is_multihomogeneous:
        growth = "every block scales alone"
    elif symmetry.joint_degree is not None:
        growth = f"blocks scale together with degree {symmetry.joint_degree}, so norms of blocks need not grow alike"
    else:
        growth = f"blocks do not all scale, so norms need not grow alike; what scales is: {scalings}"
    how = "its derivative is jax.vjp, its scalings are found by trial and not proved"
    book.record(
        "opaque function",
        f"$f$ is called, not read: {how}; {growth}; {kinks}",
        "df(W; x_n)/dW_k = jax.vjp(f)",
        r"\frac{\partial f(W;x_n)}{\partial W_k} = \texttt{jax.vjp}(f)",
    )


def _weights_text(book: Book, tex: bool) -> str:
    at_w = replace(book, homogeneous=False, rated=False)
    pull = at_w.show(Vec(sp.Integer(1), sp.Integer(0)), tex)
    return pull + ((r" - 2\omega_k W_k" if tex else " - 2 omega_k W_k") if book.decayed else "")


def _coarse(book: Book) -> None:
    # What stands where derivatives are written from here on.
    book.record(
        "coarse gradient",
        "`coarse` and `stop` have slopes of their own, which the chain rule takes for theirs: what d/dW_k stands for "
        "is the gradient of no function, so that neither Euler's identity nor conservation laws hold",
        "d coarse(a, b)/db = 1,  d coarse(a, b)/da = 0,  d stop(a)/da = 0",
        r"\frac{\partial \operatorname{coarse}(a, b)}{\partial b} = 1, \quad "
        r"\frac{\partial \operatorname{coarse}(a, b)}{\partial a} = 0, \quad "
        r"\frac{\partial \operatorname{stop}(a)}{\partial a} = 0",
    )


def _chain_rule(book: Book) -> None:
    # The velocity as a combination of G_k (taken at W for now) and W_k.
    book.record(
        "chain rule",
        "differentiate the objective along $W_k$",
        f"-dL/dW_k = {_weights_text(book, False)}",
        rf"-\frac{{\partial L}}{{\partial W_k}} = {_weights_text(book, True)}",
    )
    book.velocity = Vec(sp.Integer(1), -2 * SYMBOLS["omega_k"] if book.decayed else sp.Integer(0))


def _learning_rates(book: Book) -> None:
    """From here on the velocity has the block's own rate as a factor."""
    book.rated = True
    eta = SYMBOLS["eta_k"]
    book.record(
        "learning rates",
        "block $k$ moves $eta_k$ times as fast as its gradient asks for",
        f"-dL/dW_k = {_paced(book, _weights_text(book, False), False)}",
        rf"-\frac{{\partial L}}{{\partial W_k}} = {_paced(book, _weights_text(book, True), True)}",
    )
    book.velocity = Vec(eta * book.velocity.G, eta * book.velocity.V)


def _paced(book: Book, text: str, tex: bool) -> str:
    """A velocity as it is printed, with its learning rate if there is one."""
    if not book.rated:
        return text
    eta = r"\eta_k\, " if tex else "eta_k "
    if book.value and not book.decayed:
        return f"-{eta}{text.removeprefix('-')}"
    return eta + (f"({text})" if book.decayed and not tex else rf"\bigl({text}\bigr)" if book.decayed else text)


def _gradient_at_directions(book: Book, factor: sp.Expr) -> None:
    """From here on the directions enter through f̄_n = f(V; x_n), times the label where q_n stands."""
    at_w, bar = replace(book, homogeneous=False).sample, book.sample
    fold, what = ("y_n ", "margin") if book.binary else ("", "output")
    what, at = ("objective", "") if book.value else (f"{what} of sample $n$", "; x_n")
    book.record(
        "definition",
        f"the {what} at the directions, so that ${at_w[0]} = R {bar[0]}$ and $d{at_w[0]}/dW_k ="
        f" ({factor}) d{bar[0]}/dV_k$",
        f"{bar[0]} = {fold}f(V{at})",
        rf"{bar[1]} = {fold}f(V{at.replace(' ', '')})",
    )
    _polar_point(book, factor)
    rate = Vec(book.velocity.G, sp.Integer(0))
    eta = ("eta_k ", r"\eta_k") if book.rated else ("", "")
    tail = ("", "") if not book.decayed else (f" - 2 {eta[0]}omega_k rho_k V_k", rf" - 2{eta[1]}\omega_k\rho_k V_k")
    book.record(
        "gradient at the polar point",
        f"insert $d{at_w[0]}/dW_k$" + (" and $W_k = rho_k V_k$" if book.decayed else "") + " into the chain rule",
        f"-dL/dW_k = {book.show(rate, False)}{tail[0]}",
        rf"-\frac{{\partial L}}{{\partial W_k}} = {book.show(rate, True)}{tail[1]}",
    )


def _polar_point(book: Book, pull: sp.Expr) -> None:
    # W_k = ρ_k V_k in the decay term; the pull of the samples gets its own factor.
    book.velocity = Vec(pull * book.velocity.G, book.velocity.V * book.rho)


def _homogeneity(problem: Problem, book: Book) -> None:
    kappa, c = SYMBOLS["kappa_k"], sp.Symbol("c", positive=True)
    how = "multiplies every node by a power of $c$; the relations of all nodes are solved"
    if problem.network.is_opaque:
        how = "multiplies $f$ by a power of $c$ at all states that were tried"
    x = ("", "") if book.value else ("; x", ";x")
    why = f"scaling block $k$ by $c > 0$ {how}: "
    count = f"{len(problem.degrees)} degrees"
    short = len(problem.degrees) <= 12
    # Names are set here: a block may be called `rho`, or end with an underscore.
    named = labels(problem)
    text = ", ".join(f"kappa({named.text.get(g, g)}) = {k}" for g, k in problem.degrees.items()) if short else count
    told = (rf"$\kappa({named.tex.get(g, symbol(g))}) = {k}$" for g, k in problem.degrees.items())
    tex = ", ".join(told) if short else count
    book.record(
        "scaling degrees",
        why + text,
        f"f(..., c W_k, ...{x[0]}) = c^kappa_k f(W{x[0]})",
        rf"f(\dots, cW_k, \dots{x[0]}) = c^{{\kappa_k}} f(W{x[1]})",
        prose(why) + tex,
    )
    book.record(
        "product of norms",
        "scale every block from $V_k$ to $W_k = rho_k V_k$ in turn",
        f"f(W{x[0]}) = R f(V{x[0]}),  R = prod_k rho_k^kappa_k",
        rf"f(W{x[1]}) = R\, f(V{x[1]}), \qquad R = \prod_k \rho_k^{{\kappa_k}}",
    )
    inner, outer = sp.Symbol("dfdW"), sp.Symbol("dfdV")
    # ∂/∂V_k of f(ρV) = R f(V): ρ_k ∂f/∂W_k = R ∂f/∂V_k, solved for ∂f/∂W_k.
    factor = sp.solve(sp.Eq(book.rho * inner, SYMBOLS["R"] * outer), inner)[0].coeff(outer)
    book.record(
        "derivative at the polar point",
        "differentiate $f(rho V) = R f(V)$ with respect to $V_k$: $rho_k df/dW_k = R df/dV_k$",
        f"df/dW_k = ({factor}) df/dV_k",
        rf"\frac{{\partial f}}{{\partial W_k}} = {sp.latex(factor)}\,\frac{{\partial f}}{{\partial V_k}}",
    )
    _gradient_at_directions(book, factor)
    # Both sides of f(…, cV_k, …) = c^κ f at c = 1.
    slope = sp.diff(c**kappa, c).subs(c, 1)
    book.euler = slope * SYMBOLS["s"]
    f = book.sample
    book.record(
        "Euler identity",
        "differentiate $f(..., c V_k, ...) = c^kappa_k f(V)$ in $c$ at $c = 1$",
        f"<V_k, d{f[0]}/dV_k> = {slope} {f[0]}",
        rf"\Bigl\langle V_k, \frac{{\partial {f[1]}}}{{\partial V_k}}\Bigr\rangle = {sp.latex(slope)}\,{f[1]}",
    )
    book.record(
        "definition",
        "what Euler's identity leaves of the objective"
        if book.value
        else "the sum over samples that Euler's identity leaves",
        f"s = {s_text(book, False)}",
        f"s = {s_text(book, True)}",
    )


def _no_homogeneity(problem: Problem, book: Book) -> None:
    symmetry = problem.network.symmetry
    if problem.per == "neuron":
        why = "one neuron scaled alone does not scale the output, so no product of norms can be taken out"
    else:
        why = (
            f"the network is {symmetry.kind}"
            + (f": {symmetry.breaks[0]}" if symmetry.breaks else "")
            + "; no product of norms can be taken out"
        )
    pull = Vec(sp.Integer(1), sp.Integer(0))
    book.record(
        "no scaling degree",
        why,
        f"G_k = {book.show(pull, False)},  at W = rho V",
        rf"G_k = {book.show(pull, True)} \Big|_{{W=\rho V}}",
    )
    _polar_point(book, sp.Integer(1))
