"""What the language refuses, it refuses in one printable line of at most 300 characters that says what to do."""

import pytest

import flowlab as fl

LONG = "W" * 30

REFUSED = (
    ("W @ x2", {}, ["named `x`", "`W`", "`x2`"]),
    ("W1 @ W2", {}, ["named `x`", "`W1`", "`W2`"]),
    ("W^2 @ x", {}, ["`**`", "`W^2 @ x`"]),
    ("a @ relu(W @ x)^2", {}, ["`**`"]),
    ("\u03bb @ x", {}, ["\u03bb", "spelt out"]),
    ("lambda x: x", {}, ["`lambda x: x`"]),
    ("x\n\n@ W1 @@ \x1b[3m" + "V" * 500, {}, ["`x @ W1 @@ \\x1b[3mVVV"]),
    ("W1 @ x", {"W1": ("a" * 5000, 3)}, ["no shape"]),
    ("W1 @ x", {"W1": ("a\nb", 3)}, ["no shape"]),
    ("W1 @ x", {"W1" * 3000: (1, 2)}, ["`W1`"]),
    ("W1 @ x", {"W1": "\n" * 1000}, ["no shape"]),
    ("W1 @ x", "\x00" * 1000, ["no table"]),
    ("foo" * 200 + "(W @ x)", {}, ["not a known function"]),
    (" + ".join(f"W{i}" for i in range(300)), {}, ["named `x`"]),
    (f"{LONG} @ relu({LONG}2 @ relu({LONG}3 @ x)) + {LONG}2", {}, ["needs equal shapes", "declare `shapes`"]),
    ("A" * 400 + " @ x", {}, ["cannot name a weight"]),
    ("W @ x * " + "9" * 5000, {}, ["`W @ x * 999"]),
    ("[" * 300, {}, ["300"]),
    ("W[" + "y" * 500 + "] @ x", {}, ["integers or slices"]),
    ("relu(" + "W @ x, " * 100 + ")", {}, ["one expression"]),
    ("(" + " + ".join(["W @ x"] * 50) + ")**1.5", {}, ["1.5"]),
    (5.0, {}, ["neither text"]),
    ("W @ 3", {}, ["the number 3", "`*`"]),
    ("relu(3)", {}, ["the number 3", "write for example `relu(W @ x)`"]),
    ("maximum(W @ x, 0)", {}, ["the number 0", "`maximum(W @ x)`"]),
    ("W2 relu(W1 @ x)", {}, ["between `W2` and `relu`", "`@`"]),
    ("2W @ x", {}, ["between `2` and `W`"]),
    ("relu(W @ x) V", {}, ["between `)` and `V`"]),
    ("W2 @@ x", {}, ["between `@` and `@`"]),
    ("W @", {}, ["after `@`"]),
    ("* x", {}, ["before `*`"]),
    ("07 * W @ x", {}, ["`07`", "without zeros"]),
    ("relu(W @ x", {}, ["not closed", "add `)`"]),
    ("relu(W @ x))", {}, ["close every bracket"]),
    ("y = W @ x", {}, ["has `=`", "left of it"]),
    ("W' @ x", {}, ["has `'`", "`W.T`"]),
    ("|W @ x|", {}, ["`abs(z)`"]),
    ("W @\n x", {}, ["a line break", "one line"]),
    ("W_{1} @ x", {}, ["round brackets"]),
    ("$W @ x$", {}, ["has `$`", "leave it out"]),
    ("W @ x ?", {}, ["has `?`", "leave it out"]),
    ('"W" @ x', {}, ["in quotes"]),
    ("W[a] @ x", {}, ["`W[a]`", "integers or slices"]),
    ("W[0.5] @ x", {}, ["`W[0.5]`", "integers or slices"]),
    ("W[7] @ x", {"W": (3, 2)}, ["one of 3 entries", "position 7"]),
    ("einsum('ij,j', W, x)", {}, ["must start with a text such as"]),
    ("einsum('ij,j->i', W) @ x", {}, ["must have 2 operands, got 1"]),
    ("einsum('i->', W, x)", {}, ["must have 1 operand, got 2"]),
    ("einsum('Nij,Nik->', W @ x, x)", {}, ["pairs of them need `constants`"]),
    ("mean(a @ relu(W @ x))", {}, ['go over samples by `axis="samples"`, or leave `mean` out']),
    ("conv(w, x)", {"w": (2,), "x": (1,)}, ["at most 1 place, got 2"]),
    ("einsum('ii,i->', W, x)", {}, ["different letters", "`ii`"]),
    ("einsum('ij,j->k', W, x)", {}, ["all letters of its result", "`k`"]),
    ("einsum('ij,jk->i', W, x)", {}, ["a letter for every axis", "`x`"]),
    ("einsum('ij,j->i', W, x)", {"W": (3, 2), "x": (4,)}, ["axis `j` is 2 in `W`", "4 in `x`"]),
    ("conv(w, x)", {"w": (5,), "x": (3,)}, ["at most 3 places, got 5"]),
    ("conv(w, x, stride=0)", {}, ["an integer `stride` from 1 on, got 0"]),
    ("conv(w, x, padding='all')", {}, ["a `padding` from 0 on, 'same' or 'circular', got 'all'"]),
    ("conv(w, x, dilation=2)", {}, ["no option `dilation`", "`stride`"]),
    ("softmax(W @ x, axis=3)", {}, ["must go over an axis of `W @ x`", "got 3"]),
    ("max_pool(W @ x, 9)", {"W": (4, 3)}, ["fit into 4 positions, got 9"]),
    ("split(W @ x, 3)", {"W": (4, 3)}, ["cut 4 entries into equal parts, got 3"]),
    ("concat(W @ x, a @ x)", {}, ["joins along the first axis", "`a @ x`"]),
    ("causal(W @ x)", {}, ["two last axes of one length"]),
    ("rms_norm(W @ x, eps=-1)", {}, ["a number `eps` from 0 on, got -1"]),
    ("max_pool(W @ x, 9)", {"W": (4, 3)}, ["`max_pool(…, 9)` must have"]),
    ("layer_norm(W @ x, eps=-1)", {}, ["`layer_norm(…, eps=-1)` must have a number `eps` from 0 on, got -1"]),
    ("a @ group_norm(W @ x, 3)", {"W": (4, 3)}, ["`group_norm(…, 3)` must cut 4 entries"]),
    ("sqrt(W @ x)", {}, ["broken power of what may be negative"]),
    ("(W @ x)**0", {}, ["an exponent from -64 to 64 other than 0"]),
    ("W @ x * M", {"M": ("t", "u")}, ["`W @ x`", "`M`"]),
    ("outer(W @ x, a @ x)", {}, ["a letter for every axis of `a @ x`"]),
    ("0,5 * (W @ x)", {}, ["decimals with a point"]),
    ("np.tanh(W @ x)", {}, ["name alone"]),
    ("leaky_relu(W @ x, leak=0.1)", {}, ["no option `leak`", "by their place"]),
    ("3(W @ x)", {}, ["operator", "in front of the bracket"]),
    ("W(x)", {}, ["not a known function", "`@`"]),
    ("x.T @ W", {}, ["not a matrix", "leave `.T` out"]),
    ("relu(W @ x, 2)", {}, ["no number", "leave the others out"]),
    ("1e-400 * W @ x", {}, ["`1e-400`", "write a larger number"]),
    ("(" * 150 + "-" * 9000 + "W @ x" + ")" * 150, {}, ["too deeply"]),
    ("", {}, ["write for example"]),
)


