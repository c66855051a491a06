"""Changes of the user's own files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from ..home import Home
from . import Change, Rows

ROWS = Rows()
row = ROWS.enter


def writing(file: str, text: Callable[[str], str], age: float = 0) -> Change:
    """Rewrite a file of the user; a positive age in seconds makes it that much older than it was."""

    def change(home: Home) -> None:
        path = home.own("data") / file
        about = path.stat()
        path.write_text(text(path.read_text()))
        if age:
            os.utime(path, (about.st_atime - age, about.st_mtime - age))

    return change


def copying(file: str, copy: str) -> Change:
    """One more file of the user."""
    return lambda home: shutil.copy(home.own("data") / file, home.folder / "data" / copy)


def removing(file: str) -> Change:
    """One file of the user less."""
    return lambda home: (home.own("data") / file).unlink()


row("a corpus file's content", writing("a.txt", str.upper), "corpus *")
row("a corpus file's content, older than it was", writing("a.txt", str.upper, age=1e6), "corpus *")
row("a corpus file that is touched", writing("a.txt", str, age=-1e6))
row("one more corpus file", copying("a.txt", "c.txt"), "corpus *")
row("one corpus file less", removing("b.txt"), "corpus *")
for file in ("train.csv", "dev.csv"):
    row(f"mine's {file}", writing(file, lambda text: text.replace("0\n", "1\n", 1)), "task mine")
    row(f"mine's {file}, older", writing(file, lambda text: text.replace("0\n", "1\n", 1), age=1e6), "task mine")
    row(f"mine's {file}, touched", writing(file, str, age=-1e6))
