"""Fetching data sets and checkpoints from the Hugging Face hub: at a commit, and each failure in one line.

What is in the cache at a commit needs no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets import Dataset, disable_progress_bars, load_dataset_builder
from datasets.exceptions import DatasetsError
from datasets.packaged_modules.cache.cache import Cache
from datasets.utils import logging as data_logging
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import disable_progress_bars as disable_download_bars
from huggingface_hub.utils import logging as hub_logging

from gridlaw.cli import Failure

HOST = constants.ENDPOINT.partition("://")[2]
# Answers of the hub, by HTTP status.
ANSWERS = {
    401: "it refuses access; log in with hf auth login, or set HF_TOKEN",
    403: "it refuses access with this token; log in with another one, or set HF_TOKEN",
    429: "too many requests; wait some minutes, or log in with hf auth login",
}


def commit(repository: str, revision: str, kind: str, key: str) -> str:
    """Return the commit that a revision of a hub repository refers to; a whole commit needs no network.

    Args:
        kind: `dataset` or `model`.
        key: the configuration key that names the repository, for messages; also below.
    """
    cached = _cached_commit(kind, repository, revision)
    if re.fullmatch("[0-9a-f]{40}", revision) or (constants.HF_HUB_OFFLINE and cached != revision):
        return cached
    _be_quiet()
    with _failures(f"{kind} {repository} at revision {revision}", key):
        return HfApi().repo_info(repository, revision=revision, repo_type=kind).sha


def read_split(dataset: str, config: str, split: str, commit: str, key: str) -> Dataset:
    """Return one split of a data set on the hub, at a commit."""
    what = f"dataset {dataset} (config {config}, split {split}, revision {commit})"
    _be_quiet()
    with _failures(what, key):
        # Without the scheme, a local folder of this name would be read instead.
        builder = load_dataset_builder(
            f"hf://datasets/{dataset}", None if config == "default" else config, revision=commit
        )
        # If the hub is not reachable, `datasets` takes any revision that is in the cache.
        if isinstance(builder, Cache) and builder.hash not in (commit, _cached_commit("dataset", dataset, commit)):
            raise Failure(
                f"{what} cannot be fetched: {_unreachable()}, and the cache has another revision only ({key})"
            )
        builder.download_and_prepare()
        return builder.as_dataset(split)


def fetch_files(model: str, commit: str, patterns: Iterable[str], key: str) -> Path:
    """Return a folder with those files of a model on the hub, at a commit, whose names match a pattern."""
    _be_quiet()
    with _failures(f"model {model} at revision {commit}", key):
        revision = _cached_commit("model", model, commit)
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=list(patterns)))
        return folder.with_name(_cached_commit("model", model, commit))


def _cached_commit(kind: str, repository: str, revision: str) -> str:
    """Return the commit that the cache has for a revision, and the revision itself if it has none.

    That of a commit is another one if it was fetched from a mirror with commits of its own.
    """
    folder = repo_folder_name(repo_id=repository, repo_type=kind)
    reference = Path(constants.HF_HUB_CACHE, folder, "refs", revision)
    return reference.read_text() if reference.is_file() else revision


def _be_quiet() -> None:
    """Let the libraries say nothing of attempts that are made again, and draw no bars into a log."""
    hub_logging.set_verbosity_error()
    data_logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()
        disable_download_bars()


@contextmanager
def _failures(what: str, key: str) -> Iterator[None]:
    try:
        yield
    except (HTTPError, DatasetsError, EntryNotFoundError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise Failure(f"{what} cannot be fetched: {_reason(error)} ({key})") from error


def _reason(error: BaseException) -> str:
    """Return why something could not be fetched, and what to do."""
    for cause in _causes(error):
        match cause:
            case GatedRepoError():
                return f"its owner grants access to it; ask at {HOST} for yours, then log in with hf auth login"
            case RepositoryNotFoundError():
                return f"{HOST} has no public repository of this name; correct it, or log in if it is private"
            case RevisionNotFoundError():
                return "it has no such revision; expected a commit, a tag or a branch of it"
            case OfflineModeIsEnabled():
                return f"{_unreachable()}, and the cache does not have it"
            case HfHubHTTPError(response=response) if response is not None:
                return ANSWERS.get(
                    response.status_code, f"{HOST} answers with status {response.status_code}; try again later"
                )
            # `datasets` keeps no cause.
            case HTTPError() | ConnectionError() | TimeoutError():
                return f"{_unreachable()}, and the cache does not have it"
    return _line(error)


def _unreachable() -> str:
    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"no connection to {HOST}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
