"""Diagrams of networks: what stands in the boxes, where they lie, and that nothing lies on anything else."""

from itertools import combinations

import numpy as np
import pytest

import flowlab as fl


def boxes(of, **more):
    """Column, lane and what a box says, in the order of evaluation."""
    ds = fl.architecture(of, **more).dataset
    names = ("text", "after", "shape", "degree", "column", "lane")
    return [tuple(row) for row in zip(*(ds[name].values.tolist() for name in names), strict=True)]


def test_a_chain_says_shapes_functions_and_degrees():
    net = fl.Network("W2 @ relu(W1 @ x)**2")
    assert boxes(net) == [
        ("x", "", "d", "", 0, 0),
        ("W1", "relu\n**2", "h_W1 x d", "2", 1, 0),
        ("W2", "", "h_W2 x h_W1", "1", 2, 0),
    ]
    data = fl.Data([[1.0, 0.5, 0.1], [-1.0, 0.2, 0.3]], [1.0, -1.0])
    start = fl.initial_state(net, data, widths={"W1": 7}, seed=0)
    assert [box[2] for box in boxes(net, state=start)] == ["3", "7 x 3", "1 x 7"]
    walk = fl.descend(fl.Problem(net), start, data, step=1e-3, count=2)
    assert [box[2] for box in boxes(walk)] == ["3", "7 x 3", "1 x 7"]


def test_what_runs_beside_the_longest_path_has_a_lane_of_its_own():
    net = fl.Network("a @ (W0 @ x + W2 @ relu(W1 @ x))")
    assert [(box[0], box[4], box[5]) for box in boxes(net)] == [
        ("x", 0, 0),
        ("W0", 1, 1),
        ("W1", 1, 0),
        ("W2", 2, 0),
        ("+", 3, 0),
        ("a", 4, 0),
    ]
    skip = fl.architecture("W3 @ x" and fl.Network("W3 @ (x + W2 @ relu(W1 @ x))")).dataset
    lanes = dict(
        zip(zip(skip["edge_from"].values, skip["edge_to"].values, strict=True), skip["edge_lane"].values, strict=True)
    )
    assert lanes == {(0, 1): 0, (1, 2): 0, (2, 3): 0, (3, 4): 0, (0, 3): 1}


def test_a_call_that_is_composed_of_operations_is_one_box():
    settings = {"inputs": {"X": (1, 4, 4)}, "shapes": {"K": (2, 1, 3, 3)}}
    pooled = fl.Network("a @ flatten(max_pool(relu(conv(K, X, padding='same')), 2, axes=2))", **settings)
    assert [box[:2] for box in boxes(pooled)] == [
        ("X", ""),
        ("conv(K, ·, 1, 'same')", "relu\nmax_pool(·, 2, axes=2)"),
        ("flatten", ""),
        ("a", ""),
    ]
    assert [box[:2] for box in boxes(fl.Network("a @ layer_norm(W @ x)"))] == [
        ("x", ""),
        ("W", "layer_norm"),
        ("a", ""),
    ]
    # Each call is a box of its own, with all that it takes.
    twice = fl.architecture(fl.Network("maximum(maximum(A @ x, B @ x, C @ x), maximum(D @ x, b))")).dataset
    texts = twice["text"].values.tolist()
    assert sorted(texts) == sorted(["x", *"ABCD", "maximum(·, ·, ·)", "maximum(·, ·)\nb", "maximum(·, ·)"])
    assert twice["blocks"].values[texts.index("maximum(·, ·)\nb")] == "b"
    joined = {(texts[a], texts[b]) for a, b in zip(twice["edge_from"].values, twice["edge_to"].values, strict=True)}
    assert joined == {
        *(("x", name) for name in "ABCD"),
        *((name, "maximum(·, ·, ·)") for name in "ABC"),
        ("D", "maximum(·, ·)\nb"),
        ("maximum(·, ·, ·)", "maximum(·, ·)"),
        ("maximum(·, ·)\nb", "maximum(·, ·)"),
    }
    # What is written by hand stays what it is.
    assert len(boxes(fl.Network("B @ x + relu(A @ x - B @ x)"))) > 4


def test_long_operations_have_several_lines_and_names_are_formulas():
    net = fl.Network(
        "sum(einsum('htk,hkv->htv', softmax(einsum('htd,hsd->hts', einsum('td,hde->hte', X, Q1),"
        " einsum('td,hde->hte', X, e))), einsum('td,hde->hte', X, V)))",
        inputs={"X": ("t", "d")},
        shapes={"Q1": (2, 3, 2)},
    )
    drawn = fl.draw("architecture", net)
    labels = [c.label for c in drawn.curves if c.look in ("block", "operation", "input")]
    assert any(label.startswith(r"einsum('td,hde$\rightarrow$hte', | $\cdot$, $Q_{1}$)") for label in labels)
    assert any(label.startswith(r"einsum('td,hde$\rightarrow$hte', | $\cdot$, $e$)") for label in labels)
    assert not any("..." in label for label in labels)
    assert crossed(drawn) == []


