"""Contracts of the operation words, walked over every combination of operands that a word's own shape rule accepts."""

import functools
from dataclasses import replace
from fractions import Fraction
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from one_sample import WORDS

import flowlab as fl
from flowlab.core.errors import FlowlabError
from flowlab.language.degrees import Relations
from flowlab.language.operations import Piece, operations
from flowlab.language.operations.matrix_rules import Products
from flowlab.language.types import Shapes, Type
from flowlab.symbolic.program import Program, Tape

N = 5
TYPES = [
    Type((), False),
    Type((), True),
    Type((3,), False),
    Type((3,), True),
    Type((4,), True),
    Type((3, 4), False),
    Type((4, 3), False),
    Type((3, 3), True),
    Type((3, 3), symmetric=True),
    Type((4, 3, 3), True),
    Type((2, 2), False),
    Type((2, 3, 2), False),
    Type((2, 4, 2, 2), False),
]
PARAMETERS = {
    "scale": [(Fraction(-3, 4),), (Fraction(-1),)],
    "power": [(Fraction(1),), (Fraction(2),), (Fraction(3),), (Fraction(-1),), (Fraction(-2),)],
    "activation": [("tanh",), ("leaky_relu", Fraction(1, 5))],
    "slope": [("tanh",), ("leaky_relu", Fraction(1, 5))],
    "add_eye": [(Fraction(2),), (Fraction(-1, 2),)],
    "shift": [(Fraction(1, 2),), (Fraction(-1),)],
    "einsum": [
        *((spec,) for spec in ("ij->j", "ij->", "ij->ji", "fij->jf", "Ni->i", "Nij->", "Ni->Ni")),
        *((spec,) for spec in ("ij,j->i", "ij,kj->ik", "i,j->ij", "fij,ij->f", "ij,ij->i", "i,->i")),
        *((spec,) for spec in ("Ni,Nj->ij", "Ni,Nj->Nij", "Ni,i->N", "Ni,N->i", "N,Ni->Ni", "ij,Nj->Ni")),
    ],
    "take": [
        ((0,),),
        ((-1,),),
        (((1, None, None),),),
        (((None, None, -1),),),
        (((None, None, 2),),),
        (((None, None, None), -1),),
        ((0, (0, 2, None)),),
    ],
    "angle": [(), (Fraction(1, 2), Fraction(1, 4))],
    "split": [(Fraction(3),), (Fraction(2),), (Fraction(1),)],
    "window": [(), (0, 2, 1, 1), (1, 2, 2, 1), (1, 2), (3, 2, 1, 2)],
    "sum": [(), (Fraction(0),), (Fraction(-1),), ("samples",)],
    "mean": [(), (Fraction(1),), (Fraction(-1),), ("samples",)],
    "center": [(), (Fraction(0),), ("samples",)],
    "softmax": [(), (Fraction(0),), ("samples",)],
    "rms_norm": [(), (Fraction(0), Fraction(1, 10)), ("samples",)],
    "conv": [(), (Fraction(1), "same"), (Fraction(1), "circular"), (Fraction(2), Fraction(1))],
    "depthwise_conv": [(), (Fraction(1), "circular"), (Fraction(2), "same"), (Fraction(1), Fraction(1))],
    "per_size": [(), (Fraction(0),), (Fraction(-1), Fraction(1, 2)), ("samples", Fraction(2))],
}
"""Of the words that take any; a word without an entry is tried with none."""
WRITTEN = [name for name in operations.names() if operations[name].in_language]
DERIVED = [name for name in operations.names() if not operations[name].in_language]


def accepted(name):
    """(operand types, parameters, result type) of everything a word accepts, with one or two operands."""
    found, word = [], operations[name]
    least, most = word.operands if word.called else (1, None)
    for arity in range(least, min(most or 2, 2) + 1):
        for types, params in product(product(TYPES, repeat=arity), PARAMETERS.get(name, [()])):
            try:
                out = operations[name]().shape(Shapes(), types, "it", ("a", "b"), params)
            except (FlowlabError, ValueError, IndexError):
                continue
            found.append((types, params, out))
        if found and not word.called:
            break
    return found


