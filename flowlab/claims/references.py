"""`cite`: BibTeX of the package, and of the papers whose statements a result is about."""

import re
from collections.abc import Iterator, Sequence

from flowlab.claims.claim import claims
from flowlab.claims.manifest import entries
from flowlab.claims.verdict import Verdict
from flowlab.core.arguments import guarded
from flowlab.core.errors import LanguageError
from flowlab.core.provenance import versions
from flowlab.core.typing import Record
from flowlab.language.drawable import ResultLike

_JOURNALS = ("article", "journal")
_MEETINGS = ("inproceedings", "booktitle")


def _paper(key: str, authors: str, title: str, where: tuple[str, str], venue: str, year: int) -> tuple[str, Record]:
    kind, at = where
    return key, {"kind": kind, "author": authors, "title": title, at: venue, "year": str(year)}


PAPERS: dict[str, Record] = dict(
    _paper(*told)
    for told in (
        (
            "arora2018",
            "Arora, Sanjeev and Cohen, Nadav and Hazan, Elad",
            "On the optimization of deep networks: Implicit acceleration by overparameterization",
            _MEETINGS,
            "International Conference on Machine Learning",
            2018,
        ),
        (
            "brechet2023",
            "Bréchet, Pierre and Papagiannouli, Katerina and An, Jing and Montúfar, Guido",
            "Critical points and convergence analysis of generative deep linear networks trained with"
            " Bures-Wasserstein loss",
            _MEETINGS,
            "International Conference on Machine Learning",
            2023,
        ),
        (
            "complexity2020",
            "Poggio, Tomaso and Liao, Qianli and Banburski, Andrzej",
            "Complexity control by gradient descent in deep networks",
            _JOURNALS,
            "Nature Communications",
            2020,
        ),
        (
            "daskalakis2019",
            "Daskalakis, Constantinos and Panageas, Ioannis",
            "Last-iterate convergence: Zero-sum games and constrained min-max optimization",
            _MEETINGS,
            "Innovations in Theoretical Computer Science",
            2019,
        ),
        (
            "du2018",
            "Du, Simon S. and Hu, Wei and Lee, Jason D.",
            "Algorithmic regularization in learning deep homogeneous models: Layers are automatically balanced",
            _MEETINGS,
            "Advances in Neural Information Processing Systems",
            2018,
        ),
        (
            "gunasekar2018",
            "Gunasekar, Suriya and Lee, Jason D. and Soudry, Daniel and Srebro, Nathan",
            "Implicit bias of gradient descent on linear convolutional networks",
            _MEETINGS,
            "Advances in Neural Information Processing Systems",
            2018,
        ),
        (
            "ji2020",
            "Ji, Ziwei and Telgarsky, Matus",
            "Directional convergence and alignment in deep learning",
            _MEETINGS,
            "Advances in Neural Information Processing Systems",
            2020,
        ),
        (
            "lyu2020",
            "Lyu, Kaifeng and Li, Jian",
            "Gradient descent maximizes the margin of homogeneous neural networks",
            _MEETINGS,
            "International Conference on Learning Representations",
            2020,
        ),
        (
            "neural_mechanics",
            "Kunin, Daniel and Sagastuy-Brena, Javier and Ganguli, Surya and Yamins, Daniel L. K. and Tanaka, Hidenori",
            "Neural mechanics: Symmetry and broken conservation laws in deep learning dynamics",
            _MEETINGS,
            "International Conference on Learning Representations",
            2021,
        ),
        (
            "poggio2020",
            "Poggio, Tomaso and Banburski, Andrzej and Liao, Qianli",
            "Theoretical issues in deep networks",
            _JOURNALS,
            "Proceedings of the National Academy of Sciences",
            2020,
        ),
        (
            "saxe2014",
            "Saxe, Andrew M. and McClelland, James L. and Ganguli, Surya",
            "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
            _MEETINGS,
            "International Conference on Learning Representations",
            2014,
        ),
        (
            "soudry2018",
            "Soudry, Daniel and Hoffer, Elad and Nacson, Mor Shpigel and Gunasekar, Suriya and Srebro, Nathan",
            "The implicit bias of gradient descent on separable data",
            _JOURNALS,
            "Journal of Machine Learning Research",
            2018,
        ),
        (
            "woodworth2020",
            "Woodworth, Blake and Gunasekar, Suriya and Lee, Jason D. and Moroshko, Edward and Savarese, Pedro and"
            " Golan, Itay and Soudry, Daniel and Srebro, Nathan",
            "Kernel and rich regimes in overparametrized models",
            _MEETINGS,
            "Conference on Learning Theory",
            2020,
        ),
        (
            "yin2019",
            "Yin, Penghang and Lyu, Jiancheng and Zhang, Shuai and Osher, Stanley and Qi, Yingyong and Xin, Jack",
            "Understanding straight-through estimator in training activation quantized neural nets",
            _MEETINGS,
            "International Conference on Learning Representations",
            2019,
        ),
        (
            "zhang2024",
            "Zhang, Ruiqi and Frei, Spencer and Bartlett, Peter L.",
            "Trained transformers learn linear models in-context",
            _JOURNALS,
            "Journal of Machine Learning Research",
            2024,
        ),
        (
            "zhou_ge2023",
            "Zhou, Mo and Ge, Rong",
            "Implicit regularization leads to benign overfitting for sparse linear regression",
            _MEETINGS,
            "International Conference on Machine Learning",
            2023,
        ),
    )
)
"""The papers of the packs of the library, by pack; packs of several papers are cited by the sources of their claims."""


