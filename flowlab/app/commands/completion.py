"""What a shell completes: names from the stored schema and manifest, so that no arrays are loaded."""

from collections.abc import Mapping

from flowlab.app.schema import schema, words

Offers = list[tuple[str, str]]


def _offers(known: Mapping[str, str], begun: str) -> Offers:
    return [(name, told) for name, told in known.items() if name.startswith(begun)]


def losses(incomplete: str) -> Offers:
    """Losses."""
    return _offers(words("loss"), incomplete)


def schemes(incomplete: str) -> Offers:
    """Schemes."""
    return _offers(words("scheme"), incomplete)


def parametrisations(incomplete: str) -> Offers:
    """Parametrisations."""
    return _offers(words("parametrisation"), incomplete)


def groups(incomplete: str) -> Offers:
    """What one norm belongs to."""
    return _offers(words("per"), incomplete)


def figures(incomplete: str) -> Offers:
    """Figures."""
    return _offers(words("figure"), incomplete)


def claims(incomplete: str) -> Offers:
    """Claims."""
    return _offers(words("claim"), incomplete)


def packs(incomplete: str) -> Offers:
    """Packs of claims, and all of them."""
    from flowlab.claims.manifest import packs as known

    return _offers({**{name: ", ".join(ids) for name, ids in known().items()}, "all": "every claim"}, incomplete)


def keys(incomplete: str) -> Offers:
    """Keys of a specification with dots, and an equals sign for the value."""
    found = {}
    for table, told in schema()["properties"].items():
        for key, inner in told.get("properties", {}).items():
            deeper = inner.get("properties", {})
            for name, about in {f"{key}.{k}": v for k, v in deeper.items()}.items() if deeper else [(key, inner)]:
                found[f"{table}.{name}="] = about.get("description", "")
    return _offers(found, incomplete)


def languages(incomplete: str) -> Offers:
    """Languages of source text."""
    from flowlab.core.registry import described
    from flowlab.symbolic.source import languages as known

    return _offers({name: described(known[name]) for name in known}, incomplete)
