"""The site is built offline; its links lead somewhere, it fetches nothing, and it can be read on narrow screens."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlunsplit

import pytest

from tests.app.test_report import browser

ROOT = Path(__file__).resolve().parents[2]
NARROW = 390
"""Pixels of a telephone, upright."""
_browser = browser
"""A fixture of the tests of reports: a headless Chromium, or a skip that names what is missing."""


class Page(HTMLParser):
    """What a page refers to: links, what it loads, and the places in it that links can lead to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.places, self.formulas, self.in_script = [], [], {"", "__top"}, 0, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        has = dict(attrs)
        self.in_script = tag == "script"
        self.places |= {has[key] for key in ("id", "name") if has.get(key)}
        self.formulas += tag == "math"
        if tag == "a" and has.get("href") is not None:
            self.links.append(has["href"])
        elif tag == "link" and has.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loads.append(has["href"])
        elif has.get("src"):
            self.loads.append(has["src"])

    def handle_endtag(self, tag):
        self.in_script = False

    def handle_data(self, data):
        if self.in_script:
            self.loads += re.findall(r"https?:/{2}(?!www\.w3\.org)[^\"' ]+", data)


def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def is_outside(address):
    return re.match(r"[a-z]+:|//", address) is not None and not address.startswith("data:")


def broken(found, site):
    """Links within the site that lead nowhere, and things that are loaded from elsewhere or are not there."""
    told = []
    for path, page in found.items():
        for address in page.links + page.loads:
            if is_outside(address):
                told += [f"{path.name} loads {address}"] if address in page.loads else []
                continue
            if address.startswith("data:"):
                continue
            place, anchor = urldefrag(unquote(address))
            # The page for addresses that are not there knows its place by the root of the site.
            home = site if place.startswith("/") else path.parent
            target = (home / place.lstrip("/")).resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                told.append(f"{path.name}: {address} is not there")
            elif target in found and anchor not in found[target].places:
                told.append(f"{path.name}: {address} has no such place")
    return told


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs `pip install flowlab[docs]`")
    pytest.importorskip("material", reason="needs `pip install flowlab[docs]`")
    pytest.importorskip("mkdocstrings_handlers.python", reason="needs `pip install flowlab[docs]`")
    pytest.importorskip("mkdocs_jupyter", reason="needs `pip install flowlab[docs]`")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.long
def test_links_lead_somewhere_and_nothing_is_fetched(site):
    found = pages(site)
    assert len(found) > 60
    assert broken(found, site) == []
    assert sum(page.formulas for page in found.values()) > 500
    # Every public name has an entry.
    places = {place for page in found.values() for place in page.places}
    assert {"flowlab.symbolic.derive.derive", "flowlab.language.activations.piecewise.Relu"} <= places


def test_a_broken_link_is_noticed(tmp_path):
    good = '<h1 id="a">A</h1><a href="#a">a</a><a href="other.html#b">b</a><a href="mailto:a@b">c</a>'
    (tmp_path / "other.html").write_text('<p id="b">b</p>')
    (tmp_path / "index.html").write_text(good)
    assert broken(pages(tmp_path), tmp_path) == []
    for right, wrong in (
        ("#a", "#c"),
        ("other", "another"),
        ("html#b", "html#c"),
        ("</h1>", '</h1><img src="//x/y">'),
        ("</h1>", '</h1><script>import("https:' + '//x/y")</script>'),
    ):
        (tmp_path / "index.html").write_text(good.replace(right, wrong))
        assert len(broken(pages(tmp_path), tmp_path)) == 1


@pytest.fixture(scope="module")
def served(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield urlunsplit(("http", f"127.0.0.1:{server.server_port}", "", "", ""))
    server.shutdown()
    server.server_close()


WIDER = """
const wide = document.documentElement.clientWidth;
return document.documentElement.scrollWidth > wide + 1 ? document.documentElement.scrollWidth : 0
"""


def narrow(driver):
    """Telephones are narrower than the least width of a window."""
    size = {"width": NARROW, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.long
def test_pages_in_a_browser(browser, served, site):
    narrow(browser)
    for path in sorted(site.rglob("*.html")):
        browser.get(f"{served}/{path.relative_to(site)}")
        assert browser.get_log("browser") == [], path.name
        assert browser.execute_script(WIDER) == 0, path.name


@pytest.mark.long
def test_a_page_that_is_too_wide_and_one_with_an_error_are_noticed(browser, tmp_path):
    narrow(browser)
    file = tmp_path / "wide.html"
    head = '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
    file.write_text(f'{head}<div style="width: 900px">wide</div><script>nowhere()</script>')
    browser.get(file.as_uri())
    assert browser.execute_script(WIDER) > NARROW
    assert len(browser.get_log("browser")) == 1


@pytest.mark.long
def test_search_finds_a_name(browser, served):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.set_window_size(1280, 900)
    browser.get(f"{served}/index.html?q=replicator")
    found = WebDriverWait(browser, 60).until(
        lambda driver: driver.find_elements("css selector", ".md-search-result__item a")
    )
    assert any("game" in (link.get_attribute("href") or "") for link in found)
