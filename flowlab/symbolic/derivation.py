"""The derivation itself: from the objective to the rates of one generic block, step by step."""

import sympy as sp

from flowlab.core.errors import LanguageError
from flowlab.language.problem import Problem
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.book import Book, Vec, s_text
from flowlab.symbolic.names import labels, symbol
from flowlab.symbolic.prose import network_tex, network_text, prose
from flowlab.symbolic.scalars import SYMBOLS


def derive_equations(problem: Problem) -> tuple[Book, tuple[Equation, ...]]:
    """The equations of every norm and direction, with the book of their derivation.

    Block k is generic: the derivation is made once with symbols ρ_k, κ_k and then read off for every block, so its
    length does not depend on depth.

    Raises:
        LanguageError: for weight decay that differs between blocks of one norm.
    """
    polar = problem.coordinates == "polar"
    _check_decay(problem)
    book = Book(
        homogeneous=polar and problem.is_homogeneous,
        unit=not problem.scheme.any_length,
        binary=problem.loss.has_one_output,
        decayed=any(problem.decay.values()),
    )
    _objective(problem, book)
    _chain_rule(book)
    if not polar:
        rate = book.velocity
        book.record(
            "gradient flow",
            "weights follow the negative gradient",
            f"dW_k/dt = {_weights_text(book, False)}",
            rf"\dot W_k = {_weights_text(book, True)}",
        )
        return book, tuple(
            Equation(w, problem.network.symmetry.degree(w), None, rate.G, rate.V, w) for w in problem.groups
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
        if len({problem.decay[w] for w in members}) > 1:
            raise LanguageError(
                f'`decay` differs between the blocks of one norm (`{group}`); give one coefficient, or use per="layer".'
            )


def _objective(problem: Problem, book: Book) -> None:
    loss = problem.loss.name.replace("_", "-")
    mean = problem.reduction == "mean"
    tail = (" + sum_k omega_k |W_k|^2", r" + \sum_k \omega_k \lVert W_k\rVert^2") if book.decayed else ("", "")
    head = ("(1/N) sum_n", r"\tfrac1N\sum_n") if mean else ("sum_n", r"\sum_n")
    over = "averaged over samples" if mean else "summed over samples"
    book.record(
        "objective",
        f"the {loss} loss of f = {network_text(problem)}, {over}",
        f"L(W) = {head[0]} l(f(W; x_n), y_n){tail[0]}",
        rf"L(W) = {head[1]} \ell(f(W;x_n), y_n){tail[1]}",
        f"the {loss} loss of $f(W;x) = {network_tex(problem)}$, {over}",
    )
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


def _weights_text(book: Book, tex: bool) -> str:
    pull = book.show(Vec(sp.Integer(1), sp.Integer(0)), tex)
    return pull + ((r" - 2\omega_k W_k" if tex else " - 2 omega_k W_k") if book.decayed else "")


def _chain_rule(book: Book) -> None:
    # The velocity as a combination of G_k (taken at W for now) and W_k.
    at_w = Book(False, book.unit, book.binary, book.decayed)
    book.record(
        "chain rule",
        "differentiate the objective along $W_k$",
        f"-dL/dW_k = {_weights_text(at_w, False)}",
        rf"-\frac{{\partial L}}{{\partial W_k}} = {_weights_text(at_w, True)}",
    )
    book.velocity = Vec(sp.Integer(1), -2 * SYMBOLS["omega_k"] if book.decayed else sp.Integer(0))


def _gradient_at_directions(book: Book, factor: sp.Expr) -> None:
    """From here on the directions enter through f̄_n = f(V; x_n), times the label where q_n stands."""
    at_w, bar = Book(False, book.unit, book.binary, book.decayed).sample, book.sample
    fold, what = ("y_n ", "margin") if book.binary else ("", "output")
    book.record(
        "definition",
        f"the {what} of sample $n$ at the directions, so that ${at_w[0]} = R {bar[0]}$ and $d{at_w[0]}/dW_k ="
        f" ({factor}) d{bar[0]}/dV_k$",
        f"{bar[0]} = {fold}f(V; x_n)",
        rf"{bar[1]} = {fold}f(V;x_n)",
    )
    _polar_point(book, factor)
    rate = Vec(book.velocity.G, sp.Integer(0))
    tail = ("", "") if not book.decayed else (" - 2 omega_k rho_k V_k", r" - 2\omega_k\rho_k V_k")
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
    why = (
        "scaling block $k$ by $c > 0$ multiplies every node by a power of $c$; the relations of all nodes are solved: "
    )
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
        "f(..., c W_k, ...; x) = c^kappa_k f(W; x)",
        r"f(\dots, cW_k, \dots; x) = c^{\kappa_k} f(W;x)",
        prose(why) + tex,
    )
    book.record(
        "product of norms",
        "scale every block from $V_k$ to $W_k = rho_k V_k$ in turn",
        "f(W; x) = R f(V; x),  R = prod_k rho_k^kappa_k",
        r"f(W;x) = R\, f(V;x), \qquad R = \prod_k \rho_k^{\kappa_k}",
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
        "the sum over samples that Euler's identity leaves",
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
