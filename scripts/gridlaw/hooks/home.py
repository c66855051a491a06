"""The folder of gridlaw's files, whatever workflow includes its Snakefile.

The Snakefile runs this file before it can find the project's modules.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.sourcecache import SourceFile
    from snakemake.workflow import Workflow


def find(workflow: Workflow) -> Path:
    """Return the folder of the Snakefile that is being parsed.

    Raises:
        SystemExit: one line, if Snakemake reads the Snakefile from a place without its folder.
    """
    source = workflow.current_basedir
    if hasattr(source, "hosted_repo"):
        return export(source, Path(workflow.sourcecache.cache_path))
    folder = Path(source.get_path_or_uri(secret_free=True)).resolve()
    if not Path(folder, "scripts/gridlaw").is_dir():
        sys.exit(f"error: snakefile: {source} is no local file; expected a path, github(...) or gitlab(...)")
    return folder


def export(source: SourceFile, cache: Path) -> Path:
    """Return a local copy of a hosted repository, of which Snakemake itself fetches the files one by one.

    Args:
        source: a folder of the repository.
        cache: folder for the copy.
    """
    source.cache_path = cache
    source.fetch_if_required()
    repository = source.hosted_repo.repo
    home = cache / "gridlaw" / repository.commit(source.ref).hexsha
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=home.parent))
        with tempfile.TemporaryFile() as archive:
            repository.archive(archive, source.ref)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as files:
                files.extractall(partial, filter="data")
        try:
            partial.rename(home)
        except OSError:
            # Another process has made it meanwhile.
            shutil.rmtree(partial)
    return home
