"""A self-contained HTML page of the pieces of `flowlab.core.html`; it fetches and runs nothing."""

import base64
import hashlib

from flowlab.core.html import Markup, answer, math, number, picture, prose, soft, table, tex, unfolding

_STYLE = """
:root { --ink: #1b1b1b; --soft: #5c5c5c; --line: #d9d9d9; --paper: #ffffff; --band: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a8a8a8; --line: #3d3d3d; --paper: #161616; \
--band: #202226; }
  figure img { background: #fff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; \
border-bottom: 1px solid var(--line); }
a { color: #0b57d0; } td ul { margin: .3rem 0 0; padding-left: 1.1rem; color: var(--soft); }
@media (prefers-color-scheme: dark) { a { color: #8ab4f8; } }
.wide { overflow-x: auto; } \
.wide:focus-visible, summary:focus-visible, a:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } th, td { text-align: left; vertical-align: top; \
padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; } td.number { font-variant-numeric: tabular-nums; \
white-space: nowrap; }
.soft { color: var(--soft); } .answer { font-weight: 600; white-space: nowrap; }
.holds::before { content: "\\2713\\00a0"; } .refuted::before { content: "\\2717\\00a0"; } \
.undecided::before { content: "?\\00a0"; }
.holds { color: #00704f; } .refuted { color: #b34700; } .undecided { color: #705500; }
@media (prefers-color-scheme: dark) { .holds { color: #4fd1a5; } .refuted { color: #ff9a5c; } \
.undecided { color: #f0c75e; } }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; } summary { padding: .5rem .8rem; \
cursor: pointer; }
details > div { scroll-margin-top: 3.2rem; padding: .1rem .8rem .8rem; background: var(--band); }
math[display=block] { margin: .6rem 0; padding: .2rem 0; overflow-x: auto; overflow-y: hidden; max-width: 100%; }
mtd[columnalign=left] { text-align: left; } mtd[columnalign=right] { text-align: right; } \
mtable[displaystyle=true] mtd { padding: .25rem 0; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; } code { font-size: .9em; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
"""

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""What a browser may load and run: pictures set into the page and this one style sheet, no script and nothing from
elsewhere.
"""


def page(title: str, body: str) -> str:
    """The whole page; only `Markup` is not escaped."""
    # A data address, or browsers ask the disk for an icon and report its absence.
    whole = Markup(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>{title}</title><link rel="icon" href="data:,"><style>{style}</style></head>\n'
        "<body><main><h1>{title}</h1>\n{body}\n</main></body></html>\n"
    ).format(policy=_POLICY, title=title, style=Markup(_STYLE), body=body)
    return str(whole)


__all__ = ["Markup", "answer", "math", "number", "page", "picture", "prose", "soft", "table", "tex", "unfolding"]