def test_laws_tie_the_blocks_that_they_are_about():
    flow = fl.derive(fl.Problem("W3 @ relu(W2 @ relu(W1 @ x))", "logistic"))
    ds = fl.architecture(flow).dataset
    assert ds.sizes["law"] == len(flow.conserved) == 4
    told = ds["blocks"].values[ds["tie_box"].values].reshape(-1, 2).tolist()
    assert told == [list(law.blocks) for law in flow.conserved]
    drawn = fl.draw("architecture", flow)
    assert sorted({c.label for c in drawn.curves if c.look == "bracket"}) == ["1, 3", "2, 4"]
    # A problem alone has no derived laws.
    assert fl.architecture(flow.problem).dataset.sizes["law"] == 0
    assert not [c for c in fl.draw("architecture", flow.problem).curves if c.look == "bracket"]


def residual(count):
    net = fl.weight("W0") @ fl.x
    for i in range(count):
        net = net + fl.weight(f"B{i}") @ fl.relu(fl.weight(f"A{i}") @ net)
    return fl.Network(fl.weight("a") @ net)


def deep(count):
    text = "x"
    for i in range(1, count + 1):
        text = f"W{i} @ relu({text})" if i > 1 else "W1 @ x"
    return text


def nested():
    w, x = fl.weight, fl.x
    first = fl.relu(w("W1") @ x)
    second = fl.relu(w("W2") @ first + w("U2") @ x)
    return fl.Network(w("a") @ fl.relu(w("W3") @ second + w("U3") @ first + w("V3") @ x))


def overlap(a, b):
    """Whether two rectangles (x, y, x_to, y_to) share an inner point."""
    return a[0] < b[2] - 1e-9 and b[0] < a[2] - 1e-9 and a[1] < b[3] - 1e-9 and b[1] < a[3] - 1e-9


