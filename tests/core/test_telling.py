"""How far work is: nothing unasked, and what is asked for on stderr alone."""

import json
import logging
import re
import sys

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.telling import MODES, chosen, telling
from flowlab.dynamics.run import progress as of_runs
from flowlab.dynamics.run.segment import Segment

DATA = fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1.0, -1.0])


@pytest.fixture(scope="module")
def field():
    return fl.lower(fl.derive(fl.Problem("w @ x"), verify=False))


def run(field, **given):
    start = fl.initial_state("w @ x", DATA, seed=1)
    return fl.integrate(field, start, DATA, until=fl.log_time(40.0), **given)


@pytest.mark.parametrize(
    ("asked", "terminal", "way"),
    [
        (True, False, "bar"),
        (False, True, "none"),
        ("auto", True, "bar"),
        ("auto", False, "plain"),
        ("json", True, "json"),
    ],
)
def test_which_way_is_taken(asked, terminal, way, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert chosen(asked) == way


def test_a_notebook_gets_a_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", sys)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert chosen("auto") == "bar"


def test_a_run_is_told_as_asked_and_writes_nothing_unasked(field, capsys, monkeypatch):
    monkeypatch.setattr(of_runs, "EVERY", 0.0)
    # Between chunks there is something to tell, and so short a run would be one.
    monkeypatch.setattr(Segment, "pace", lambda _: 4)
    told = {how: (run(field, progress=how), capsys.readouterr())[1] for how in (False, *MODES[1:])}
    assert all(seen.out == "" for seen in told.values())
    assert told[False].err == told["none"].err == ""
    assert told["plain"].err.startswith("flowlab: log t")
    lines = [json.loads(line) for line in told["json"].err.splitlines()]
    assert {"time", "level", "logger", "message", "log_t", "log_loss"} <= set(lines[0])
    assert "flowlab: " not in told["bar"].err.replace("flowlab: log t", "")
    # What was asked for once is not kept up.
    run(field)
    assert capsys.readouterr().err == ""


def test_another_way_is_refused(field):
    with pytest.raises(fl.LanguageError, match="`progress` must be True, False or one of auto, bar"):
        run(field, progress="loud")


def test_events_of_a_run_are_logged_for_who_listens(field, caplog):
    with caplog.at_level(logging.DEBUG, "flowlab"):
        path = run(field)
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.DEBUG]
    assert told[0].startswith("a run to t = 2.35385e+17 begins")
    assert any("norm clock" in line for line in told)
    assert told[-1] == str(path.outcome)
    assert all(r.name.startswith("flowlab.") for r in caplog.records)
    caplog.clear()
    run(field)
    assert caplog.records == []


def test_a_user_who_listens_more_closely_goes_on_doing_so():
    log = logging.getLogger("flowlab")
    log.setLevel(logging.DEBUG)
    try:
        with telling("plain"):
            assert log.level == logging.DEBUG
        assert log.level == logging.DEBUG
    finally:
        log.setLevel(logging.NOTSET)


def test_work_for_a_claim_is_told_under_its_name(capsys):
    @fl.claim("telling.own", statement="It is told.", source="here")
    def own(case):
        logging.getLogger("flowlab.own").info("integrating")
        return fl.Quantity("one", 1.0, 1.0, 0.1)

    log = logging.getLogger("flowlab.own")
    with telling("plain"):
        fl.check("telling.own", fl.Problem("W @ x"))
        log.info("after")
    with telling("json"):
        fl.check("telling.own", fl.Problem("W @ x"))
        log.info("after")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["flowlab: telling.own: integrating", "flowlab: after"]
    assert [json.loads(line).get("subject") for line in lines[2:]] == ["telling.own", None]


def test_a_run_that_goes_on_says_where(field, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Segment, "pace", lambda _: 4)
    cut = run(field, progress="plain", max_steps=40, store=tmp_path / "run")
    assert "a stored run to" not in capsys.readouterr().err
    run(field, progress="plain", store=tmp_path / "run")
    told = re.search(r"a stored run to t = 2.35385e\+17 goes on at log t = (.*)", capsys.readouterr().err)
    assert told is not None
    assert np.abs(cut.dataset.log_t.values - float(told[1])).min() < 1e-5
    assert float(told[1]) > 0.0
    # What has ended does not go on.
    run(field, progress="plain", store=tmp_path / "run")
    assert "goes on" not in capsys.readouterr().err
