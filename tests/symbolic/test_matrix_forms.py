"""Sums over products of entries that are printed as matrices mean what they were."""

from itertools import permutations, product

import numpy as np
import pytest
import reader
from notation import number
from tensors import shown

from flowlab.language.operations import Piece, matrix_forms
from flowlab.language.operations.base import IndexSum
from flowlab.language.operations.index_sums import SAMPLES
from flowlab.language.operations.matrix_forms import matrix_form

SIZES = {"i": 2, "j": 3, "k": 4, SAMPLES: 5}
AXES = ("", "i", "j", "N", "ij", "ji", "jk", "Ni", "Nj", "ii"[:1])


def sums():
    """Every sum of one or two operands with at most two axes, of which the result has at most two."""
    for operands in [(a,) for a in dict.fromkeys(AXES)] + list(product(dict.fromkeys(AXES), repeat=2)):
        letters = dict.fromkeys("".join(operands))
        for count in range(3):
            for out in permutations(letters, count):
                if SAMPLES not in out[1:]:
                    yield from (IndexSum(operands, "".join(out), mean) for mean in (False, True))


def printed_value(made, arrays, tex):
    known = {name: kept(value, axes) for name, (value, axes) in zip("AB", arrays, strict=False)}
    known["N"] = number(SIZES[SAMPLES])
    return (reader.Latex if tex else reader.Text)(made.text, known).whole()


def kept(value, axes):
    """An array as it stands in print, samples last."""
    sampled = SAMPLES in axes
    return shown(np.moveaxis(value, 0, -1) if sampled else value, sampled)


@pytest.mark.parametrize("tex", [False, True], ids=["text", "latex"])
def test_matrices_mean_the_sum(tex):
    rng, forms = np.random.default_rng(0), {}
    for found in sums():
        made = matrix_form(found, SAMPLES, tex, [Piece("A"), Piece("B")][: len(found.operands)])
        if made is None:
            continue
        arrays = [(np.asarray(rng.normal(size=[SIZES[k] for k in axes])), axes) for axes in found.operands]
        want = np.einsum(found.spec, *(value for value, _ in arrays))
        if found.mean:
            want = want / np.prod([SIZES[k] for k in found.summed])
        got = printed_value(made, arrays, tex)
        want = kept(np.asarray(want), found.out)
        assert got.shape == want.shape, (found, made.text)
        assert np.allclose(got, want, rtol=1e-13), (found, made.text)
        forms[found.spec, found.mean] = made.text
    assert len(forms) > 100
    wanted = {
        "ij,j->i": ("A @ B", "A B"),
        "Ni->i": ("sum_n(A)", r"A \mathbf 1"),
        "Ni,Nj->ij": ("A @ B.T", r"A B^{\top}"),
    }
    assert {spec: forms[spec, False] for spec in wanted} == {spec: both[tex] for spec, both in wanted.items()}
    assert ("ij->i", False) not in forms


def test_factors_in_the_wrong_order_are_found(monkeypatch):
    plain = matrix_forms.product
    monkeypatch.setattr(matrix_forms, "product", lambda tex, a, b: plain(tex, b, a))
    with pytest.raises((AssertionError, reader.Unreadable)):
        test_matrices_mean_the_sum(False)


def test_what_is_no_formula_of_matrices_stays():
    for spec in ("ijk->ij", "Nij,j->Ni", "ij,jk,kl->il", "ij->", "i->ij"):
        operands, _, out = spec.partition("->")
        found = IndexSum(tuple(operands.split(",")), out)
        assert matrix_form(found, SAMPLES, False, [Piece("A")] * len(found.operands)) is None
