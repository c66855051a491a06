"""A training that was killed continues to the very same weights, at whatever moment it was killed."""

import json
import os
import shutil
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kill import Training, model_for, prepare
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gridlaw.runtime.events import Events


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


@pytest.fixture(scope="module")
def model(data):
    """The model that fine-tunings start from."""
    model_for(data)


@pytest.fixture
def train(data, tmp_path):
    """A training with a checkpoint after each update."""

    def make(phase="pretrain", ranks=1, minutes=0.0, passes=4):
        return Training(data, tmp_path / f"{phase}-{ranks}", phase, ranks, passes=passes, minutes=minutes)

    return make


def updates(training):
    found = training.checkpoints()
    return int(found[-1].name.split("-")[1]) if found else 0


def wait_for(training, process, number):
    """Wait for a training to have done some updates."""
    while updates(training) < number and process.poll() is None:
        time.sleep(0.01)


def is_told_to_save(training):
    """Start a training that saves only when it is told to, and tell it after its first update."""
    at = training.program.index("--checkpoint-minutes") + 1
    minutes, training.program[at] = training.program[at], 10
    process = training.start()
    while "'loss'" not in training.log() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM, training.log()
    assert len(training.checkpoints()) == 1, training.log()
    assert not (training.folder / "record.json").exists()
    training.program[at] = minutes


def is_killed_while_saving(training):
    """Kill a training while it writes a checkpoint in its third pass."""
    partial = training.folder / "work" / ".partial"
    training.kill_when(lambda: updates(training) > 45 and partial.exists())


def causes(training):
    return [attempt["cause"] for attempt in json.loads((training.folder / "record.json").read_text())["attempts"]]


def test_pretraining(train, reference):
    training = train()
    training.kill(2.0)
    assert not training.checkpoints()
    is_told_to_save(training)
    is_killed_while_saving(training)
    assert training.finish() == reference("pretrain")
    assert training.log().count("resuming from optimizer step") == 2
    assert causes(training)[-3:] == ["SIGTERM", "killed", "finished"]


@pytest.mark.extended
def test_pretraining_on_two_ranks(train, reference):
    training = train(ranks=2)
    is_told_to_save(training)
    is_killed_while_saving(training)
    # Only what was started is killed: its ranks must not go on.
    process = training.start()
    wait_for(training, process, 60)
    process.kill()
    process.wait()
    assert training.finish() == reference("pretrain", 2)
    assert training.log().count("resuming from optimizer step") == 3
    assert causes(training) == ["SIGTERM", "killed", "killed", "finished"]


