"""What ends a run while its Snakefile is parsed."""

from pathlib import Path

import pytest

from gridlaw.hooks import attachment


def test_braces_in_the_path_of_gridlaw_are_one_line(monkeypatch):
    monkeypatch.setattr(attachment, "HOME", Path("/data/{v2}/gridlaw"))
    with pytest.raises(SystemExit) as end:
        attachment.attach(None, {})
    assert end.value.code.startswith("error: /data/{v2}/gridlaw: ")
    assert len(end.value.code.splitlines()) == 1
