"""TensorBoard reads back what programs write for it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gridlaw.runtime import events


def curves(folder):
    """Points of each tag, as TensorBoard shows them."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(point.step, point.value) for point in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_numbers_are_there_at_once(tmp_path):
    file = events.Events(tmp_path / "run", "training")
    file.add(10, {"train/loss": 2.0, "train/learning_rate": 0.5})
    file.add(20, {"train/loss": 1.0})
    assert curves(tmp_path / "run") == {"train/loss": [(10, 2.0), (20, 1.0)], "train/learning_rate": [(10, 0.5)]}


def test_a_continued_run_has_each_point_once(tmp_path):
    for since, steps in ((None, (10, 20, 30)), (20, (30, 40))):
        file = events.Events(tmp_path, "training", since)
        for step in steps:
            file.add(step, {"train/loss": float(len(steps))})
        file.close()
    assert curves(tmp_path) == {"train/loss": [(10, 3.0), (20, 3.0), (30, 2.0), (40, 2.0)]}


def test_files_of_one_kind_are_removed(tmp_path):
    for name in ("training", "scores"):
        events.Events(tmp_path, name).add(1, {name: 1.0})
    events.remove(tmp_path, "scores")
    assert list(curves(tmp_path)) == ["training"]
    events.remove(tmp_path)
    assert not list(tmp_path.iterdir())


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        if len(data) > self._room:
            self._file.write(data[: self._room])
            raise OSError(28, "No space left on device")
        self._room -= len(data)
        self._file.write(data)


def test_a_full_disk_ends_the_file_and_nothing_else(tmp_path, capsys):
    file = events.Events(tmp_path, "training")
    file._writer._writer = Full(file._writer._writer, 100)
    for step in range(10):
        file.add(step, {"train/loss": 1.0})
    kept = curves(tmp_path)["train/loss"]
    assert kept == [(step, 1.0) for step in range(len(kept))]
    assert 0 < len(kept) < 10
    assert capsys.readouterr().err.count("TensorBoard's files are incomplete: [Errno 28]") == 1
    file.close()


def test_a_folder_that_cannot_be_made_ends_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    file = events.Events(tmp_path / "file" / "run", "training")
    file.add(1, {"train/loss": 1.0})
    file.close()
    assert "incomplete" in capsys.readouterr().err


class TestScores:
    @pytest.fixture
    def scored(self, tmp_path, program):
        """Scores a cell with two seeds of fine-tuning, one training set; gives TensorBoard's folder."""

        def of(splits=("validation",), right=8):
            rows = [
                {"train_set": "all", "train_examples": 40, "seed": seed, "split": split, "label": 1.0, "prediction": float(n < right - seed), "outputs": [0.1, 0.2]}
                for seed in (1, 2) for split in splits for n in range(10)
            ]  # fmt: skip
            folder = tmp_path / "3" / "sentiment"
            folder.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_parquet(folder / "predictions.parquet")
            (folder / "manifest.json").write_text("{}")
            task = tmp_path / "task" / "sentiment" / "manifest.json"
            task.parent.mkdir(parents=True, exist_ok=True)
            task.write_text('{"classes": [0, 1]}')
            program(
                score, "--recipe", '{"sentiment": {"kind": "classification", "metrics": ["accuracy"]}}',
                "--predictions", folder / "predictions.parquet", "--manifests", folder / "manifest.json",
                "--tasks", task, "--scores", tmp_path / "scores.csv", "--record", tmp_path / "record.json",
                "--tensorboard", tmp_path / "tensorboard",
            )  # fmt: skip
            return tmp_path / "tensorboard"

        return of

    def test_they_lie_beside_the_curves_of_their_fine_tuning(self, scored):
        folder = scored()
        for seed, accuracy in ((1, 0.7), (2, 0.6)):
            (point,) = curves(folder / "3" / "sentiment" / "all" / str(seed))["score/sentiment/accuracy"]
            assert point == (40, pytest.approx(np.float32(accuracy)))

    def test_several_splits_are_told_apart(self, scored):
        found = curves(scored(("matched", "mismatched")) / "3" / "sentiment" / "all" / "1")
        assert set(found) == {"score/sentiment/matched/accuracy", "score/sentiment/mismatched/accuracy"}

    def test_scored_again_they_are_there_once(self, scored):
        scored()
        folder = scored(right=9) / "3" / "sentiment" / "all" / "1"
        events.Events(folder, "training").add(1, {"train/loss": 1.0})
        scored(right=10)
        found = curves(folder)
        assert found["score/sentiment/accuracy"] == [(40, pytest.approx(np.float32(0.9)))]
        assert "train/loss" in found

    def test_no_score_depends_on_them(self, scored, tmp_path):
        folder = scored()
        before = (tmp_path / "scores.csv").read_bytes()
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()
        folder.write_text("")
        scored()
        assert (tmp_path / "scores.csv").read_bytes() == before
        assert Path(tmp_path / "record.json").exists()
