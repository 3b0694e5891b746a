"""Sources say whose numbers they give: those of flowlab's own derivations are called so,
and numbers nobody saw are marked.
"""

import re

import pytest

from flowlab.claims import claims

SEEN = {
    "Lyu and Li 2020": {"theorem 4.1", "lemma 5.1", "section 4", "section 5", "appendix g"},
    "Kunin et al. 2021": {"eq. 18", "eq. 19", "eq. 20"},
    "Yin et al. 2019": {"lemma 3"},
}
"""Numbers that stand in text that was read."""
NUMBERED = re.compile(
    r"\b(theorems?|lemmas?|lemma|propositions?|corollar(?:y|ies)|sections?|figures?|eqs?\.|appendix)"
    r" (\d[\d.]*|[A-Z]\b)",
    re.IGNORECASE,
)


def wrong(source):
    """What is wrong with a source, or None."""
    own = re.findall(r"\(1\.\d+\)", source)
    if own and "of flowlab's derivations" not in source:
        return "gives an equation number of flowlab as another's"
    if re.search(r"\beqs?\. \(?1\.\d", source):
        return "gives an equation number of flowlab as another's"
    for part in source.split(";"):
        known = next((numbers for work, numbers in SEEN.items() if work in source), set())
        found = [m.group(0).lower().rstrip(".") for m in NUMBERED.finditer(part)]
        if (
            found
            and not set(found) <= known
            and not re.search(r"numbers? not checked", part + source.partition(part)[2].partition(";")[2][:40])
        ):
            return f"gives {', '.join(found)}, which were not checked, without saying so"
    return None


@pytest.mark.parametrize(
    "name", sorted(name for name in claims if claims[name].__module__.startswith("flowlab.claims.library"))
)
def test_sources_are_true_to_what_was_seen(name):
    assert wrong(claims[name].source) is None


@pytest.mark.parametrize(
    "source",
    [
        "eq. (1.8)",
        "Poggio, Banburski, Liao 2020; eq. (1.2)",
        "against eq. 1.4 of Poggio, Banburski, Liao 2020",
        "Soudry et al. 2018, theorem 3",
        "Lyu and Li 2020, theorem 9.9",
        "Poggio, Banburski, Liao 2020 (1.8)",
    ],
)
def test_control(source):
    assert wrong(source) is not None
