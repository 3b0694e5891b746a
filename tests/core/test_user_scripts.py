"""What a type checker says of scripts of users, in one run: nothing of a correct one,
and one error on each line with a mistake.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "user_scripts"
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_type_checker_knows_the_public_names():
    pytest.importorskip("pyright")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(SCRIPTS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    said = [
        (Path(one["file"]).name, one["range"]["start"]["line"], one["severity"], one["message"])
        for one in json.loads(done.stdout)["generalDiagnostics"]
    ]
    right, wrong = ((SCRIPTS / name).read_text().splitlines() for name in ("right.py", "wrong.py"))

    assert not [one for one in said if one[0] == "right.py" and one[2] != "information"]
    shown = {
        line: re.findall(r'is "(.*)"$', message)[-1]
        for name, line, severity, message in said
        if (name, severity) == ("right.py", "information")
    }
    assert shown == {i: text.split("# ")[1] for i, text in enumerate(right) if text.startswith("reveal_type")}

    # A call that fits no overload is reported at the call and at its argument: one mistake of a line.
    mistakes = {line for name, line, severity, _ in said if (name, severity) == ("wrong.py", "error")}
    assert mistakes == {i for i, text in enumerate(wrong) if "  # " in text}
    assert len(mistakes) == 12
