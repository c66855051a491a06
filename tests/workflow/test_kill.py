"""A training that was killed continues to the very same weights, at whatever moment it was killed."""

import json
import shutil
import signal
import time

import pytest
from kill import Training, model_for, prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def reference(data):
    """Digests of runs in one go."""
    digests = {}

    def of(phase, ranks=1):
        if (phase, ranks) not in digests:
            training = Training(data, data / f"reference-{phase}-{ranks}", phase, ranks, passes=4, minutes=10)
            digests[phase, ranks] = training.finish()
        return digests[phase, ranks]

    return of


@pytest.fixture
def train(data, tmp_path):
    """A training with a checkpoint after each update."""

    def make(phase="pretrain", ranks=1, minutes=0.0):
        return Training(data, tmp_path / f"{phase}-{ranks}", phase, ranks, passes=4, minutes=minutes)

    return make


def updates(training):
    found = training.checkpoints()
    return int(found[-1].name.split("-")[1]) if found else 0


@pytest.mark.parametrize("ranks", [1, 2])
def test_pretraining(train, reference, ranks):
    training = train(ranks=ranks)
    # Before the first checkpoint, while one is written in the third pass, and shortly before the end.
    training.kill(2.0)
    assert not training.checkpoints()
    partial = training.folder / "work" / ".partial"
    training.kill_when(lambda: updates(training) > 45 and partial.exists())
    # Only what was started is killed: its ranks must not go on.
    process = training.start()
    while updates(training) < 60 and process.poll() is None:
        pass
    process.kill()
    process.wait()
    assert training.finish() == reference("pretrain", ranks)
    assert training.log().count("continuing from update") == 2
    attempts = json.loads((training.folder / "record.json").read_text())["attempts"]
    assert [attempt["cause"] for attempt in attempts][-3:] == ["killed", "killed", "finished"]


def test_measuring_on_the_way_changes_nothing(data, train, reference):
    training = train(minutes=10)
    shutil.copy(data / "rows.bin", training.folder / "held_out.bin")
    manifest = json.loads((data / "slice.json").read_text())
    pack = manifest | {"held_out": {"end": manifest["end"] // 4, "unigram_loss": 5.0}}
    (training.folder / "pack.json").write_text(json.dumps(pack))
    training.command += ["--held-out-rows", training.folder / "held_out.bin", "--pack", training.folder / "pack.json"]
    training.command += ["--evaluations", 7]
    assert training.finish() == reference("pretrain")
    assert training.log().count("eval_held_out_loss'") == 6, "the last one is the result's"


def test_finetuning(data, train, reference):
    if not (data / "model").exists():
        model_for(data)
    training = train("finetune")
    work = training.folder / "work"
    training.kill_when(lambda: updates(training) > 10)
    training.kill_when(lambda: (work / "all-1").exists() and updates(training) > 40)
    done = (work / "60-1" / "predictions.parquet").stat().st_mtime_ns
    assert training.finish() == reference("finetune")
    assert (work / "60-1" / "predictions.parquet").stat().st_mtime_ns == done, "finished runs are not repeated"


def test_one_more_seed_costs_one_seed(data, train, reference):
    reference("finetune")
    training = train("finetune")
    shutil.copytree(data / "reference-finetune-1" / "work", training.folder / "work")
    before = {file: file.stat().st_mtime_ns for file in (training.folder / "work").rglob("facts.json")}
    at = training.command.index("--recipe") + 1
    training.command[at] = training.command[at].replace('"seeds":[1,2]', '"seeds":[2,1,3]')
    training.finish()
    runs = json.loads((training.folder / "record.json").read_text())["runs"]
    assert [(run["train_set"], run["seed"]) for run in runs] == [(s, n) for s in ("60", "all") for n in (2, 1, 3)]
    after = {file: file.stat().st_mtime_ns for file in (training.folder / "work").rglob("facts.json")}
    assert len(after) == 6
    assert before.items() <= after.items()


def test_damaged_and_foreign_checkpoints_are_passed_over(train, reference):
    training = train()
    training.kill_when(lambda: len(training.checkpoints()) == 2 and updates(training) > 20)
    older, newer = training.checkpoints()
    with open(newer / "optimizer.pt", "r+b") as file:
        file.truncate(1000)
    foreign = shutil.copytree(older, older.with_name("checkpoint-999"))
    sealed = json.loads((foreign / "seal.json").read_text())
    (foreign / "seal.json").write_text(json.dumps(sealed | {"fingerprint": "another"}))
    (older.with_name("checkpoint-1000")).mkdir()
    assert training.finish() == reference("pretrain")
    log = training.log()
    assert "checkpoint-1000: passed over, not whole" in log
    assert "checkpoint-999: passed over, of another run" in log
    assert f"{newer.name}: passed over, damaged (optimizer.pt)" in log
    assert f"continuing from update {older.name.split('-')[1]}" in log


def test_another_recipe_starts_afresh(train):
    training = train()
    training.kill_when(lambda: updates(training) > 10)
    at = training.command.index("--recipe") + 1
    training.command[at] = training.command[at].replace('"learning_rate":0.003', '"learning_rate":0.002')
    training.finish()
    assert "dropped what an earlier recipe, code or input had left" in training.log()
    assert "continuing" not in training.log()


@pytest.mark.parametrize("ranks", [1, 2])
def test_sigterm_saves_and_fails(train, reference, ranks):
    training = train(ranks=ranks, minutes=10)
    process = training.start()
    while "'loss'" not in training.log() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM, training.log()
    assert len(training.checkpoints()) == 1, training.log()
    assert not (training.folder / "record.json").exists()
    assert training.finish() == reference("pretrain", ranks)
    attempts = json.loads((training.folder / "record.json").read_text())["attempts"]
    assert [attempt["cause"] for attempt in attempts] == ["SIGTERM", "finished"]


def test_one_writer_at_a_time(train, reference):
    training = train(minutes=10)
    first, second = training.start(), training.start()
    assert first.wait(120) == second.wait(120) == 0
    log = training.log()
    assert log.count("another process writes there; waiting for it to end") == 1
    assert log.count("finished by another process meanwhile") == 1
    assert training.digest() == reference("pretrain")