@guarded
def cite(result: ResultLike | Verdict | str | Sequence[Verdict | str] | None = None) -> str:
    """What to cite, as BibTeX: the package, and the papers behind the claims of a result.

    Args:
        result: a verdict or several, the id of a claim or several, or another result; nothing for the package alone.

    Returns:
        One entry for the package, one for every paper, and for claims whose paper is not in the library one with their
        source as it is told.

    Raises:
        UnknownName: for an unknown id.

    Examples:
        >>> print(fl.cite("S1").splitlines()[0])
        @software{flowlab,
    """
    listed = [result] if isinstance(result, str | Verdict) else result
    ids = [each.id if isinstance(each, Verdict) else each for each in listed] if isinstance(listed, Sequence) else []
    for name in ids:
        if not isinstance(name, str):
            raise LanguageError(f"`result` must hold verdicts or ids of claims, got {type(name).__name__}; pass those.")
    return "\n\n".join(dict.fromkeys([_package(), *(entry for name in ids for entry in _of(name))])) + "\n"


def _package() -> str:
    told = {"title": "flowlab: the continuous-time theory of deep learning, derived, integrated and checked"}
    return _entry("software", "flowlab", told | {"author": "{The flowlab authors}", "version": versions()["flowlab"]})


def _of(name: str) -> Iterator[str]:
    """The entries of a claim."""
    word, listed = claims[name], entries().get(name)
    pack = "" if listed is None else listed.pack
    if pack in PAPERS:
        paper = PAPERS[pack]
        yield _entry(paper["kind"], pack, {k: v for k, v in paper.items() if k != "kind"})
    else:
        key = re.sub(r"[^\w.-]+", "-", name).strip("-") or "claim"
        yield _entry("misc", key, {"title": word.title, "note": word.source})


def _entry(kind: str, key: str, told: Record) -> str:
    """One entry; of what a user wrote, the characters that BibTeX reads are escaped."""
    lines = [f"  {name} = {{{_plain(str(value))}}}," for name, value in told.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _plain(text: str) -> str:
    line = re.sub(r"(?<!\\)([%&#_$])", r"\\\1", " ".join(text.split()))
    # Braces must pair, or the entry does not end where it should.
    depth = 0
    for c in line:
        depth += (c == "{") - (c == "}")
        if depth < 0:
            break
    return line if depth == 0 else line.replace("{", "(").replace("}", ")")
