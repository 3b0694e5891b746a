"""Players and geometries of a flow in its derivation: the steps that tell of them, and the lines of their blocks."""

from flowlab.language.geometries import Geometry
from flowlab.language.problem import Problem
from flowlab.symbolic.book import Book
from flowlab.symbolic.names import labels, symbol
from flowlab.symbolic.prose import prose


def record_players(problem: Problem, book: Book) -> None:
    """Which blocks go uphill."""
    known = labels(problem)
    if not problem.ascend:
        book.record(
            "force", "blocks are moved by their force", "F_k = -dL/dW_k", r"F_k = -\frac{\partial L}{\partial W_k}"
        )
        return
    up = ", ".join(f"${known.text.get(w, w)}$" for w in problem.ascend)
    does, has = ("ascend", "have") if len(problem.ascend) > 1 else ("ascends", "has")
    book.record(
        "players",
        f"{up} {does} the objective and {has} the force $dL/dW_k$; the other blocks descend it",
        "F_k = dL/dW_k for those that ascend, -dL/dW_k for the others",
        r"F_k = \pm\frac{\partial L}{\partial W_k}",
    )


def record_space(problem: Problem, book: Book, w: str, space: Geometry) -> None:
    """The metric of one block, and its chart."""
    known = labels(problem)
    text, tex = known.text.get(w, w), known.tex.get(w, symbol(w))
    sign = "" if w in problem.ascend else "-"
    eta = (f"eta_{text} ", rf"\eta_{{{tex}}}\, ") if book.rated else ("", "")
    force = (f"{sign}{eta[0]}dL/d{text}", rf"{sign}{eta[1]}\partial L/\partial {tex}")
    metric = [
        m.format(p=p, F=f"F_{i}") for m, p, i in zip(space.metric, (text, tex), (text, f"{{{tex}}}"), strict=True)
    ]
    at = [c.format(z=z) for c, z in zip(space.chart, (f"z_{text}", f"z_{{{tex}}}"), strict=True)]
    place = (f", {text} = {at[0]}", rf", \qquad {tex} = {at[1]}") if space.has_chart else ("", "")
    book.record(
        "geometry",
        f"${text}$ moves in {space.why}",
        f"d {text}/dt = {metric[0]}, F_{text} = {force[0]}{place[0]}",
        rf"\dot {{{tex}}} = {metric[1]}, \qquad F_{{{tex}}} = {force[1]}{place[1]}",
        f"${tex}$ moves in {prose(space.why)}",
    )


def space_lines(problem: Problem, block: str, force: str, rate_of: str, tex: bool) -> list[tuple[str, str]]:
    """The lines of a block with a geometry: its force, its rate, and the chart that it moves in."""
    space, known = problem.geometry[block], labels(problem)
    name = known.tex.get(block, symbol(block)) if tex else known.text.get(block, block)
    push, z = (f"F_{{{name}}}", f"z_{{{name}}}") if tex else (f"F_{name}", f"z_{name}")
    lines = [(push, force), (rate_of, space.metric[tex].format(p=name, F=push))]
    if not space.has_chart:
        return lines
    rate = space.chart_rate[tex].format(z=z, F=push)
    return [*lines, (name, space.chart[tex].format(z=z)), (rf"\dot {{{z}}}" if tex else f"d {z}/dt", rate)]