def arrays(types, seed=0):
    """Values of each type."""
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=(N,) * t.sampled + t.shape) + 0.1 for t in types]
    return [v @ v.T + np.eye(len(v)) if t.symmetric else v for v, t in zip(drawn, types, strict=True)]


def seed_of(out):
    """A cotangent of a result: no symmetry is asked of it."""
    return arrays([replace(out, symmetric=False)], seed=1)[0]


def one_by_one(name, values, types, params):
    """The meaning sample by sample, without batches."""
    rows = [[v[n] if t.sampled else v for v, t in zip(values, types, strict=True)] for n in range(N)]
    made = [WORDS[name](*row, *params) for row in rows]
    return np.stack(made) if any(t.sampled for t in types) else np.asarray(made[0])


def at_once(functions, values):
    """What each function gives at its values, by one program of jax: operations one by one compile a hundred."""
    return jax.jit(lambda given: [f(*each) for f, each in zip(functions, given, strict=True)])(values)


@pytest.mark.parametrize("name", WRITTEN)
def test_shape_and_value(name):
    word, cases = operations[name](), accepted(name)
    assert cases
    drawn = [arrays(types) for types, _, _ in cases]
    compiled = at_once([lambda *v, c=case: word.numeric(jnp, v, c[0], c[2], c[1]) for case in cases], drawn)
    for (types, params, out), values, again in zip(cases, drawn, compiled, strict=True):
        made = word.numeric(np, values, types, out, params)
        assert np.shape(made) == (N,) * out.sampled + out.shape
        over_samples = "samples" in params or (name == "einsum" and "N" in params[0])
        assert out.sampled == any(t.sampled for t in types) or over_samples
        assert np.allclose(made, again, rtol=1e-12, atol=1e-14)
        # Symmetry is what the factors say; that of the type which a shape rule answers is not asked.
        if out.rank == 2 and Products().symmetric("made", word, list(zip("ab", types, strict=False))):
            assert np.allclose(made, np.swapaxes(made, -1, -2), rtol=1e-12, atol=1e-14), (types, params)
        if name in WORDS and not over_samples:
            assert np.allclose(made, one_by_one(name, values, types, params), rtol=1e-12, atol=1e-14), (types, params)


def test_every_parameter_is_accepted_somewhere():
    """And every option of a word is tried away from its default."""
    for name in WRITTEN:
        seen = {params for _, params, _ in accepted(name)}
        assert seen == set(PARAMETERS.get(name, [()])), name
        for at, default in enumerate(operations[name].options.values()):
            assert any(len(params) > at and params[at] != default for params in seen), (name, at)


@pytest.mark.parametrize("name", WRITTEN)
def test_degree(name):
    """Scaling operands by powers of c scales the result by the power that the word answers, where relations hold."""
    word = operations[name]()
    for types, params, out in accepted(name):
        values = arrays(types)
        plain = word.numeric(np, values, types, out, params)
        for exponents in ([1, 1], [2, 2], [1, 2], [0, 0]):
            relations = Relations()
            forms = [{"ab"[i]: Fraction(1)} for i in range(len(types))]
            answer = word.degree(relations, forms, params)
            known = dict(zip("ab", exponents, strict=False))
            if any(sum(c * known[k] for k, c in b.relation) for b in relations.breaks):
                assert all(b.reason for b in relations.breaks)
                continue
            power = sum(float(c) * known[k] for k, c in answer.items())
            moved = word.numeric(np, [v * 1.7**e for v, e in zip(values, exponents, strict=False)], types, out, params)
            assert np.allclose(moved, 1.7**power * plain, rtol=1e-12), (types, params, exponents)


