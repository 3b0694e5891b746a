"""Pages are whole in themselves, show their formulas, work by keyboard and on narrow screens."""

import math
import re
import shutil
from html.parser import HTMLParser

import pytest

import flowlab as fl
from flowlab.app import html
from flowlab.app.report import pack_report
from flowlab.app.verdict_figure import bounds_figure, nearness, run_figures
from flowlab.app.verify import Selection, packs, refutations, summary
from flowlab.claims import claims
from tests.figures.instances import trajectory


def told(answer="holds", **more):
    quantity = fl.Quantity(
        "C*", 0.1607, 0.16070280662, 1e-3, error=1e-6, second=0.1607, second_route="closed form", printed="0.1607"
    )
    evidence = {
        "quantities": [quantity.to_dict()],
        "mutants": {"a wrong one": {"measured": 1.0, "bound": 0.1, "error": 0.0, "refuted": True}},
        "seed": 0,
        "versions": {"flowlab": "0"},
        "table": {"<script>": 1},
    }
    return fl.Verdict("P1", answer, 1e-15, 1e-12, "because of <this>", evidence, **more)


def report(*verdicts, left_out=()):
    return pack_report(verdicts, summary(verdicts, Selection(tuple(v.id for v in verdicts), left_out), 0))


class Checker(HTMLParser):
    """Every tag is closed in its order, and nothing is fetched."""

    VOID = ("meta", "link", "img", "br", "mspace", "mi")

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag != "script"
        for name, value in attrs:
            if name in ("src", "href"):
                assert value.startswith(("data:", "#")), value
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def whole(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert "url(" not in text
    assert "@import" not in text


def test_a_page_is_whole_and_escapes_what_it_shows():
    text = report(told(), left_out=("P9",))
    whole(text)
    assert "because of &lt;this&gt;" in text
    assert "<script>" not in text
    assert "Left out of this quick tier: P9" in text
    assert "0.1607" in text
    whole(report(told("undecided", code="no power")))


def test_a_broken_page_is_noticed():
    with pytest.raises((AssertionError, IndexError)):
        whole(report(told()).replace("</table>", ""))
    with pytest.raises(AssertionError):
        whole(report(told()).replace('href="#P1"', 'href="other.html"'))


@pytest.mark.parametrize("depth", ["structural", "matrix"])
@pytest.mark.parametrize(
    "net", ["W2 @ relu(W1 @ x)", "W3 @ relu(W2 @ relu(W1 @ x)) + W4 @ x", "a @ relu(W @ x + b)**2"]
)
def test_every_printed_equation_is_shown_as_a_formula(net, depth):
    text = html.tex(fl.derive(fl.Problem(net)).latex(depth))
    whole(f"<div>{text}</div>")
    outside = re.sub(r"<math.*?</math>|<code>.*?</code>", "", text, flags=re.DOTALL)
    assert "$" not in outside
    assert "\\" not in outside, re.findall(r".{30}\\.{30}", outside)[:3]
    # What the converter does not know would be left as code.
    assert not re.search(r"<code>[^<]*\\", text)
    assert not re.search(r"<m[ion]>\\", text)


@pytest.mark.parametrize("name", [name for ids in packs().values() for name in ids])
def test_every_statement_is_shown_as_a_formula(name):
    made = html.math(claims[name].latex, display=True)
    assert made.startswith("<math ")
    assert not re.search(r"<m[ion]>(\\|&(?![#a-z]))", made)


def test_formulas_that_cannot_be_read_are_shown_as_they_stand():
    assert html.math(r"\frac") == r"<code>\frac</code>"
    assert html.prose("a $x$ and `b_c` & d").endswith("and <code>b_c</code> &amp; d")


def test_the_table_of_usual_statements(monkeypatch):
    monkeypatch.setattr(claims["P1"], "usual", "it is so for biases too")
    monkeypatch.setattr(claims["P1"], "decisive", "the residual")
    one = told()
    one.evidence["mutants"]["as usually stated"] = {"measured": 1.0, "bound": 0.1, "error": 0.0, "refuted": True}
    (row,) = refutations([one])
    assert row["answer"] == "refuted"
    assert "off by 1" in row["against"][0]
    assert "off by 1" in report(one)
    assert "it is so for biases too" in report(one)
    # A verdict that does not hold decides against nothing.
    assert refutations([told("undecided", code="no power")])[0]["answer"] == "undecided"


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def browser(tmp_path):
    selenium = pytest.importorskip("selenium.webdriver", reason="needs `pip install flowlab[browser]`")
    if BROWSER is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver")
    options = selenium.ChromeOptions()
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def test_in_a_browser(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys

    body = html.tex(fl.derive(fl.Problem("W2 @ relu(W1 @ x)")).latex("structural"))
    file = tmp_path / "report.html"
    file.write_text(report(told(), told()).replace("</main>", f"{body}</main>"), encoding="utf-8")
    browser.get(file.as_uri())
    assert browser.get_log("browser") == []
    # Formulas take room on the page, as only those do that are set.
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('main > math')].map(m => m.getBoundingClientRect()).map(r => [r.width,"
        " r.height])"
    )
    assert len(sizes) > 8
    assert all(w > 20 and h > 10 for w, h in sizes)
    # By keyboard alone: to the first part that unfolds, and open it.
    first = browser.find_element("css selector", "details")
    assert first.get_attribute("open") is None
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.execute_script("return document.activeElement.tagName") == "SUMMARY":
            break
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert first.get_attribute("open") is not None
    # A link of the table opens the part it leads to.
    browser.execute_script("document.querySelector('details').open = false")
    browser.find_element("css selector", "td a").click()
    assert first.get_attribute("open") is not None
    for width in (320, 1200):
        browser.set_window_size(width, 800)
        inner, whole_page = browser.execute_script("return [window.innerWidth, document.documentElement.scrollWidth]")
        assert whole_page <= inner, (width, whole_page)


def shown(name="loss"):
    return html.Shown.of(fl.draw(name, trajectory()))


def test_figures_stand_with_their_captions():
    one = shown()
    text = pack_report([told()], summary([told()], Selection(("P1",)), 0), [one], {"P1": [shown("norms")]})
    whole(text)
    assert text.count("<figure") == 2
    assert "<b>loss.</b> Log of the loss over log t." in text
    assert 'alt="Norms rho_k over log t"' in text
    assert "<math" in text.partition("<b>norms.</b>")[2].partition("</figcaption>")[0]


def test_templates_escape_what_users_wrote():
    bad = html.Shown("<script>a</script>", "<img src=x> $x$. b", b"")
    text = pack_report([told()], summary([told()], Selection(("P1",)), 0), [bad])
    assert "<script>" not in text
    assert "<img src=x>" not in text
    assert "&lt;img src=x&gt;" in text
    assert "<i>" not in html.page("<i>", "<i>")
    assert "<i>" in html.page("t", html.Markup("<i>x</i>"))


def test_cells_say_what_their_column_is():
    text = str(html.table(("a", 'b "c"'), [("x", html.number(1.0))], "caption"))
    assert '<td data-label="a">x</td>' in text
    assert '<td data-label="b &#34;c&#34;" class="number">1</td>' in text


def test_nearness_to_bounds():
    assert nearness(told()) == pytest.approx(abs(0.1607 - 0.16070280662) / 1e-3)
    assert nearness(fl.Verdict("P1", "holds", 0.5, 2.0, "", {})) == 0.25
    assert math.isnan(nearness(fl.Verdict("P1", "holds", 0.5, 0.0, "", {})))
    (one,) = bounds_figure([told(), told("refuted")])
    assert "2 verdicts have a number and a bound" in one.caption
    assert bounds_figure([fl.Verdict("P1", "holds", 0.5, 0.0, "", {})]) == []


def test_runs_behind_a_claim_are_drawn(tmp_path):
    assert run_figures(tmp_path / "nothing") == []
    fl.save(trajectory(), tmp_path / "a.nc")
    (one,) = run_figures(tmp_path)
    assert one.picture.startswith(b"\x89PNG")


SEEN = "return document.querySelector('details > div p').checkVisibility()"


def printed(browser, file, text):
    """Whether folded evidence of a page is seen in print; on the screen it is not."""
    file.write_text(text, encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
    browser.get(file.as_uri())
    assert not browser.execute_script(SEEN)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    seen = browser.execute_script(SEEN)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
    return seen


def test_print_unfolds_and_narrow_screens_cut_nothing(browser, tmp_path):
    file = tmp_path / "report.html"
    two = [told(), told("refuted")]
    made = pack_report(two, summary(two, Selection(("P1", "P1")), 0), [shown()], {"P1": [shown("schemes")]})
    # Control: without the rule that unfolds it, evidence is lost in print.
    assert "details::details-content" in made
    assert not printed(browser, file, made.replace("details::details-content", "details::nothing"))
    assert printed(browser, file, made)
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide = """return [...document.querySelectorAll('td, p, h1, h2, figcaption, summary')].filter(
        e => e.getBoundingClientRect().right > 390.5).map(e => e.textContent)"""
    assert browser.execute_script(wide) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    colour = "return getComputedStyle(document.body).backgroundColor"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    light = browser.execute_script(colour)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert browser.execute_script(colour) != light
