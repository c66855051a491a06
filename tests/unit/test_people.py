"""What people do with a grid beside running it: explain, accept, adopt, remove what is obsolete."""

import json
import os
import re
import shutil
import signal
import sys
from collections import defaultdict
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import accept
import adopt
import explain
import obsolete
import pandas as pd
import pytest
import yaml
from conftest import begin, configuration, finish
from filelock import SoftFileLease

from gridlaw import cli, io
from gridlaw.workflow import identity, record, work_folder
from gridlaw.workflow.states import DONE, STALE
from gridlaw.workflow.status import Verdicts, to_run
from gridlaw.workflow.steps import SINGLE, Steps

GRID = {
    "models": ["tiny", "small"],
    "sizes": ["1k", "8k"],
    "gpus": [1, 2],
    "tasks": ["sentiment", "similarity"],
    "seeds": {"pretrain": [1], "finetune": [1, 2]},
    "exclude": [{"size": "1k", "gpus": 2}],
}
RATE = {"pretrain": {"per_model": {"tiny": {"learning_rate": 0.5}}}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the grid finished in it."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def run(program, folder, capsys):
    """Run one of the programs in a folder, with an overlay; gives what it prints."""

    def of(module, *arguments, change=None, **more):
        (folder.parent / "grid.yaml").write_text(yaml.safe_dump({**GRID, **(change or {}), **more}))
        program(module, *arguments, "--configfile", "../grid.yaml", "--directory", folder)
        return capsys.readouterr().out

    return of


def finished(**change):
    for step in Steps(configuration({**GRID, **change})):
        finish(step)


def verdicts(**change):
    found = Verdicts(configuration({**GRID, **change}))
    return {step.name: found.verdict(step) for step in found.steps}


def due(**change):
    return {step.name for step in to_run(Verdicts(configuration({**GRID, **change})))}


# More changes of the file system than anything here makes.
NEVER = 10**6
# What reads the records that a mark is written to.
TABLES = {*SINGLE}


class TestExplain:
    def test_a_cell(self, run):
        finished()
        said = run(explain, "tiny", "8k", "1", change=RATE)
        assert said.startswith(
            "~ tiny, size 8k, gpus 1: stale, 1 pre-training, 2 fine-tunings of 4 runs, 1 other job to run\n"
        )
        about = dict(match.groups() for match in re.finditer(r"^  (\w.*?)  +(\W .*)$", said, re.MULTILINE))
        assert about["pack toy wordpiece"].startswith("● done 20")
        assert about["pretrain tiny 8k 1 1"].startswith("~ stale, about ")
        assert about["finetune tiny 8k 1 1 similarity"].startswith("~ follows from pretrain tiny 8k 1 1, about ")
        assert "      pretrain.per_model.tiny.learning_rate 3e-3 → 0.5\n" in said
        assert said.count("learning_rate") == 1

    def test_an_interrupted_training(self, run):
        finished()
        step = next(step for step in Steps(configuration(GRID)) if step.name == "pretrain tiny 8k 1 1")
        Path(step.record).unlink()
        (begin(step) / "checkpoint-120").mkdir()
        aggregate = next(step for step in Steps(configuration(GRID)) if step.name == "aggregate")
        Path(aggregate.record).unlink()
        Path("results/finetune/tiny/8k/1/1/sentiment/record.json").unlink()
        Path("results/score/tiny/8k/1/record.json").unlink()
        printed = run(explain, "tiny", "8k", "1")
        assert re.search(
            r"^  pretrain tiny 8k 1 1 +◐ interrupted, about .*\n      resumes from optimizer step 120$", printed, re.M
        )
        printed = run(explain, "tiny", "8k", "1", change=RATE)
        assert "at optimizer step 120; starts again: pretrain.per_model.tiny.learning_rate 3e-3 → 0.5" in " ".join(
            printed.split()
        )

    def test_scores_of_another_gpus_value(self, run):
        finished()
        assert "its scores are those of gpus 1" in run(explain, "tiny", "8k", "2")

    def test_the_grid(self, run):
        finished()
        assert run(explain).splitlines()[2:4] == ["tiny   ●   ● ●", "small  ●   ● ●"]
        assert "~ pretrain.per_model.tiny.learning_rate 3e-3 → 0.5: tiny, all sizes" in run(explain, change=RATE)

    def test_several_cells_and_none(self, run):
        finished()
        assert run(explain, "tiny").count("done\n") == 3
        assert run(explain, "all", "8k", "2").count("gpus 2: done") == 2
        assert run(explain, "tiny", "8000").count("size 8k") == 2
        with pytest.raises(cli.Failure, match="size: 9k is not in this part of the grid; expected one of 1k, 8k"):
            run(explain, "tiny", "9k")
        with pytest.raises(cli.Failure, match="model: medium is not"):
            run(explain, "medium")

    def test_an_archive_without_the_users_files(self, run, folder):
        mine = {"corpus": "mine", "catalogue": {"corpora": {"mine": {"source": "files", "files": ["data/*.txt"]}}}}
        (folder / "data").mkdir()
        (folder / "data/a.txt").write_text("word " * 50_000)
        finished(**mine)
        assert "~" not in run(explain, **mine)
        (folder / "data/a.txt").write_text("other " * 50_000)
        assert "corpus files: data/a.txt changed" in run(explain, **mine)
        shutil.rmtree(folder / "data")
        assert "~" not in run(explain, **mine)

    def test_a_mistake_in_the_configuration(self, run):
        with pytest.raises(SystemExit, match="config: sizes: 900M is more than the corpus toy holds"):
            run(explain, sizes=["900M"])


class TestAccept:
    def test_a_cell(self, run):
        finished()
        said = run(accept, "tiny", "8k", "1", "--note", "the same rate, in other units", change=RATE)
        assert said == "accepted: pretrain tiny 8k 1 1\n    pretrain.per_model.tiny.learning_rate 3e-3 → 0.5\n"
        found = verdicts(**RATE)
        assert found["pretrain tiny 8k 1 1"].state == DONE
        assert found["pretrain tiny 8k 2 1"].state == found["pretrain tiny 1k 1 1"].state == STALE
        entry = io.read_json("results/pretrain/tiny/8k/1/1/record.json")["accepted"][0]
        assert entry["note"] == "the same rate, in other units"
        assert entry["differed"] == ["pretrain.per_model.tiny.learning_rate 3e-3 → 0.5"]
        assert entry["by"]
        assert entry["when"].startswith("20")
        # What made it is still told.
        assert io.read_json("results/pretrain/tiny/8k/1/1/record.json")["recipe"]["learning_rate"] == 3e-3
        assert "accepted: the same rate, in other units" in run(explain, "tiny", "8k", "1", change=RATE)
        # Of the cell's scores as well, whose tables are read; the tables are made again, and that is all.
        made = io.read_json("results/score/tiny/8k/1/record.json")
        assert record.marks(made) == ["accepted: the same rate, in other units"]
        assert made["accepted"][0]["differed"] == ["made from pretrain tiny 8k 1 1"]

    def test_what_changes_further_counts(self, run):
        finished()
        run(accept, "tiny", "--note", "fine", change=RATE)
        assert due(**RATE) == TABLES
        further = {"pretrain": {"per_model": {"tiny": {"learning_rate": 0.25}}}}
        assert verdicts(**further)["pretrain tiny 8k 1 1"].lines() == (
            "pretrain.per_model.tiny.learning_rate 0.5 → 0.25",
        )
        # Also back to what it was made with: it was accepted as something else.
        assert verdicts()["pretrain tiny 8k 1 1"].lines() == ("pretrain.learning_rate.from_scratch 0.5 → 3e-3",)
        run(accept, "tiny", "--note", "as well", change=further)
        assert verdicts(**further)["pretrain tiny 8k 1 1"].state == DONE
        made = io.read_json("results/pretrain/tiny/8k/1/1/record.json")
        assert record.marks(made) == ["accepted: fine", "accepted: as well"]

    def test_code_and_replaced_inputs(self, run, monkeypatch):
        finished()
        Path("results/pretrain/tiny/8k/1/1/manifest.json").write_text("another")
        digest = identity.digest
        monkeypatch.setattr(
            identity, "digest", lambda script, *more: "0" * 16 if script.stem == "score" else digest(script, *more)
        )
        assert {name for name, verdict in verdicts().items() if verdict.state == STALE} == {
            "finetune tiny 8k 1 1 sentiment", "finetune tiny 8k 1 1 similarity", "ranks tiny 8k",
            *(f"score {model} {size} 1" for model in GRID["models"] for size in GRID["sizes"]),
        }  # fmt: skip
        run(accept, "all", "--note", "only renamed")
        assert due() == TABLES | {"ranks tiny 8k"}, "it belongs to no cell"
        monkeypatch.setattr(
            identity, "digest", lambda script, *more: "1" * 16 if script.stem == "score" else digest(script, *more)
        )
        assert "score tiny 8k 1" in due()

    def test_a_step_of_no_cell(self, run):
        finished()
        other = {"data": {"segment_words": 27}}
        said = run(accept, "--step", "segments", "--note", "no segment was that long", change=other)
        assert said.splitlines()[0] == "accepted: segments toy"
        assert due(**other) == TABLES
        assert record.marks(io.read_json("results/pretrain/small/1k/1/1/record.json"))

    @pytest.mark.parametrize(
        ("arguments", "change", "message"),
        [
            (["tiny"], {}, "nothing is stale there by its record"),
            (["tiny", "--step", "finetune"], RATE, "nothing is stale there by its record"),
            ([], RATE, "no cell; expected"),
            (["--step", "pretrain"], RATE, "no cell; expected"),
            (["tiny"], {**RATE, "data": {"packing": "continuous"}},
             r"pretrain tiny 1k 1 1 is made from pack toy wordpiece, which is stale \(data.packing whole → continuous\);"
             " accept or make that first: accept.py --step pack"),
            (["tiny", "--step", "finetune"], {**RATE, "finetune": {"epochs": 9}},
             "is made from pretrain tiny .* accept.py tiny .* --step pretrain"),
        ],
    )  # fmt: skip
    def test_refused(self, run, arguments, change, message):
        finished()
        with pytest.raises(cli.Failure, match=message):
            run(accept, *arguments, "--note", "fine", change=change)
        assert not any("accepted" in json.loads(file.read_text()) for file in Path("results").rglob("record.json"))

    def test_a_note_is_needed(self, run):
        with pytest.raises(cli.Failure, match="--note: empty"):
            run(accept, "tiny", "--note", " ")

    def test_what_is_being_made(self, run):
        finished()
        Path("work/pretrain/tiny/8k/1").mkdir(parents=True)
        with (
            SoftFileLease("work/pretrain/tiny/8k/1/1.lease", lease_duration=work_folder.LEASE_SECONDS),
            pytest.raises(cli.Failure, match="pretrain tiny 8k 1 1 is being made by another process"),
        ):
            run(accept, "tiny", "--note", "fine", change=RATE)


class TestAdopt:
    @pytest.fixture
    def elsewhere(self, tmp_path, folder, monkeypatch):
        """Another folder in which the grid is finished; this one has nothing."""
        other = tmp_path / "elsewhere"
        other.mkdir()
        monkeypatch.chdir(other)
        finished()
        monkeypatch.chdir(folder)
        return other

    def test_everything(self, run, elsewhere, folder):
        said = run(adopt, elsewhere)
        assert due() == TABLES | {"ranks tiny 8k", "ranks small 8k", *(f"baseline {task}" for task in GRID["tasks"])}
        made = io.read_json("results/pretrain/tiny/8k/2/1/record.json")
        assert made["adopted"]["from"] == str(elsewhere)
        assert made["host"] == "elsewhere"
        assert made["adopted"]["by"]
        assert said.splitlines()[-1].startswith("26 results adopted (")
        assert "adopted: pretrain tiny 8k 2 1 (" in said
        assert not list(folder.rglob(".*coming"))
        # Once more there is nothing to do.
        assert run(adopt, elsewhere).startswith("0 results adopted")

    def test_some_cells_with_what_they_are_made_from(self, run, elsewhere):
        run(adopt, elsewhere, "tiny", "8k", "2")
        found = {name for name, verdict in verdicts().items() if verdict.state == DONE}
        assert found == {"corpus toy", "segments toy", "tokenizer toy wordpiece", "pack toy wordpiece", "slice toy wordpiece 8k",
                         "pretrain tiny 8k 2 1"}  # fmt: skip

    def test_what_is_valid_here_stays(self, run, elsewhere):
        finished()
        before = {file: file.stat().st_mtime_ns for file in Path().rglob("*") if file.is_file()}
        assert run(adopt, elsewhere).startswith("0 results adopted")
        assert before == {file: file.stat().st_mtime_ns for file in Path().rglob("*") if file.is_file()}

    def test_what_is_stale_here_is_replaced(self, run, elsewhere, monkeypatch):
        finished(**RATE)
        assert "pretrain tiny 8k 1 1" in due()
        run(adopt, elsewhere)
        assert due() == TABLES | {"ranks tiny 8k"}
        assert "adopted" in io.read_json("results/pretrain/tiny/8k/1/1/record.json")
        assert "adopted" not in io.read_json("results/pretrain/small/8k/1/1/record.json")

    def test_another_recipe_code_or_input(self, run, elsewhere, monkeypatch):
        said = run(adopt, elsewhere, change=RATE)
        assert "refused: pretrain tiny 8k 1 1: pretrain.per_model.tiny.learning_rate 3e-3 → 0.5" in said
        assert "finetune tiny" not in said
        assert Path("results/finetune/small/8k").exists()
        assert not Path("results/pretrain/tiny/8k").exists()
        digest = identity.digest
        monkeypatch.setattr(
            identity, "digest", lambda script, *more: "0" * 16 if script.stem == "task" else digest(script, *more)
        )
        assert "refused: task sentiment: " in run(adopt, elsewhere, "tiny")

    def test_made_from_another_result_than_is_here(self, run, elsewhere):
        for step in Steps(configuration(GRID)):
            if step.rule in ("corpus", "segments", "tokenizer", "pack", "slice", "task"):
                finish(step)
        manifest = Path("resources/task/sentiment/manifest.json")
        manifest.write_text("other examples")
        made = io.read_json("resources/task/sentiment/record.json")
        io.write_json("resources/task/sentiment/record.json", made)
        said = run(adopt, elsewhere, "tiny", "8k", "1")
        assert f"refused: finetune tiny 8k 1 1 sentiment: it was made from other versions of {manifest}" in said
        assert "adopted: finetune tiny 8k 1 1 similarity" in said
        assert "score" not in said, "not all that it is made from is here"

    @pytest.mark.parametrize(
        ("file", "message"),
        [
            ("results/pretrain/tiny/8k/1/1/manifest.json", "results/pretrain/tiny/8k/1/1/manifest.json does not match its record"),
            ("results/pretrain/tiny/8k/1/1/model/model.safetensors", "model/model.safetensors does not match its record"),
            ("results/finetune/tiny/8k/1/1/sentiment/predictions.parquet", "predictions.parquet does not match its record"),
            ("resources/pack/toy/wordpiece/rows.bin", "rows.bin does not match its record"),
        ],
    )  # fmt: skip
    def test_damaged(self, run, elsewhere, folder, file, message):
        (elsewhere / file).write_text("damaged")
        said = run(adopt, elsewhere, "tiny", "8k", "1")
        assert message in said
        assert not (folder / file).exists()
        assert "score" not in {name.split()[0] for name, verdict in verdicts().items() if verdict.state == DONE}
        (elsewhere / file).unlink()
        assert f"{Path(file).name} is missing" in run(adopt, elsewhere, "tiny", "8k", "1")

    def test_links_are_not_followed(self, run, elsewhere, tmp_path):
        model = elsewhere / "results/pretrain/tiny/8k/1/1/model/model.safetensors"
        model.rename(tmp_path / "apart")
        model.symlink_to(tmp_path / "apart")
        assert "model.safetensors is a link or a special file" in run(adopt, elsewhere, "tiny", "8k", "1")

    def test_a_record_of_something_else(self, run, elsewhere):
        io.write_json(elsewhere / "results/pretrain/tiny/8k/1/1/record.json", {"recipe": {}})
        said = run(adopt, elsewhere, "tiny", "8k", "1")
        assert "refused: pretrain tiny 8k 1 1: its record is not from this version of gridlaw" in said

    def test_what_is_being_made_here(self, run, elsewhere):
        Path("work/pretrain/tiny/8k/1").mkdir(parents=True)
        with SoftFileLease("work/pretrain/tiny/8k/1/1.lease", lease_duration=work_folder.LEASE_SECONDS):
            said = run(adopt, elsewhere, "tiny", "8k", "1")
        assert "refused: pretrain tiny 8k 1 1: work/pretrain/tiny/8k/1/1: another process is writing there" in said
        assert not Path("results/pretrain/tiny/8k/1/1").exists()

    def test_no_folder_of_results(self, run, elsewhere, folder):
        with pytest.raises(cli.Failure, match="it has no results/"):
            run(adopt, folder / "nowhere")
        finished()
        with pytest.raises(cli.Failure, match="this is the grid's own folder"):
            run(adopt, folder)
        Path(".snakemake/locks").mkdir(parents=True)
        Path(".snakemake/locks/0.input.lock").write_text("results/runs.csv\n")
        with pytest.raises(cli.Failure, match="Snakemake is running in this folder"):
            run(adopt, elsewhere)

    def test_killed_at_any_moment(self, run, elsewhere, folder):
        """Whatever a killed adoption leaves, what counts as done is whole, and the same command goes on."""
        # Something stale stands in the way of some of it.
        finished(**RATE)
        shutil.rmtree("results/finetune")
        shutil.copytree(folder, folder.parent / "before")
        (folder.parent / "grid.yaml").write_text(yaml.safe_dump(GRID))
        command = ["adopt.py", str(elsewhere), "tiny", "8k", "1", "--configfile", str(folder.parent / "grid.yaml")]
        moment, killed = 0, True
        while killed:
            moment += 1
            shutil.rmtree(folder)
            shutil.copytree(folder.parent / "before", folder)
            os.chdir(folder)
            killed = self.is_killed(moment, command)
            for step in Steps(configuration(GRID)):
                made = io.find_json(step.record)
                if made and "adopted" in made:
                    adopt.check(step, Path(step.folder), made["outputs"])
            if moment % 5 == 0 or not killed:
                assert not self.is_killed(NEVER, command)
                assert not {name for name in due() if " tiny 8k 1" in name}
                assert not list(folder.rglob(".*ing")), "nothing is left over"
        assert moment > 20

    @staticmethod
    def is_killed(moment, command):
        """Whether an adoption that is killed at some change of the file system gets that far."""
        process = os.fork()
        if process == 0:
            count = 0

            def dying(change, half=None):
                def instead(*arguments, **more):
                    nonlocal count
                    count += 1
                    if count == moment:
                        if half:
                            half(*arguments)
                        os.kill(os.getpid(), signal.SIGKILL)
                    return change(*arguments, **more)

                return instead

            def half_copied(source, target):
                content = Path(source).read_bytes()
                Path(target).write_bytes(content[: len(content) // 2])

            shutil.copyfile = dying(shutil.copyfile, half_copied)
            shutil.rmtree, io.write_json = dying(shutil.rmtree), dying(io.write_json)
            Path.rename, Path.unlink = dying(Path.rename), dying(Path.unlink)
            sys.argv = command
            with suppress(BaseException), redirect_stdout(StringIO()):
                adopt.main()
                os._exit(0)
            os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert status in (0, -signal.SIGKILL)
        return status != 0


class TestObsolete:
    @pytest.fixture
    def lists(self, run):
        def of(*arguments, **change):
            return {
                line.split(maxsplit=2)[2] for line in run(obsolete, *arguments, **change).splitlines() if "/" in line
            }

        return of

    def test_nothing(self, run):
        finished()
        assert run(obsolete) == "nothing is obsolete\n"

    def test_a_model_and_a_size(self, lists, folder):
        finished()
        for place in ("work/finetune/small/8k/1/1/sentiment", "work/pretrain/tiny/1k/1/1", "work/pretrain/tiny/8k/1/1"):
            Path(place).mkdir(parents=True)
            Path(place, "fingerprint").write_text("x")
        events = Path("logs/tensorboard/finetune/small/8k/1/1/sentiment/all/1")
        events.mkdir(parents=True)
        (events / "events.out.tfevents.1").write_text("x" * 2500)
        less = {"models": ["tiny"], "sizes": ["8k"], "exclude": []}
        assert lists(**less) == {
            *(f"results/{rule}/small" for rule in ("pretrain", "finetune", "score", "ranks")),
            "results/pretrain/tiny  (1 results in it; others there are still in the grid)",
            "results/finetune/tiny  (2 results in it; others there are still in the grid)",
            "results/score/tiny  (1 results in it; others there are still in the grid)",
            "resources/slice/toy  (1 results in it; others there are still in the grid)",
            "work/finetune/small", "work/pretrain/tiny  (1 results in it; others there are still in the grid)",
            "logs/tensorboard/finetune/small",
        }  # fmt: skip

    def test_remove(self, run, lists, folder, monkeypatch):
        finished()
        less = {"models": ["tiny"], "sizes": ["8k"], "exclude": []}
        kept = {step.folder for step in Steps(configuration({**GRID, **less}))}
        monkeypatch.setattr("sys.stdin.isatty", lambda: False)
        with pytest.raises(cli.Failure, match="cannot ask for confirmation, because there is no terminal; add --yes"):
            run(obsolete, "--remove", **less)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("builtins.input", lambda _: "n")
        with pytest.raises(cli.Failure, match="nothing was removed"):
            run(obsolete, "--remove", **less)
        assert Path("results/pretrain/small/8k/1/1/record.json").exists()
        monkeypatch.setattr("builtins.input", lambda _: "y")
        assert run(obsolete, "--remove", **less).splitlines()[-1].startswith("removed ")
        assert run(obsolete, **less) == "nothing is obsolete\n"
        assert not Path("results/pretrain/small").exists()
        assert all(Path(place).exists() for place in kept)
        assert Path("results/runs.csv").exists()

    def test_what_is_not_the_workflows_stays(self, lists, tmp_path):
        finished()
        for file in ("results/pretrain/mine/notes.txt", "results/notes.txt", "results/pretrain/a/b/c/d/notes.txt",
                     "work/mine/x", "results/mine/tiny/8k/1/1/record.json"):  # fmt: skip
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text("{}")
        assert lists() == set()

    def test_links_are_not_followed(self, lists, tmp_path):
        finished()
        shutil.move("results/pretrain/small", tmp_path / "small")
        Path("results/pretrain/small").symlink_to(tmp_path / "small")
        shutil.move("resources", tmp_path / "resources")
        Path("resources").symlink_to(tmp_path / "resources")
        less = {"models": ["tiny"], "sizes": ["8k"], "exclude": []}
        found = lists("--remove", "--yes", **less)
        assert not any(name.startswith(("resources", "results/pretrain/small")) for name in found)
        assert (tmp_path / "small/8k/1/1/record.json").exists()
        assert (tmp_path / "resources/slice/toy/wordpiece/1k/record.json").exists()
        assert not Path("results/finetune/small").exists()

    def test_what_is_in_use_stays(self, lists):
        finished()
        Path("work/pretrain/small/8k/1").mkdir(parents=True)
        Path(".snakemake/locks").mkdir(parents=True)
        Path(".snakemake/locks/0.output.lock").write_text("results/score/small/8k/1/scores.csv\n")
        with SoftFileLease("work/pretrain/small/8k/1/1.lease", lease_duration=work_folder.LEASE_SECONDS):
            found = lists("--remove", "--yes", models=["tiny"])
        assert {
            "results/pretrain/small/8k/1/1  (in use, left alone)",
            "results/score/small/8k/1  (in use, left alone)",
        } <= found
        assert Path("results/pretrain/small/8k/1/1/record.json").exists()
        assert Path("results/score/small/8k/1/record.json").exists()
        assert not Path("results/pretrain/small/1k").exists()

    def test_what_a_killed_adoption_left(self, lists):
        finished()
        Path("results/pretrain/tiny/8k/1/.1.coming/model").mkdir(parents=True)
        Path("results/pretrain/tiny/8k/1/.1.coming/model/model.safetensors").write_text("half")
        assert lists("--remove", "--yes") == {
            "results/pretrain/tiny  (1 results in it; others there are still in the grid)"
        }
        assert not Path("results/pretrain/tiny/8k/1/.1.coming").exists()
        assert Path("results/pretrain/tiny/8k/1/1/record.json").exists()


def test_marks_in_the_tables(folder):
    import aggregate

    scores = pd.DataFrame(
        {"pretrain_seed": 1, "task": "sentiment", "train_set": "all", "train_examples": 40, "finetune_seed": [1, 2],
         "split": "validation", "examples": 10, "metric": "accuracy", "value": [0.5, 0.6]}
    )  # fmt: skip
    marked = {"accepted": [{"note": "fine"}, {"note": "fine"}, {"note": "too"}], "adopted": {"from": "/there"}}
    for size, made in (("1k", {}), ("8k", marked)):
        place = Path("results/score/tiny", size, "1")
        place.mkdir(parents=True)
        scores.to_csv(place / "scores.csv", index=False)
        io.write_json(place / "record.json", made)
    recipe = {"models": ["tiny"], "cells": {"tiny": {"1k": {"1": 1}, "8k": {"1": 1, "2": 1}}}}
    tokens = pd.Series({("tiny", "1k"): 1000, ("tiny", "8k"): 8000})
    table = aggregate.score_rows(recipe, Path("results/score"), tokens, defaultdict(list))
    mark = "adopted from /there; accepted: fine; accepted: too"
    assert table.groupby(["size", "gpus"])["mark"].first().tolist() == ["", mark, mark]
    averages = aggregate.macro_averages(table, {"sentiment": {"glue": True}})
    assert len(averages) == 6
    assert set(averages["mark"]) == {"", mark}