@pytest.mark.long
@pytest.mark.parametrize("name", WRITTEN)
def test_pullback(name):
    """What a word writes on the tape is what `jax.vjp` of its numeric meaning gives, in the types of the operands."""
    word, cases = operations[name](), accepted(name)

    def pulled(case, seed, *values):
        types, params, out = case
        made, pull = jax.vjp(lambda *v: word.numeric(jnp, v, types, out, params), *values)
        return pull(seed.reshape(made.shape))

    compiled = at_once(
        [functools.partial(pulled, case) for case in cases],
        [[seed_of(out), *arrays(types)] for types, _, out in cases],
    )
    for (types, params, out), theirs in zip(cases, compiled, strict=True):
        tape = Tape()
        operands = [tape.given("weight", "ab"[i], t) for i, t in enumerate(types)]
        made = tape.put(name, tuple(operands), params, out)
        cot = tape.given("direction", "cot", out)
        backs = {
            "ab"[i]: tape.fit(b, t)
            for i, (b, t) in enumerate(zip(word.pullback(tape, operands, made, cot, params), types, strict=True))
            if b is not None
        }
        program = Program(tuple(tape.values), tuple((("W", i), b.index) for i, b in backs.items()))
        values, seed = arrays(types), seed_of(out)
        given = {("weight", "ab"[i]): v for i, v in enumerate(values)} | {("direction", "cot"): seed}
        ours = program.evaluate(np, given)
        for i, wanted in enumerate(theirs):
            # Nothing is pulled back to an operand that a word holds.
            found = ours.get(("W", "ab"[i]), np.zeros(np.shape(wanted)))
            assert np.shape(found) == np.shape(wanted), (types, params)
            assert np.allclose(found, wanted, rtol=1e-11, atol=1e-13), (types, params)


@pytest.mark.parametrize("name", WRITTEN)
def test_print(name):
    word = operations[name]()
    parts = [Piece("p"), Piece("q")]
    for types, params, _ in accepted(name):
        text, tex = (word.render(t, parts[: len(types)], types, params) for t in (False, True))
        for piece in (text, tex):
            assert all(p.text in piece.text for p in parts[: len(types)])
            assert piece.text.count("{") == piece.text.count("}")
    assert operations[name].__doc__
    assert word.name == name


def derived(values, types, name, params):
    """The words that only derived equations use, spelled out."""
    a, b = (*values, None)[:2]
    lead = [f"{'n' * t.sampled}{'ij'[: t.rank]}" for t in types]
    return {
        "outer": lambda: np.einsum(
            f"{lead[0]},{lead[1].replace('i', 'k')}->{'i' * types[0].rank}{'k' * types[1].rank}", a, b
        ),
        "contract": lambda: np.einsum(f"{lead[0]}->{lead[0][1:]}", a),
        "total": lambda: np.einsum(f"{lead[0]}->{'n' * types[0].sampled}", a),
        "spread": lambda: np.einsum(
            f"{lead[0]},i->{lead[0]}i", a, np.ones(b.shape[-1]) / (b.shape[-1] if params == ("mean",) else 1)
        ),
        "inner": lambda: np.einsum(
            f"{lead[0]},{lead[0]}->{'i' if params == ('rows',) and types[0].rank == 2 else ''}", a, b
        ),
        "length": lambda: np.sqrt(
            np.einsum(f"{lead[0]},{lead[0]}->{'i' if params == ('rows',) and types[0].rank == 2 else ''}", a, a)
        ),
        "row_scale": lambda: np.einsum(f"{lead[0]},{lead[1]}->{lead[1]}", a, b),
        "over_count": lambda: a / N,
        "omit_sample": lambda: np.where(np.arange(N).reshape(-1, *[1] * (a.ndim - 1)) == 1, 0.0, a),
        "eye": lambda: np.eye(3) / 2,
        "lyapunov": lambda: scipy.linalg.solve_sylvester(a, a, b),
        "through_layers": lambda: through_layers(a, b, *params),
        "polar": lambda: scipy.linalg.polar(a)[0],
        "slope": lambda: 1 / np.cosh(a) ** 2,
        "loss_pull": lambda: np.einsum("n,n...->n...", b * np.exp(-b * a.reshape(N)), np.ones_like(a)),
    }[name]()