def crossed(drawn):
    """Boxes that overlap another box, a label beyond its box or page, or a connection that runs over a box."""
    found = []
    page = next(c for c in drawn.curves if c.look == "page")
    rectangles = [
        (float(c.x[0]), float(c.y[0]), float(c.x_to[0]), float(c.y_to[0]))
        for c in drawn.curves
        if c.look in ("block", "input", "operation")
    ]
    found += ["boxes"] * sum(overlap(a, b) for a, b in combinations(rectangles, 2))
    found += ["page"] * sum(
        not (a[0] >= 0 and a[1] >= 0 and a[2] <= page.x[1] and a[3] <= page.y[1]) for a in rectangles
    )
    for c in drawn.curves:
        if c.look in ("arrow", "line"):
            for x, y, x_to, y_to in zip(c.x[:-1], c.y[:-1], c.x[1:], c.y[1:], strict=True):
                points = np.linspace([x, y], [x_to, y_to], 60)[1:-1]
                inside = [
                    (a[0] + 1e-6 < points[:, 0])
                    & (points[:, 0] < a[2] - 1e-6)
                    & (a[1] < points[:, 1])
                    & (points[:, 1] < a[3])
                    for a in rectangles
                ]
                found += ["connection"] * int(np.any(inside))
    canvas = drawn.canvas
    renderer = canvas.canvas.get_renderer() if hasattr(canvas.canvas, "get_renderer") else None
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = renderer or FigureCanvasAgg(canvas).get_renderer()
    (ax,) = canvas.axes
    to_inches = ax.transData.inverted()
    for text in ax.texts:
        where = to_inches.transform_bbox(text.get_window_extent(renderer))
        inside = (
            where.x0 >= -0.02 and where.x1 <= page.x[1] + 0.02 and where.y0 >= -0.02 and where.y1 <= page.y[1] + 0.02
        )
        found += [] if inside else [f"text {text.get_text()}"]
        home = [
            a for a in rectangles if a[0] < (where.x0 + where.x1) / 2 < a[2] and a[1] < (where.y0 + where.y1) / 2 < a[3]
        ]
        found += [f"label {text.get_text()}" for a in home if where.x0 < a[0] - 0.01 or where.x1 > a[2] + 0.01]
        found += [f"size {text.get_text()}"] if text.get_fontsize() < 7 else []
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    "made",
    [
        lambda: fl.derive(fl.Problem("W2 @ relu(W1 @ x)")),
        lambda: fl.derive(fl.Problem("a @ relu(W @ x)", "logistic", scheme="weight_normalization")),
        lambda: fl.derive(fl.Problem(deep(6))),
        lambda: fl.Network(deep(12)),
        lambda: residual(3),
        lambda: residual(5),
        nested,
        lambda: fl.Network("W3 @ relu(W2 @ relu(W1 @ x + b1) + b2) + c"),
        lambda: fl.Network("sum((W1 @ x) * (2 * (W2 @ x))) + (0.5 * (u * tanh(a @ relu(W3 @ x)**2)))"),
        lambda: fl.Network("Long_name_of_a_block @ relu(Another_long_name_WWWWWW @ x)"),
    ],
)
def test_nothing_lies_on_anything_else(made, tmp_path):
    drawn = fl.draw("architecture", made())
    assert crossed(drawn) == []
    assert drawn.save(tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_what_lies_on_something_is_noticed():
    drawn = fl.draw("architecture", nested())
    first, second = [c for c in drawn.curves if c.look == "block"][:2]
    second.x, second.x_to, second.y, second.y_to = first.x + 0.01, first.x_to, first.y, first.y_to
    assert "boxes" in crossed(drawn)
    drawn = fl.draw("architecture", nested())
    block = next(c for c in drawn.curves if c.look == "block")
    wire = next(c for c in drawn.curves if c.look == "arrow")
    wire.y = wire.y * 0 + (block.y[0] + block.y_to[0]) / 2
    wire.x = np.linspace(0.0, drawn.curves[0].x[1], len(wire.x))
    assert "connection" in crossed(drawn)
    drawn = fl.draw("architecture", nested())
    for text in drawn.canvas.axes[0].texts[:2]:
        text.set_text("much longer than its box is wide")
        text.set_fontsize(6)
    assert {found.split()[0] for found in crossed(drawn)} == {"label", "size"}


def test_other_things_are_refused():
    data = fl.Data([[1.0], [-1.0]], [1.0, -1.0])
    for wrong in (data, "W @ x", 3, None):
        with pytest.raises(fl.LanguageError, match="must be"):
            fl.architecture(wrong)
    with pytest.raises(fl.LanguageError, match="one by one"):
        fl.draw("architecture", fl.Network("W @ x"), fl.Network("V @ x"))
    with pytest.raises(fl.LanguageError, match="must be drawn from a trajectory"):
        fl.draw("loss", fl.Network("W @ x"))
    with pytest.raises(fl.TooLarge, match="a diagram shows 200"):
        fl.architecture(fl.Network(" + ".join(f"W{i} @ x" for i in range(150))))


def test_a_diagram_is_stored(tmp_path):
    found = fl.architecture(fl.derive(fl.Problem("W2 @ W1 @ x")))
    (back,) = fl.results(fl.save(found, tmp_path / "net.nc"))
    assert back.kind == "architecture"
    a, b = (fl.draw("architecture", each).table() for each in (found, back))
    assert a == b
    alone = fl.architecture(fl.Network("W @ x"))
    assert fl.draw("architecture", fl.Result.load(alone.save(tmp_path / "one.nc"))).curves


def test_laws_within_one_column_have_brackets_of_their_own():
    net = fl.Network("a @ ((W0 + B @ A) @ x + relu((W1 + D @ C) @ x))", frozen=["W0", "W1"], shapes={"A": ("r", "d")})
    drawn = fl.draw("architecture", fl.derive(fl.Problem(net, "square")))
    brackets = [c for c in drawn.curves if c.look == "bracket"]
    assert sorted(c.label for c in brackets) == ["1", "2"]
    assert len({(*c.x, *c.y) for c in brackets}) == 2
    assert all(c.x[0] <= c.x[-1] for c in brackets)


def test_signs_and_ones_are_set_as_formulas(tmp_path):
    """The text font has no arrow, mathtext takes ones in brackets alone, and sums need room for their indices."""
    net = fl.Network(
        "einsum('e,eh,ehd,d->', softmax(G @ x), A, B, x)", shapes={"G": (2, 2), "A": (2, 1), "B": (2, 1, 2)}
    )
    drawn = fl.draw("architecture", fl.derive(fl.Problem(net, "square")))
    assert any(r"$\rightarrow$" in c.label for c in drawn.curves if c.look == "block")
    told = [c for c in drawn.curves if c.look == "text"]
    assert all("$" in c.label for c in told)
    assert any(r"\mathbf{1}" in c.label for c in told)
    assert any(r"\sum" in c.label for c in told)
    rows = sorted({float(c.y[0]) for c in told})
    assert min(np.diff(rows)) > 0.25
    drawn.save(tmp_path / "net.png")


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("einsum('N->', (W @ X[0]) @ (W @ X[1])) + sum(W * W)", {"inputs": {"X": (2, 3)}}),
        ("sum((M * (U @ V.T))**2)", {"constants": ["M"], "shapes": {"U": (3, "r")}}),
    ],
)
def test_an_objective_is_drawn_as_a_network_is(text, settings):
    found = fl.architecture(fl.Network(text, **settings))
    assert found.dataset.sizes["box"] >= 2
    assert fl.draw("architecture", found).curves
