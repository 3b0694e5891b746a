"""What printed equations of tensors mean: lines with indices, and functions of whole arrays.

Samples are the last axis, which is known by its length: no other axis has that one. A vector is a column, and so is a
tensor with one axis that is handed back. Nothing here knows how the package works a word out; adjoints are taken from
their definition, one entry after another.
"""

import itertools
import re

import numpy as np
import scipy.linalg
from notation import Unreadable, number

ZERO, ONE = number(0), number(1)


class Places(tuple):
    """What stands in brackets behind a value, or between the operands of a function: `[0, 1:3]`."""

    @classmethod
    def read(cls, text):
        """Places as they are printed."""
        made = []
        for part in text.replace(" ", "").split(","):
            found = re.fullmatch(r"(-?\d+)|(-?\d+)?:(-?\d+)?(?::(-?\d+))?", part)
            if not found:
                raise Unreadable(f"[{text}]")
            ends = [None if end is None else int(end) for end in found.groups()]
            made.append(ends[0] if ends[0] is not None else slice(*ends[1:]))
        return cls(made)


def features(value, count):
    """A value with one axis for each of a sample's, samples last; and whether it has samples."""
    if value.shape[-1] == count:
        return value, True
    return (value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value), False


def shown(array, sampled):
    """An array as values are kept: numbers and vectors as matrices."""
    if array.ndim - sampled > 1 or (sampled and array.ndim == 2):
        return array
    return array.reshape(1, -1) if sampled else array.reshape(-1, 1)


def whole(value):
    """An option that is an integer."""
    if isinstance(value, str) or np.shape(value) != (1, 1) or value != np.round(value):
        raise Unreadable(f"{value} is no integer")
    return int(value[0, 0])


def square(z):
    """The size of a square matrix."""
    if z.ndim != 2 or z.shape[0] != z.shape[1]:
        raise Unreadable(f"a square matrix of shape {z.shape}")
    return len(z)


