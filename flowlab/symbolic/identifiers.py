"""Names that are identifiers in every language that equations are written in: different things get different ones."""

import keyword
import re

_RESERVED = frozenset(
    (
        *keyword.kwlist,
        # Of C and its mathematical header.
        *("auto", "break", "case", "char", "const", "default", "do", "double", "enum", "extern", "float", "goto"),
        *("inline", "int", "long", "register", "restrict", "short", "signed", "sizeof", "static", "struct", "switch"),
        *("typedef", "union", "unsigned", "void", "volatile", "main", "y0", "y1", "yn", "j0", "j1", "jn", "gamma"),
        *("isnan", "isinf", "isfinite", "trunc", "fabs", "malloc", "free", "i", "sum", "values"),
        # Of Julia.
        *("abstract", "baremodule", "begin", "catch", "end", "export", "false", "function", "im", "let", "local"),
        *("macro", "module", "mutable", "pi", "primitive", "quote", "true", "type", "using", "where"),
        # Of mathematics, and of what is written around lines.
        *("acos", "asin", "atan", "cos", "cosh", "erf", "erfc", "exp", "expm1", "log", "log1p", "pow", "sign", "sin"),
        *("sinh", "special", "ceil", "floor"),
        *("sqrt", "tan", "tanh", "max", "min", "abs", "np", "jnp", "jax", "math", "rate", "work", "contract", "spread"),
        *("rowmajor", "padded", "float", "bool", "cat", "fill", "only", "prod", "reverse", "collect"),
    )
)
"""Words that mean something in a language, or in what is written in it."""


class Identifiers:
    """Gives out identifiers of ASCII letters, digits and underscores, each once.

    Example:
        >>> names = Identifiers()
        >>> names.of("W1[1,2]"), names.of("W1_1_2"), names.of("lambda")
        ('W1_1_2', 'W1_1_2_', 'lambda_')
    """

    def __init__(self) -> None:
        self._given = set(_RESERVED)

    def of(self, name: str) -> str:
        """An identifier as like a name as can be; brackets and commas become underscores."""
        made = re.sub(r"[\[,]", "_", name.replace("]", ""))
        made = "".join(c if c.isascii() else f"u{ord(c):x}" for c in made)
        made = re.sub(r"\W", "_", made)
        made = made if made and not made[0].isdigit() else f"_{made}"
        while made in self._given:
            made += "_"
        self._given.add(made)
        return made
