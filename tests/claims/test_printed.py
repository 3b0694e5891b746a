"""Numbers that are printed elsewhere come out as they are printed, or the verdict says why they do not."""

import pytest

import flowlab as fl
from flowlab.app.verify import packs


def as_printed(names):
    """How many numbers were held against print."""
    count = 0
    for verdict in fl.check(names):
        for q in verdict.quantities:
            if q["printed"]:
                count += 1
                assert q["as_printed"] or verdict.evidence.get("differs"), (
                    verdict.id,
                    q["name"],
                    q["measured"],
                    q["printed"],
                )
    return count


@pytest.mark.slow
@pytest.mark.parametrize("pack", list(packs()))
def test_numbers_come_out_as_printed(pack):
    count = as_printed(packs()[pack])
    assert count or pack not in ("poggio2020", "complexity2020", "brechet2023", "daskalakis2019", "yin2019")


def test_a_number_that_differs_is_seen(monkeypatch):
    from flowlab.claims.library.yin2019 import q11_lipschitz as at

    assert as_printed(["Q11"]) >= 4
    made = at.Quantity
    monkeypatch.setattr(
        at,
        "Quantity",
        lambda *args, **told: made(*args, **(told | {"printed": "0.999"} if told.get("printed") else told)),
    )
    with pytest.raises(AssertionError):
        as_printed(["Q11"])
