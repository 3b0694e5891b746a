"""Rest points of flows, coarse ones among them, against what is known of them in closed form."""

import numpy as np
import pytest

import flowlab as fl

WELL = "0.25 * sum(w**4) - 0.5 * (w @ w)"


def test_a_double_well_in_the_plane():
    """Four minima, four saddles and a maximum, at signs and zeros; the spectrum is 1 - 3w^2."""
    flow = fl.derive(fl.Problem(fl.Network(WELL, shapes={"w": (2,)}), "value"))
    found = fl.rest_points(flow, starts=80, seed=0)
    places = sorted((round(float(p.value), 9), p.index) for p in found)
    assert places == [(-0.5, 0)] * 4 + [(-0.25, 1)] * 4 + [(0.0, 2)]
    for point in found:
        w = np.asarray(point.state.weights()["w"])
        assert np.allclose(np.abs(w), np.round(np.abs(w)), atol=1e-9)
        assert np.allclose(np.sort(point.eigenvalues.real), np.sort(1 - 3 * w**2), atol=1e-8)
        assert point.nullity == 0
        assert point.stable == (point.index == 0)
    assert sum(point.found for point in found) <= found.starts
    assert "starts came to rest" in str(found)


def test_a_field_that_turns_has_a_complex_spectrum():
    """coarse lets a field be any: here a rotation that draws inwards."""
    flow = fl.derive(
        fl.Problem(
            fl.Network(
                "coarse(u * u + v * v, 0.5 * u * u + 0.5 * v * v + stop(v) * u - stop(u) * v)",
                shapes={"u": (), "v": ()},
            ),
            "value",
        )
    )
    (point,) = fl.rest_points(flow, starts=8)
    assert np.allclose(sorted(point.eigenvalues, key=lambda z: z.imag), [-1 - 1j, -1 + 1j], atol=1e-9)
    assert point.stable
    assert flow.curl().pairs == (("u", "v"),)


def test_nothing_to_rest_at_is_an_outcome():
    flow = fl.derive(fl.Problem(fl.Network("w + exp(w)", shapes={"w": ()}), "value"))
    found = fl.rest_points(flow, starts=4)
    assert len(found) == 0
    assert found.outcome.kind == "stalled"


def test_states_to_start_from():
    flow = fl.derive(fl.Problem(fl.Network(WELL, shapes={"w": (2,)}), "value"))
    (point,) = fl.rest_points(flow, starts=[fl.State.from_weights({"w": [0.9, 0.1]})])
    assert point.index == 1
    with pytest.raises(fl.FlowlabError):
        fl.rest_points(flow, starts=[fl.State.from_weights({"w": [0.9, 0.1, 0.0]})])


def test_bad_input():
    flow = fl.derive(fl.Problem(fl.Network(WELL, shapes={"w": (2,)}), "value"))
    for starts in (0, -1, 1.5, [], 10**6):
        with pytest.raises(fl.FlowlabError, match="starts"):
            fl.rest_points(flow, starts=starts)
    with pytest.raises(fl.FlowlabError, match="polar"):
        fl.rest_points(fl.derive(fl.Problem("W @ x")), fl.Data(np.eye(2), [1.0, -1.0]))
    sampled = fl.derive(fl.Problem("w @ x", "square", coordinates="weights"))
    with pytest.raises(fl.DataError):
        fl.rest_points(sampled)
    (point,) = fl.rest_points(sampled, fl.Data(np.eye(2), [0.5, 2.0]), starts=2)
    assert np.allclose(point.state.weights()["w"], [0.5, 2.0])


def test_blocks_in_charts_are_refused():
    """Logarithms of probabilities go on moving where the probabilities rest."""
    net = fl.Network("p @ (A @ q)", constants=("A",))
    game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
    with pytest.raises(fl.LanguageError, match=r"the chart of \"simplex\".*`fl.equilibrium`"):
        fl.rest_points(fl.derive(game), fl.Data(A=[[1.0, -1.0], [-1.0, 1.0]]), starts=4)
