"""flowlab: the continuous-time theory of deep learning, derived, integrated and checked.

Names are loaded when first used, so that `import flowlab` costs nothing and does not import jax.
"""

import logging
import os
from importlib import import_module
from typing import Any

from flowlab.core.public import HOME, listed, words

__version__ = "0.2.0"
"""The version of this package.

Examples:
    >>> fl.__version__.count(".")
    2
"""

# What runs say of themselves is heard by those who ask for it: `logging.getLogger("flowlab")`.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_CHECKED = ("language", "symbolic", "lowering", "dynamics", "late", "discrete", "studies")

if os.environ.get("FLOWLAB_SHAPES") == "1":
    # For tests: every call is checked against its annotations, shapes of arrays included. The checker lies in core.
    from jaxtyping import install_import_hook

    install_import_hook([f"flowlab.{room}" for room in _CHECKED], "flowlab.core.typing.checked")


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(HOME[name]), name)
    if name == "__all__":
        # Asked for by `from flowlab import *` alone; a plain import reads no file.
        return listed()
    # The import system asks for names such as `__path__`; no word starts with an underscore.
    known = () if name.startswith("_") else words()
    if name in known:
        return getattr(import_module("flowlab.language.functions"), name)
    from flowlab.core.registry import nearest

    guess = nearest(name, [*HOME, *known])
    raise AttributeError(f"flowlab has no `{name}`{f'; did you mean `{guess}`?' if guess else '.'}")


def __dir__() -> list[str]:
    return listed()
