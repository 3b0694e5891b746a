"""Printed laws, worked out from their text alone: products by a space, `*` entry by entry, words of matrices."""

import re
from collections.abc import Mapping

import numpy as np

WORDS = {
    "diag": np.diagonal,
    "tr": np.trace,
    "sum": np.sum,
}


def read(text: str, W: Mapping[str, np.ndarray], rates: Mapping[str, float] | None = None) -> np.ndarray:
    """The value of a law's text at weights; vectors are columns, and what comes out is squeezed."""
    known = {w: np.reshape(v, (*np.shape(v), 1)) if np.ndim(v) == 1 else np.asarray(v, float) for w, v in W.items()}
    numbers = {f"eta_{w}": eta for w, eta in (rates or {}).items()}
    body = re.sub(r"^\((.*)\) exp\([0-9.e-]+ t\)$", r"\1", text)
    return np.squeeze(_total(body, known, numbers))


def _parts(text: str, marks: str) -> list[tuple[str, str]]:
    """(mark before, part) at the top level of brackets."""
    depth, start, found, mark = 0, 0, [], ""
    for i, char in enumerate(text):
        depth += (char in "([<") - (char in ")]>")
        if depth == 0 and char in marks and text[i - 1 : i + 2] == f" {char} ":
            found.append((mark, text[start:i].strip()))
            start, mark = i + 1, char
    return [*found, (mark, text[start:].strip())]


def _total(text: str, W: Mapping[str, np.ndarray], numbers: Mapping[str, float]) -> np.ndarray:
    total = None
    for mark, part in _parts(text, "+-"):
        value = _quotient(part, W, numbers)
        value = -value if mark == "-" else value
        if total is None:
            total = value
        elif np.size(value) == np.size(total) and np.ndim(value) != np.ndim(total):
            total = np.ravel(total) + np.ravel(value)
        else:
            total = np.eye(len(value)) * total + value if np.ndim(total) == 0 and np.ndim(value) == 2 else total + value
    return total


def _quotient(text: str, W: Mapping[str, np.ndarray], numbers: Mapping[str, float]) -> np.ndarray:
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.removeprefix("-")
    head, below, depth = text, "", 0
    for i, char in enumerate(text):
        depth += (char in "([<") - (char in ")]>")
        if char == "/" and depth == 0:
            head, below = text[:i], text[i + 1 :]
    share = 1.0
    for word in below.strip("()").replace("sqrt(", "").split():
        share *= numbers[word] if word in numbers else float(word)
    share = np.sqrt(share) if below.startswith("sqrt") else share
    return sign * _product(head, W, numbers) / share


def _product(text: str, W: Mapping[str, np.ndarray], numbers: Mapping[str, float]) -> np.ndarray:
    entrywise = _parts(text, "*")
    if len(entrywise) > 1:
        out = _product(entrywise[0][1], W, numbers)
        for _, part in entrywise[1:]:
            out = out * _product(part, W, numbers)
        return out
    if match := re.fullmatch(r"((?:\d+ )?)(?:sum_(\w+) )?(\w+\[[a-z,]+\](?: \w+\[[a-z,]+\])*)", text):
        return float(match[1] or 1) * _indexed(match[3], match[2] or "", W)
    # A norm and an inner product hold spaces of their own.
    if match := re.fullmatch(r"((?:\d+ )?)\|(\w+)\|\^2", text):
        return float(match[1] or 1) * np.sum(W[match[2]] ** 2)
    if match := re.fullmatch(r"((?:\d+ )?)<(\w+), (\w+)>", text):
        return float(match[1] or 1) * np.sum(W[match[2]] * W[match[3]])
    out = None
    for factor in _factors(text):
        value = _factor(factor, W, numbers)
        if out is None:
            out = np.ones(len(value)) if factor == "1^T" else value
        elif np.ndim(out) == 0 or np.ndim(value) == 0:
            out = out * value
        else:
            out = out @ value
    return out


def _indexed(text: str, summed: str, W: Mapping[str, np.ndarray]) -> np.ndarray:
    """`T[i,k,l] T[j,k,l]`, where i and j are kept, and k and l summed."""
    found = re.findall(r"(\w+)\[([a-z,]+)\]", text)
    axes = [letters.replace(",", "") for _, letters in found]
    kept = "".join(sorted(set("".join(axes)) - set(summed)))
    return np.einsum(",".join(axes) + "->" + kept, *(W[w] for w, _ in found))


def _factors(text: str) -> list[str]:
    depth, word, found = 0, "", []
    for char in text + " ":
        depth += (char == "(") - (char == ")")
        if char == " " and depth == 0:
            found += [word] if word else []
            word = ""
        else:
            word += char
    ones = found.index("1^T") if "1^T" in found else None
    if ones is not None:
        # A row of ones takes its length from what it meets.
        found[ones : ones + 2] = [f"sum_rows({found[ones + 1]})"]
    if found[-1] == "1" and len(found) > 1:
        found[-2:] = [f"sum_columns({found[-2]})"]
    return found


def _factor(text: str, W: Mapping[str, np.ndarray], numbers: Mapping[str, float]) -> np.ndarray:
    if text.endswith("^T"):
        return _factor(text[:-2], W, numbers).T
    if match := re.fullmatch(r"(\w+)\^2", text):
        return W[match[1]] ** 2
    if match := re.fullmatch(r"(\w*)\((.*)\)", text):
        inside = match[2]
        if match[1] in ("sum_rows", "sum_columns"):
            return _factor(inside, W, numbers).sum(axis=0 if match[1] == "sum_rows" else 1)
        value = _shifted(inside, W) if inside.startswith(("I ", "2 I")) else _total(inside, W, numbers)
        return WORDS[match[1]](value) if match[1] else value
    return np.asarray(float(text)) if re.fullmatch(r"[\d.]+", text) else W[text]


def _shifted(text: str, W: Mapping[str, np.ndarray]) -> np.ndarray:
    """`I + W`, or `2 I - W`."""
    match = re.fullmatch(r"(?:(\d+) )?I ([+-]) (\w+)", text)
    block = W[match[3]]
    return float(match[1] or 1) * np.eye(len(block)) + (block if match[2] == "+" else -block)
