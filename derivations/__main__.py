"""`python -m derivations --out DIR`: run every derivation, write it as Markdown and LaTeX,
and tell what its checks measured.
"""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
ORDER = (
    "polar_flow",
    "schemes",
    "clocks",
    "equal_growth",
    "balance",
    "closed_forms",
    "critical_points",
    "hessian",
    "smoothed_margin",
    "late_times",
    "sharp_growth",
    "discrete_balance",
    "unit_norm_rules",
    "covariances",
    "induced_flow",
    "coarse_gradients",
    "games",
)
"""Of reading; a file that is not named here comes after them, by name."""


def modules() -> list[ModuleType]:
    """Every file of this folder that defines a derivation."""
    names = sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_"))
    names.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    return [m for m in (import_module(f"derivations.{name}") for name in names) if hasattr(m, "controls")]


def main(argv: list[str] | None = None) -> int:
    """Run, write, tell. Returns 0, or 1 if a step failed or a wrong step passed."""
    parser = argparse.ArgumentParser(
        prog="python -m derivations", description="Run every derivation and write it as Markdown and LaTeX."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=FOLDER / "rendered",
        help="""folder to write to: Markdown, LaTeX and one appendix of all; Markdown alone
        for the one that is kept in the repository""",
    )
    out = parser.parse_args(argv).out

    os.environ.setdefault("FLOWLAB_CACHE", "off")
    import jax

    jax.config.update("jax_enable_x64", True)
    from derivations.notebook import appendix, render
    from flowlab.core.errors import DerivationMismatch

    made = []
    for module in modules():
        name = module.__name__.rpartition(".")[2]
        try:
            derivation = module.derivation()
        except DerivationMismatch as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{name}: {len(derivation.sizes)} steps hold")
        for label, size in derivation.sizes.items():
            print(f"  {label:16s} {size:.1e}")
        for wrong, control in module.controls().items():
            try:
                control()
            except DerivationMismatch as error:
                print(f"  refused: {wrong} ({error.equation} off by {error.residual:.1e})")
            else:
                print(f'the wrong step "{wrong}" of {name} passed its check.', file=sys.stderr)
                return 1
        made.append((name, derivation))
    kept = out.resolve() == FOLDER / "rendered"
    written = render(made, out, (".md",) if kept else (".md", ".tex"))
    if not kept:
        written.append(out / "appendix.tex")
        written[-1].write_text(appendix(made), encoding="utf-8")
    print(f"{len(written)} files in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