class Whole:
    """Functions of whole arrays; `count` is the number of samples."""

    def __init__(self, count):
        self.count = count

    def __contains__(self, name):
        return hasattr(self, f"do_{name}") or name.startswith("put_back_")

    def __call__(self, name, *args):
        if name.startswith("put_back_"):
            return self.put_back(name.removeprefix("put_back_"), *args)
        return getattr(self, f"do_{name}")(*args)

    def along(self, z, axis):
        """The array and the place of an axis that is named."""
        array, sampled = features(z, self.count)
        place = -1 if isinstance(axis, str) else whole(axis)
        if isinstance(axis, str) and (axis != "samples" or not sampled):
            raise Unreadable(f"the axis {axis}")
        if place >= array.ndim - sampled:
            raise Unreadable(f"the axis {place} of {array.shape}")
        return array, place, sampled

    def do_softmax(self, z, axis):
        array, k, sampled = self.along(z, axis)
        grown = np.exp(array - array.max(axis=k, keepdims=True))
        return shown(grown / grown.sum(axis=k, keepdims=True), sampled)

    def do_softmax_pull(self, a, c, axis):
        array, k, sampled = self.along(a, axis)
        other = features(c, self.count)[0]
        return shown(array * (other - (array * other).sum(axis=k, keepdims=True)), sampled)

    def do_center(self, z, axis):
        array, k, sampled = self.along(z, axis)
        return shown(array - array.mean(axis=k, keepdims=True), sampled)

    def do_per_size(self, z, axis, power):
        array, k, sampled = self.along(z, axis)
        return shown(array / array.shape[k] ** power[0, 0], sampled)

    def root(self, z, axis, eps):
        """The array, and the root that it is divided by."""
        array, k, sampled = self.along(z, axis)
        return array, np.sqrt((array**2).mean(axis=k, keepdims=True) + eps[0, 0]), k, sampled

    def do_rms_norm(self, z, axis, eps=ZERO):
        array, root, _, sampled = self.root(z, axis, eps)
        return shown(array / root, sampled)

    def do_rms_pull(self, z, a, c, axis, eps=ZERO):
        _, root, k, sampled = self.root(z, axis, eps)
        a, c = (features(v, self.count)[0] for v in (a, c))
        return shown((c - a * (a * c).mean(axis=k, keepdims=True)) / root, sampled)

    def do_trace(self, z):
        return number(sum(z[i, i] for i in range(square(z))))

    def do_root(self, z):
        square(z)
        return np.real(scipy.linalg.sqrtm(z))

    def do_inverse(self, z):
        return np.linalg.solve(z, np.eye(square(z)))

    def do_logdet(self, z):
        square(z)
        return number(np.log(np.linalg.det(z)))

    def do_nuclear(self, z):
        return self.do_trace(self.do_root(z @ z.T))

    def do_polar(self, z):
        return scipy.linalg.polar(z)[0]

    def do_lyapunov(self, r, d):
        return scipy.linalg.solve_sylvester(r, r, d)

    def right_of_diagonal(self, z, filling):
        array, sampled = features(z, self.count)
        made = np.moveaxis(array, -1, 0).copy() if sampled else array.copy()
        if made.ndim - sampled < 2 or made.shape[-1] != made.shape[-2]:
            raise Unreadable(f"scores of shape {array.shape}")
        for i, j in itertools.combinations(range(made.shape[-1]), 2):
            made[..., i, j] = filling
        return np.moveaxis(made, 0, -1) if sampled else made

    def do_causal(self, z):
        return self.right_of_diagonal(z, -np.inf)

    def do_tril(self, z):
        return self.right_of_diagonal(z, 0.0)

    def do_take(self, z, places):
        array, sampled = features(z, self.count)
        if len(places) > array.ndim - sampled:
            raise Unreadable(f"{len(places)} places of {array.shape}")
        return shown(np.asarray(array[tuple(places)]), sampled)

    def do_flatten(self, z):
        array, sampled = features(z, self.count)
        return shown(array.reshape(-1, self.count) if sampled else array.ravel(), sampled)

    def do_split(self, z, parts):
        array, sampled = features(z, self.count)
        return shown(array.reshape(whole(parts), -1, *array.shape[1:]), sampled)

    def do_window(self, z, place, size=ONE, stride=ONE, axes=ONE):
        array, sampled = features(z, self.count)
        place, size, stride, axes = map(whole, (place, size, stride, axes))
        for k in range(axes):
            at = array.ndim - sampled - axes + k
            offset = np.unravel_index(place, (size,) * axes)[k]
            starts = range(0, array.shape[at] - size + 1, stride)
            array = np.take(array, [start + offset for start in starts], axis=at)
        return shown(array, sampled)

    def joined(self, parts):
        """Parts with samples wherever one of them has some."""
        arrays = [features(part, self.count) for part in parts]
        if not any(sampled for _, sampled in arrays):
            return [array for array, _ in arrays], False
        return [a if sampled else np.repeat(a[..., None], self.count, axis=-1) for a, sampled in arrays], True

    def do_concat(self, *parts):
        arrays, sampled = self.joined(parts)
        return shown(np.concatenate(arrays), sampled)

    def do_part_of(self, c, *rest):
        *parts, which = rest
        arrays, _ = self.joined(parts)
        ends = np.cumsum([0, *(len(array) for array in arrays)])
        array, sampled = features(c, self.count)
        if len(array) != ends[-1]:
            raise Unreadable(f"{len(array)} entries for {ends[-1]}")
        return shown(array[ends[whole(which)] : ends[whole(which) + 1]], sampled)

    def do_conv(self, w, x, stride=ONE, padding=ZERO, each=False):
        array, sampled = features(x, self.count)
        filter_ = features(w, 0)[0]
        stride = whole(stride)
        rank = array.ndim - sampled
        channels = each or filter_.ndim == rank + 1
        axes = filter_.ndim - (1 if each else 2 * channels)
        if axes not in (1, 2) or axes + channels != rank:
            raise Unreadable(f"conv of {filter_.shape} and {array.shape}")
        if not channels:
            array, filter_ = array[None], filter_[None, None]
        if each:
            filter_ = np.stack(
                [np.eye(len(filter_))[c][(slice(None), *[None] * axes)] * f for c, f in enumerate(filter_)]
            )
        for at, size in zip(range(1, 1 + axes), filter_.shape[2:], strict=True):
            length = array.shape[at]
            if padding == "circular":
                array = np.concatenate([array, np.take(array, range(size - 1), axis=at)], axis=at)
                continue
            before = behind = 0 if isinstance(padding, str) else whole(padding)
            if padding == "same":
                extra = max((-(-length // stride) - 1) * stride + size - length, 0)
                before, behind = extra // 2, extra - extra // 2
            margins = [(0, 0)] * array.ndim
            margins[at] = (before, behind)
            array = np.pad(array, margins)
        counts = [(n - k) // stride + 1 for n, k in zip(array.shape[1:], filter_.shape[2:], strict=False)]
        made = np.zeros((len(filter_), *counts, *array.shape[1 + axes :]))
        for o, c in np.ndindex(*filter_.shape[:2]):
            for place in np.ndindex(*counts):
                for k in np.ndindex(*filter_.shape[2:]):
                    source = tuple(stride * i + j for i, j in zip(place, k, strict=True))
                    made[(o, *place)] += filter_[(o, c, *k)] * array[(c, *source)]
        return shown(made if channels else made[0], sampled)

    def do_depthwise_conv(self, w, x, stride=ONE, padding=ZERO):
        return self.do_conv(w, x, stride, padding, each=True)

    def do_conv_filter_pull(self, c, x, w, *options, word="conv"):
        return self.gradient(lambda v: self(word, v, x, *options), w, c)

    def do_conv_input_pull(self, w, c, x, *options, word="conv"):
        return self.gradient(lambda v: self(word, w, v, *options), x, c)

    def do_depthwise_conv_filter_pull(self, c, x, w, *options):
        return self.do_conv_filter_pull(c, x, w, *options, word="depthwise_conv")

    def do_depthwise_conv_input_pull(self, w, c, x, *options):
        return self.do_conv_input_pull(w, c, x, *options, word="depthwise_conv")

    def put_back(self, name, c, a, *options):
        return self.gradient(lambda v: self(name, v, *options), a, c)

    def gradient(self, function, at, c):
        """The gradient of the sum of c * function(v) at v = at, entry by entry; the function is linear."""
        # Where c has samples and `at` has not, each sample adds to the entry; where both have, each has its own.
        own = at.shape[-1] == self.count
        each = own or (c.shape[-1] == self.count and function(np.zeros_like(at)).shape[-1] != self.count)
        shape = at.shape[:-1] if own else at.shape
        made = np.zeros((*shape, self.count) if each else shape)
        for place in np.ndindex(*shape):
            unit = np.zeros_like(at)
            unit[place] = 1.0
            out = function(unit)
            if each:
                out = out if out.shape[-1] == self.count else np.repeat(out.reshape(-1, 1), self.count, axis=1)
                flat = out.reshape(-1, self.count) * c.reshape(-1, self.count)
                made[place] = flat.sum(axis=0)
            else:
                if out.shape != c.shape:
                    raise Unreadable(f"{c.shape} for {out.shape}")
                made[place] = (out * c).sum()
        return made


class Lines:
    """Lines with indices: `Z[i,n] = sum_{j} W[i,j] X[j,n]`, with the patterns of one notation."""

    def __init__(self, entry, total, quotient, size, every):
        self.entry, self.total, self.quotient, self.size, self.every = map(
            re.compile, (entry, total, quotient, size, every)
        )

    def left(self, text):
        """The symbol and letters on the left, if there are any."""
        found = self.entry.fullmatch(text)
        return (found["name"], found["axes"].split(",")) if found else None

    def are_meant(self, right):
        """Whether a right side is one of entries."""
        return bool(self.entry.search(right) or self.total.match(right))

    def value(self, axes, right, known):
        """The array of a line."""
        body, _, other = self.every.sub("\0", right).partition("\0")
        sizes = {"n": int(known["N"][0, 0])}
        if other:
            self.array(other.strip(), known, sizes)
        made = 0.0
        for sign, term in re.findall(r"(^-?|[+-] )((?:(?! [+-] ).)+)", body.strip()):
            part, letters = self.term(term.strip(), known, sizes)
            made = made + (-1 if sign.startswith("-") else 1) * self.spread(part, letters, axes, sizes)
        return shown(made, axes[-1:] == ["n"])

    def spread(self, array, letters, axes, sizes):
        """An array with the axes in their order, repeated over those that it has not."""
        if not set(axes) <= set(sizes) or not set(letters) <= set(axes):
            raise Unreadable(f"indices {letters} for {axes}")
        own = [k for k in axes if k in letters]
        array = np.transpose(array, [letters.index(k) for k in own])
        array = array.reshape([sizes[k] if k in own else 1 for k in axes])
        return np.broadcast_to(array, [sizes[k] for k in axes])

    def term(self, text, known, sizes):
        divisors = []
        if found := self.quotient.fullmatch(text):
            text, below = found["above"], found["below"]
            divisors = self.size.findall(below)
            if self.size.sub("", below).replace("/", "").strip():
                raise Unreadable(below)
        total = self.total.match(text)
        summed = total["axes"].split(",") if total else []
        factors = self.factors(text[total.end() :] if total else text, known, sizes)
        letters = [k for k in dict.fromkeys(k for _, own in factors for k in own) if k not in summed]
        names = {k: chr(97 + i) for i, k in enumerate(sizes)}
        spec = ",".join("".join(names[k] for k in own) for _, own in factors)
        made = np.einsum(f"{spec}->{''.join(names[k] for k in letters)}", *(array for array, _ in factors))
        for k in summed if total and "mean" in total["word"] else ():
            made = made / self.length(k, sizes)
        for k in divisors:
            made = made / self.length(k or "n", sizes)
        return made, letters

    def length(self, letter, sizes):
        """How many values an index has."""
        if letter not in sizes:
            raise Unreadable(f"the index {letter}")
        return sizes[letter]

    def factors(self, text, known, sizes):
        made, rest = [], text
        for found in self.entry.finditer(text):
            made.append((self.array(found.group(), known, sizes), found["axes"].split(",")))
            rest = rest.replace(found.group(), "", 1)
        for name in rest.replace(r"\,", " ").split():
            if name not in known or known[name].shape != (1, 1):
                raise Unreadable(f"the factor {name!r}")
            made.append((known[name][0, 0], []))
        return made

    def array(self, text, known, sizes):
        """The array of `A[i,j,n]`, whose lengths are noted down by letter."""
        name, axes = self.left(text) or ("", [])
        if name not in known:
            raise Unreadable(f"the symbol {name!r} is not defined")
        array = known[name]
        if len(axes) == 1:
            if array.shape[0 if axes == ["n"] else 1] != 1:
                raise Unreadable(f"{text} of shape {array.shape}")
            array = array.ravel()
        if array.ndim != len(axes) or len(set(axes)) != len(axes):
            raise Unreadable(f"{text} of shape {array.shape}")
        for k, size in zip(axes, array.shape, strict=True):
            if sizes.setdefault(k, size) != size:
                raise Unreadable(f"the index {k} of {text} goes to {size} and {sizes[k]}")
        return array


TEXT = Lines(
    r"(?P<name>\w+'?)\[(?P<axes>[a-z](?:,[a-z])*)\]",
    r"(?P<word>sum|mean)_\{(?P<axes>[a-z](?:,[a-z])*)\} ",
    r"(?P<above>[^/]*) / (?P<below>.*)",
    r"size_\{([a-z])\}|N",
    " for every ",
)
LATEX = Lines(
    r"\[(?P<name>[^\[\]]+)\]_\{(?P<axes>[a-z](?:,[a-z])*)\}",
    r"(?P<word>\\sum|\\operatorname\{mean\})_\{(?P<axes>[a-z](?:,[a-z])*)\} ",
    r"\\frac\{(?P<above>.*)\}\{(?P<below>(?:\\operatorname\{size\}_\{[a-z]\}|N| )+)\}",
    r"\\operatorname\{size\}_\{([a-z])\}|N",
    r" \\quad \\text\{for every \}",
)