def through_layers(s, b, depth, c):
    """By powers of whole matrices."""

    def power(p):
        return np.real(scipy.linalg.fractional_matrix_power(s, p))

    if c:
        middle = np.real(scipy.linalg.sqrtm(s + c * c / 4 * np.eye(len(s))))
        half = (middle + c / 2 * np.eye(len(s))) @ b @ s + b @ (middle - c / 2 * np.eye(len(s))) @ s
    else:
        half = sum(power((depth - j) / depth) @ b @ power(1 + (j - 1) / depth) for j in range(1, depth + 1))
    return half + half.T


S, V, M = Type(()), Type((3,)), Type((3, 4))
SS, SV, SW = Type((), True), Type((3,), True), Type((4,), True)
USES = [
    ("outer", (SV, SW), ()),
    ("outer", (V, Type((4,))), ()),
    ("outer", (SV, SS), ()),
    ("outer", (SS, SV), ()),
    ("outer", (V, SW), ()),
    ("outer", (SV, V), ()),
    ("outer", (SS, SS), ()),
    ("contract", (SV,), ()),
    ("contract", (SS,), ()),
    ("total", (SV,), ()),
    ("total", (V,), ()),
    ("total", (M,), ()),
    ("spread", (SS, SV), ("sum",)),
    ("spread", (SS, SV), ("mean",)),
    ("spread", (S, V), ("mean",)),
    ("inner", (M, M), ("block",)),
    ("inner", (M, M), ("rows",)),
    ("inner", (V, V), ("rows",)),
    ("length", (M,), ("block",)),
    ("length", (M,), ("rows",)),
    ("row_scale", (S, M), ()),
    ("row_scale", (V, M), ()),
    ("over_count", (SV,), ()),
    ("omit_sample", (SV,), (1,)),
    ("slope", (SV,), ("tanh",)),
    ("eye", (Type((3, 3)),), (Fraction(1, 2),)),
    ("lyapunov", (Type((3, 3), symmetric=True), Type((3, 3))), ()),
    ("polar", (M,), ()),
    ("through_layers", (Type((3, 3), symmetric=True), Type((3, 3), symmetric=True)), (3, 0.0)),
    ("through_layers", (Type((3, 3), symmetric=True), Type((3, 3), symmetric=True)), (1, 0.0)),
    ("through_layers", (Type((3, 3), symmetric=True), Type((3, 3), symmetric=True)), (2, 0.5)),
    ("loss_pull", (SS, SS), ("exponential",)),
    ("loss_pull", (Type((1,), True), SS), ("exponential",)),
]


@pytest.mark.parametrize(("name", "types", "params"), USES, ids=lambda v: v if isinstance(v, str) else "")
def test_words_of_derived_equations(name, types, params):
    word = operations[name]()
    out = word.shape(Shapes(), types, name, ("a", "b"), params)
    values = arrays(types)
    made = word.numeric(np, values, types, out, params)
    assert np.shape(made) == (N,) * out.sampled + out.shape
    assert np.allclose(made, derived(values, types, name, params), rtol=1e-12)
    assert np.allclose(made, word.numeric(jnp, [jnp.asarray(v) for v in values], types, out, params), rtol=1e-12)
    for tex in (False, True):
        assert word.render(tex, [Piece("p"), Piece("q")][: len(types)], types, params).text
    with pytest.raises(TypeError, match=name):
        word.pullback(None, (), None, None, params)


@pytest.mark.parametrize("name", DERIVED)
def test_derived_words_cannot_be_written(name):
    assert operations[name].__doc__
    with pytest.raises(fl.FlowlabError):
        fl.Network(f"{name}(W @ x, W @ x)")