def measure(training, data, times):
    """Have a pre-training measure a held-out loss."""
    shutil.copy(data / "rows.bin", training.folder / "held_out.bin")
    manifest = json.loads((data / "slice.json").read_text())
    pack = manifest | {"held_out": {"end": manifest["end"] // 4, "unigram_loss": 5.0}}
    (training.folder / "pack.json").write_text(json.dumps(pack))
    training.program += ["--held-out-rows", training.folder / "held_out.bin", "--pack", training.folder / "pack.json"]
    training.program += ["--evaluations", times]


@pytest.mark.extended
def test_measuring_on_the_way_changes_nothing(data, train, reference):
    training = train(minutes=10)
    measure(training, data, 7)
    assert training.finish() == reference("pretrain")
    assert training.log().count("eval_held_out_loss'") == 7


def curves(folder):
    """Points of each tag, as TensorBoard shows them."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(point.step, point.value) for point in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def has_no_point_twice(points):
    steps = [step for step, _ in points]
    return steps == sorted(set(steps))


TRAINING = {"train/loss", "train/learning_rate", "train/gradient_norm"}


@pytest.mark.nightly
def test_curves_of_a_pretraining_that_was_killed(data, train, reference):
    place = train(minutes=10)
    folder = place.folder / "tensorboard"
    # A file of another run, in the same folder.
    Events(folder, "training").add(10**9, {"train/loss": 1.0})
    place.program += ["--tensorboard", folder]
    measure(place, data, 2)
    assert place.finish() == reference("pretrain"), "no result depends on them"
    whole = curves(folder)
    assert whole.keys() == TRAINING | {"train/tokens_per_second", "held_out/loss", "held_out/loss_standard_error"}
    tokens = json.loads((place.folder / "record.json").read_text())["trained_tokens"]
    assert len(whole["held_out/loss"]) == 2
    assert whole["held_out/loss"][-1][0] == pytest.approx(tokens, abs=1), "the last one is the result's"
    assert all(speed > 0 for _, speed in whole["train/tokens_per_second"])

    killed = place
    shutil.rmtree(killed.folder / "model")
    (killed.folder / "record.json").unlink()
    at = killed.program.index("--checkpoint-minutes") + 1
    killed.program[at] = 0.01
    seen = {}

    def has_gone_on():
        """Return whether there are points after that of the newest checkpoint."""
        written = sum(file.stat().st_size for file in folder.glob("events*"))
        return updates(killed) > 0 and written > seen.setdefault(updates(killed), written) + 200

    killed.kill_when(has_gone_on)
    assert json.loads((killed.folder / "work" / "progress.json").read_text())["unit"] == "tokens"
    assert killed.finish() == reference("pretrain")
    assert "resuming from optimizer step" in killed.log()
    again = curves(folder)
    assert again.keys() == whole.keys()
    for tag in ("train/learning_rate", "held_out/loss"):
        assert again[tag] == whole[tag]
    assert all(map(has_no_point_twice, again.values()))
    assert [step for step, _ in again["train/loss"]] == [step for step, _ in whole["train/loss"]]


@pytest.fixture(scope="module")
def compiled(data, model, tmp_path_factory):
    """Of each phase a compiled training that was killed, and its result and that in one go; all side by side."""
    folder = tmp_path_factory.mktemp("compiled")

    def training(phase, name):
        made = Training(data, folder / f"{phase} {name}", phase, passes=1, minutes=0.0)
        at = made.program.index("--recipe") + 1
        recipe = json.loads(made.program[at]) | {"compile": True}
        if phase == "finetune":
            recipe |= {"seeds": [1], "train_examples": ["all"]}
        made.program[at] = json.dumps(recipe)
        return made

    def both(phase):
        killed = training(phase, "killed")
        killed.kill_when(lambda: updates(killed) > 5, timeout=600)
        return killed, killed.finish(600), training(phase, "in one go").finish(600)

    pool = ThreadPoolExecutor()
    yield {phase: pool.submit(both, phase) for phase in ("pretrain", "finetune")}
    pool.shutdown()


@pytest.mark.nightly
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a compiler")
@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
def test_compiled(compiled, phase):
    """Kernels must not depend on the shapes that a process happens to see first."""
    killed, result, in_one_go = compiled[phase].result()
    assert result == in_one_go
    assert "resuming from optimizer step" in killed.log()


@pytest.mark.extended
def test_finetuning(train, model, reference):
    training = train("finetune")
    work, folder = training.folder / "work", training.folder / "tensorboard"
    training.program += ["--tensorboard", folder]
    training.kill_when(lambda: updates(training) > 10)
    training.kill_when(lambda: (work / "all-1").exists() and updates(training) > 40)
    # 30 updates of each seed on 60 examples, 75 on all 150.
    assert json.loads((work / "progress.json").read_text())["total"] == 2 * (30 + 75)
    done = (work / "60-1" / "predictions.parquet").stat().st_mtime_ns
    assert training.finish() == reference("finetune")
    assert (work / "60-1" / "predictions.parquet").stat().st_mtime_ns == done, "finished runs are not repeated"
    assert not (work / "progress.json").exists()
    for train_set, seed, examples in (("60", 1, 240), ("60", 2, 240), ("all", 1, 600), ("all", 2, 600)):
        found = curves(folder / train_set / str(seed))
        assert found.keys() == TRAINING | {"train/examples_per_second"}
        assert all(map(has_no_point_twice, found.values()))
        assert all(examples - 16 <= points[-1][0] <= examples for points in found.values())


@pytest.mark.extended
def test_one_more_seed_costs_one_seed(data, train, model, reference):
    reference("finetune")
    training = train("finetune")
    shutil.copytree(data / "reference-finetune-1" / "work", training.folder / "work")
    before = {file: file.stat().st_mtime_ns for file in (training.folder / "work").rglob("facts.json")}
    at = training.program.index("--recipe") + 1
    training.program[at] = training.program[at].replace('"seeds":[1,2]', '"seeds":[2,1,3]')
    training.finish()
    runs = json.loads((training.folder / "record.json").read_text())["runs"]
    assert [(run["train_set"], run["seed"]) for run in runs] == [(s, n) for s in ("60", "all") for n in (2, 1, 3)]
    after = {file: file.stat().st_mtime_ns for file in (training.folder / "work").rglob("facts.json")}
    assert len(after) == 6
    assert before.items() <= after.items()


@pytest.mark.extended
def test_damaged_and_foreign_checkpoints_are_passed_over(train, reference):
    training = train()
    training.program += ["--tensorboard", training.folder / "tensorboard"]

    def whole():
        return [path for path in training.checkpoints() if (path / "seal.json").exists()]

    training.kill_when(lambda: len(whole()) >= 2 and updates(training) > 20)
    # A third is there for the moment between a new one's seal and the removal of the oldest.
    *_, older, newer = whole()
    with open(newer / "optimizer.pt", "r+b") as file:
        file.truncate(1000)
    foreign = shutil.copytree(older, older.with_name("checkpoint-999"))
    sealed = json.loads((foreign / "seal.json").read_text())
    (foreign / "seal.json").write_text(json.dumps(sealed | {"fingerprint": "another"}))
    (older.with_name("checkpoint-1000")).mkdir()
    assert training.finish() == reference("pretrain")
    log = training.log()
    assert "checkpoint-1000: not used, incomplete" in log
    assert "checkpoint-999: not used, it belongs to another run" in log
    assert f"{newer.name}: not used, damaged (optimizer.pt)" in log
    assert f"resuming from optimizer step {older.name.split('-')[1]}" in log
    assert all(map(has_no_point_twice, curves(training.folder / "tensorboard").values()))


@pytest.mark.extended
def test_another_recipe_starts_afresh(train):
    training = train(passes=1)
    training.kill_when(lambda: updates(training) > 10)
    at = training.program.index("--recipe") + 1
    training.program[at] = training.program[at].replace('"learning_rate":0.003', '"learning_rate":0.002')
    training.finish()
    assert "deleted the files of an earlier attempt: learning_rate 3e-3 → 2e-3\n" in training.log()
    assert "resuming from optimizer step" not in training.log()


@pytest.mark.extended
def test_one_writer_at_a_time(train, reference):
    training = train(minutes=10)
    first, second = training.start(), training.start()
    assert first.wait(120) == second.wait(120) == 0
    log = training.log()
    assert log.count("another process is writing there; waiting for it to end") == 1
    assert log.count("another process finished this result meanwhile") == 1
    assert training.digest() == reference("pretrain")


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.mark.extended
def test_two_nodes(train, reference, port):
    training = train(ranks=4)
    nodes = training.start_nodes(2, port)
    wait_for(training, nodes[0], 40)
    # Their ranks are in sessions of their own: they must see by themselves that they are alone.
    for node in nodes:
        node.kill()
    assert [node.wait() for node in nodes] == [-signal.SIGKILL] * 2, training.log()
    nodes = training.start_nodes(2, port)
    wait_for(training, nodes[0], updates(training) + 10)
    # A word to one of them ends both.
    nodes[1].terminate()
    assert all(node.wait(60) for node in nodes), training.log()
    assert "SIGTERM after optimizer step" in training.log()
    assert not (training.folder / "record.json").exists()
    assert [node.wait(200) for node in training.start_nodes(2, port)] == [0, 0], training.log()
    assert training.digest() == reference("pretrain", 4)
    attempts = json.loads((training.folder / "record.json").read_text())["attempts"]
    assert [attempt["cause"] for attempt in attempts] == ["killed", "SIGTERM", "finished"]
    assert [node.wait(60) for node in training.start_nodes(2, port)] == [0, 0], training.log()
    assert training.log().count("another process finished this result meanwhile") == 1


SRUN = """#!{python}
# Runs a command twice, as on two nodes; kills both at SIGTERM and passes SIGUSR1 on, as srun does.
import os, signal, subprocess, sys
assert sys.argv[1:5] == ["--nodes", "2", "--ntasks", "2"] and "SLURM_NODELIST" not in os.environ
command = sys.argv[sys.argv.index({python!r}):]
tasks = [subprocess.Popen(command) for _ in range(2)]
signal.signal(signal.SIGUSR1, lambda *_: [task.send_signal(signal.SIGUSR1) for task in tasks])
signal.signal(signal.SIGTERM, lambda *_: [task.kill() for task in tasks])
sys.exit(max(task.wait() for task in tasks))
"""


@pytest.mark.nightly
def test_launcher_of_a_job_of_two_nodes(train, reference, tmp_path):
    programs = {
        "srun": SRUN.format(python=sys.executable),
        "squeue": "#!/bin/sh\necho n[1-2]\n",
        "sinfo": "#!/bin/sh\necho n1 localhost\necho n2 localhost\n",
    }
    (tmp_path / "bin").mkdir()
    for name, program in programs.items():
        (tmp_path / "bin" / name).write_text(program)
        (tmp_path / "bin" / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_NODELIST": "n1", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    training = train(ranks=2)
    launcher = training.start(**job)
    wait_for(training, launcher, 20)
    # Its ranks must not go on.
    launcher.kill()
    assert launcher.wait() == -signal.SIGKILL, training.log()
    launcher = training.start(**job)
    wait_for(training, launcher, updates(training) + 10)
    launcher.terminate()
    assert launcher.wait(60) == 128 + signal.SIGTERM, training.log()
    assert "SIGTERM after optimizer step" in training.log()
    assert training.start(**job).wait(120) == 0, training.log()
    assert training.digest() == reference("pretrain", 2)
    attempts = json.loads((training.folder / "record.json").read_text())["attempts"]
    assert [attempt["cause"] for attempt in attempts] == ["killed", "SIGTERM", "finished"]
    assert {attempt["slurm_job"] for attempt in attempts} == {"7"}


@pytest.mark.nightly
def test_ranks_of_srun(train, reference, port):
    training = train(ranks=2, minutes=10)
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "SLURM_STEP_NUM_TASKS": "2"}
    tasks = [training.start(**meeting, SLURM_PROCID=number, SLURM_LOCALID="0") for number in ("0", "1")]
    assert [task.wait(120) for task in tasks] == [0, 0], training.log()
    assert training.digest() == reference("pretrain", 2)


@pytest.mark.extended
def test_another_number_of_ranks_is_refused(train):
    training = train(ranks=1)
    torchrun = training.start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert torchrun.wait(60) == 1
    said = [line for line in training.log().splitlines() if line.startswith("error: ")]
    assert said == ["error: gpus: 2 ranks were started; expected 1, as in the recipe"]
    assert not (training.folder / "work").exists()