@pytest.mark.parametrize(("text", "shapes", "named"), REFUSED, ids=range(len(REFUSED)))
def test_a_refusal_is_one_short_line_that_says_what_to_do(text, shapes, named):
    with pytest.raises(fl.FlowlabError) as caught:
        fl.Network(text, shapes=shapes)
    message = str(caught.value)
    assert len(message) <= 300
    assert message.isprintable()
    for part in named:
        assert part in message


def test_no_refusal_repeats_python():
    """What Python says of a syntax error names nothing of the language."""
    for text, shapes, _ in REFUSED:
        with pytest.raises(fl.FlowlabError) as caught:
            fl.Network(text, shapes=shapes)
        assert "syntax" not in str(caught.value)
        assert "Fraction(" not in str(caught.value)


@pytest.mark.parametrize("name", ["lambda", "in", "is", "class", "not", "alpha", "None_", "If"])
def test_words_of_python_name_blocks(name):
    """What operators build is text that reads back, also where Python keeps the word for itself."""
    net = fl.Network(f"{name} @ x")
    assert net.weights == (name,)
    assert fl.Network(net.text).shapes == net.shapes == fl.Network(fl.weight(name) @ fl.x).shapes
    assert fl.Network(f"relu(-{name} @ x) + {name} @ x").weights == (name,)


@pytest.mark.parametrize("name", ["None", "True", "False", "x", "sum", "\n", "a" * 33, "1a"])
def test_names_that_no_text_reads_back_are_refused(name):
    with pytest.raises(fl.LanguageError, match="cannot name a weight"):
        fl.weight(name)


def test_a_small_name_is_a_vector_or_meets_a_scalar():
    assert fl.Network("u * (v @ x)").shapes["u"] == ()
    assert fl.Network("u * (V @ x)").shapes["u"] == fl.Network("V @ x").output_shape
    assert fl.Network("u @ (V @ x)", shapes={"u": (3,)}).shapes["u"] == (3,)
    with pytest.raises(fl.LanguageError, match="declare `shapes`"):
        fl.Problem("u * (v @ x)", "cross_entropy")


@pytest.mark.parametrize(
    "given", [{"decay": {"\n" * 400: 1}}, {"decay": "a\n" * 400}, {"decay": {"W": "a\n" * 400}}, {"per": "q\n" * 1000}]
)
def test_problems_quote_shortly(given):
    with pytest.raises(fl.FlowlabError) as caught:
        fl.Problem("W @ x", **given)
    assert len(str(caught.value)) <= 300
    assert str(caught.value).isprintable()


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(fl.LanguageError, match="`name=5` must be a text"):
        fl.weight(5)


@pytest.mark.parametrize("digits", [400, 5000])
def test_integers_beyond_float64_are_refused(digits):
    for make in (fl.time, fl.log_time, fl.log_loss, fl.norm_above, fl.wall):
        with pytest.raises(fl.LanguageError, match=r"must be a (finite )?number") as told:
            make(10**digits)
        assert len(str(told.value)) <= 300
    with pytest.raises(fl.LanguageError, match=r"decay.* float64 does not hold"):
        fl.Problem("W @ x", decay=10**digits)
    data = fl.Data([[1.0], [-2.0]], [1.0, -1.0])
    with pytest.raises(fl.FlowlabError, match=r"scale.* float64 does not hold"):
        fl.initial_state("W @ x", data, seed=0, scale=10**digits)
    with pytest.raises(fl.LanguageError, match=r"step.* float64 does not hold"):
        fl.descend(fl.Problem("W @ x"), fl.initial_state("W @ x", data, seed=0), data, step=10**digits, count=2)
    with pytest.raises(fl.LanguageError, match="stored flow equations"):
        fl.FlowEquations.from_json("[" * 100_000)
