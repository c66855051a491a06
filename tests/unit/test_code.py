"""The digest of a program follows what it computes."""

import shutil
from pathlib import Path

import pytest

from gridlaw import code

SCRIPTS = Path(code.__file__).parents[1]


@pytest.fixture
def digests(tmp_path):
    """Digests of two programs in a copy of the scripts, after an edit."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))

    def after(file=None, old="", new=""):
        if file:
            path = tmp_path / "scripts" / file
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new, 1))
        for cached in (code.digest, code.definitions, code._module, code._importable, code._others):
            cached.cache_clear()
        return tuple(code.digest(tmp_path / "scripts" / f"{name}.py") for name in ("pretrain", "finetune"))

    return after


def test_comments_and_docstrings_do_not_matter(digests):
    before = digests()
    assert digests("pretrain.py", "import shutil\n", "# a comment\nimport shutil\n\n\n") == before
    assert digests("gridlaw/masking.py", '"""Mask rows.', '"""Hide some tokens of rows.') == before


def test_code_of_one_program_matters_to_it_only(digests):
    pretrain, finetune = digests()
    changed = digests("gridlaw/masking.py", "fate < 0.8", "fate < 0.7")
    assert changed[0] != pretrain
    assert changed[1] == finetune


def test_shared_code_matters_to_both(digests):
    pretrain, finetune = digests()
    changed = digests("gridlaw/training.py", "steps // 50", "steps // 40")
    assert changed[0] != pretrain
    assert changed[1] != finetune


def test_transitive_imports_are_followed():
    files = {name.partition(":")[0].rpartition("/")[2] for name in code.definitions(SCRIPTS / "pretrain.py")}
    assert {"pretrain.py", "masking.py", "rows.py", "record.py", "families.py"} <= files
    assert "plotting.py" not in files
