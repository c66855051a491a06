"""Estimates: FLOPs are those of the built models, paces those of the finished trainings most like a step."""

from pathlib import Path

import pytest
from conftest import begin, configuration, finish

from gridlaw import io, plugins
from gridlaw.cost import arithmetic, capacity, estimates
from gridlaw.models import flops, modeling
from gridlaw.views.estimate_text import Limits, bill, step_counts
from gridlaw.words import duration, size
from gridlaw.workflow.status import Verdicts, to_run
from gridlaw.workflow.steps import Steps

GRID = {
    "models": ["tiny", "small"],
    "sizes": [0, "8k", "16k"],
    "gpus": [1, 2],
    "tasks": ["sentiment"],
    "seeds": {"pretrain": [1], "finetune": [1, 2]},
    "exclude": [{"size": 0, "gpus": 2}],
}


class Tokenizer:
    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 2, 3, 4

    def __len__(self):
        return 120


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", plugins.names("family"))
def test_flops_and_weights_are_those_of_the_built_model(folder, kind):
    # Where nothing is made: of a grid whose tokenizer is there its vocabulary would count.
    shape = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 32}
    entry = {"model_type": kind, "shape": shape, "config": {}, "initializer_range": 0.02}
    config = configuration({"catalogue": {"models": {"own": {"model_type": kind, "shape": shape}}}})
    config["catalogue"]["tokenizers"] = {name: {"algorithm": name, "vocab_size": 120} for name in ("wordpiece", "bpe")}
    network = modeling.masked_lm(entry, Tokenizer(), 0.0, "eager")
    estimate = arithmetic.encoder(config, "own")
    assert estimate.flops(24, 10, 36) == flops.training_flops(network, 24, 10, 36)["flops"]
    assert estimate.parameters == pytest.approx(network.num_parameters(), rel=0.05)


def test_a_released_model_is_known_when_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configuration({"models": ["bert-base-uncased"], "sizes": [0], "exclude": []})
    assert arithmetic.encoder(config, "bert-base-uncased") is None
    io.write_json(
        "resources/checkpoint/bert-base-uncased/config.json",
        {"model_type": "bert", "num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072,
         "max_position_embeddings": 512, "vocab_size": 30522},
    )  # fmt: skip
    assert arithmetic.encoder(config, "bert-base-uncased").parameters == pytest.approx(110e6, rel=0.01)


def rates(config, **more):
    verdicts = Verdicts(config)
    return estimates.Rates(verdicts, **more), {step.name: step for step in verdicts.steps}, verdicts


def trained(seconds, flops, **facts):
    whole = {"device": "cpu", "steps": 10, "steps_here": 10, "train_seconds": seconds, "flops": flops}
    return {**whole, "wall_seconds": seconds + 5, "energy": {"joules": None}, **facts}


def make(config, facts):
    """Finish the data steps and some trainings."""
    for step in Steps(config):
        if step.rule in ("corpus", "segments", "tokenizer", "pack", "slice", "task") or step.name in facts:
            finish(step, **facts.get(step.name, {}))


def test_before_anything_is_done(folder):
    config = configuration(GRID)
    found, steps, _ = rates(config)
    assert (found.measured, found.device) == (0, "cpu")
    estimate = found.estimate({steps["pretrain tiny 8k 2 1"]})
    text = config["data"]["row_length"]
    updates = 10 * int(8000 / (text - 1)) // 16
    work = arithmetic.encoder(config, "tiny").flops(text, updates * 16, 0.25 * 8000 / (8000 / 31) * updates * 16)
    assert estimate.rank_seconds.middle == pytest.approx(
        2 * estimates.ASSUMED_START + work / estimates.ASSUMED_FLOPS["cpu"], rel=0.02
    )
    assert estimate.rank_seconds.low == estimate.rank_seconds.high
    assert "rough estimate" in bill(found, {steps["pretrain tiny 8k 2 1"]}, Limits())["compute"]
    # Jobs elsewhere are taken to have GPUs.
    assert rates(config, remote=True)[0].device == "gpu"
    # Unless the configuration knows better.
    faster, steps, _ = rates(configuration({**GRID, "cost": {"teraflops_per_gpu": 20}}))
    assert faster.estimate({steps["pretrain tiny 8k 2 1"]}).rank_seconds.middle == pytest.approx(
        2 * estimates.ASSUMED_START, rel=0.01
    )


def test_the_pace_is_that_of_the_most_like(folder):
    config = configuration(GRID)
    make(
        config,
        {
            "pretrain tiny 8k 1 1": trained(10, 1e10),
            "pretrain tiny 16k 1 1": trained(30, 1e10),
            "pretrain small 8k 2 1": trained(10, 4e10, ranks=2),
        },
    )
    found, steps, _ = rates(config)
    assert found.measured == 3
    # Same model, same ranks: the median of 1 and 3 ns, with their range.
    assert found._pace(steps["pretrain tiny 16k 1 1"]) == (1e-9, 2e-9, 3e-9)
    # Of the same model at other ranks.
    assert found._pace(steps["pretrain tiny 8k 2 1"]) == (1e-9, 2e-9, 3e-9)
    # A single one of this model has no spread of its own: it takes that of all pre-trainings (0.5, 1 and 3 ns).
    assert found._pace(steps["pretrain small 16k 1 1"]) == pytest.approx((0.25e-9, 0.5e-9, 1.5e-9))
    # No fine-tuning is done: that of any training.
    assert found._pace(steps["finetune tiny 8k 1 1 sentiment"]).middle == 1e-9
    # Start-up is what they took beside their updates.
    assert found.estimate({steps["pretrain tiny 0 1 1"]}).rank_seconds == (5, 5, 5)


def test_what_a_branch_has_left(folder):
    """A trunk's section is what lies between two sizes, a branch's the decay."""
    trunk = {"schedule": "trunk", "passes": 1, "decay_ratio": 0.25, "warmup_tokens": 100}
    config = configuration({**GRID, "pretrain": trunk})
    for name, rows in (("8k", 320), ("16k", 640)):
        io.write_json(f"resources/slice/toy/wordpiece/{name}/manifest.json", {"corpus_tokens": rows * 20, "rows": rows})
    found, steps, _ = rates(config)
    assert found._step_range(steps["trunk tiny 8k 1 1"]) == (0, 15)
    assert found._step_range(steps["trunk tiny 16k 1 1"]) == (15, 30)
    assert found._step_range(steps["pretrain tiny 16k 1 1"]) == (30, 40)
    independent, steps, _ = rates(configuration({**GRID, "pretrain": {"passes": 2}}))
    assert independent._step_range(steps["pretrain tiny 16k 1 1"]) == (0, 80)


def test_one_more_seed_costs_one_seed(folder):
    config = configuration(GRID)
    runs = [{"train_examples": 600, "seed": seed, "seconds": 10} for seed in (1, 2)]
    tuned = {"device": "cpu", "runs": runs, "wall_seconds": 23}
    make(config, {"pretrain tiny 8k 1 1": trained(10, 1e10), "finetune tiny 8k 1 1 sentiment": tuned})
    begin(rates(config)[1]["finetune tiny 8k 1 1 sentiment"])
    for seed in (1, 2):
        io.write_json(f"work/finetune/tiny/8k/1/1/sentiment/all-{seed}/facts.json", {})
    more = configuration({**GRID, "seeds": {"pretrain": [1], "finetune": [1, 2, 3]}})
    found, steps, _ = rates(more)
    step = steps["finetune tiny 8k 1 1 sentiment"]
    assert found.estimate({step}).rank_seconds.middle == pytest.approx(3 + 10)
    # All three, if the model is made again.
    assert found.estimate({step, steps["pretrain tiny 8k 1 1"]}).seconds[step].middle == pytest.approx(3 + 30)
    # And if something else has changed as well.
    other = configuration({**GRID, "seeds": {"pretrain": [1], "finetune": [1, 2, 3]}, "finetune": {"epochs": 10}})
    found, steps, _ = rates(other)
    assert found.estimate({steps[step.name]}).rank_seconds.middle == pytest.approx(3 + 60, rel=0.01)


def test_an_interrupted_run_has_the_rest_left(folder):
    config = configuration(GRID)
    make(config, {"pretrain tiny 8k 1 1": trained(10, 1e10)})
    _, steps, _ = rates(config)
    step = steps["pretrain tiny 16k 1 1"]
    whole = rates(config)[0].estimate({step}).rank_seconds.middle - 5
    last = rates(config)[0]._step_range(step)[1]
    Path(begin(step), f"checkpoint-{3 * last // 4}").mkdir()

    def cost(config):
        again, steps, _ = rates(config)
        return again.estimate({steps[step.name]}).rank_seconds.middle - 5

    assert cost(config) == pytest.approx(whole / 4, rel=0.02)
    # A failed one resumes as well.
    with Path(step.work, "attempts.jsonl").open("a") as stream:
        stream.write('{"ended": "2026-11-24T10:01:00+00:00", "cause": "exit status 1"}\n')
    assert cost(config) == pytest.approx(whole / 4, rel=0.02)
    # Nothing of it can be used with another learning rate.
    other = configuration({**GRID, "pretrain": {"per_model": {"tiny": {"learning_rate": 0.5}}}})
    assert cost(other) == pytest.approx(whole, rel=0.02)


def test_what_is_not_known_is_said(folder):
    hub = {"source": "hub", "dataset": "someone/text", "revision": "main"}
    config = configuration(
        {**GRID, "sizes": ["8k", "all"], "corpus": "far", "tasks": ["sentiment", "mine", "rte"],
         "catalogue": {"corpora": {"far": hub}, "tasks": {"mine": hub | {"text": ["body"], "metrics": ["f1"]}}}},
    )  # fmt: skip
    found, steps, verdicts = rates(config)
    due = to_run(verdicts)
    text = bill(found, due, Limits(cores=2))["without"]
    assert text == (
        "4 trainings at size all, until the corpus is packed and its tokens are counted;"
        " 4 trainings on mine, until the task is fetched and its examples are counted"
    )
    # GLUE is known.
    assert found._examples("rte") == 2490
    io.write_json("resources/pack/far/wordpiece/manifest.json", {"train": {"tokens": 10**6}, "vocabulary": 2000})
    assert "size all" not in bill(*_again(config, due), Limits(cores=2))["without"]


def _again(config, due):
    found, steps, _ = rates(config)
    return found, {steps[step.name] for step in due}


def test_disk_energy_and_money(folder):
    config = configuration({**GRID, "cost": {"watts_per_gpu": 200, "price_per_kwh": 0.5, "price_per_gpu_hour": 2}})
    make(config, {"pretrain tiny 8k 2 1": trained(3595, 1e13, ranks=2, device="NVIDIA H100", energy={"joules": 1.0})})
    found, steps, _ = rates(config)
    assert found.device == "gpu"
    step = steps["pretrain tiny 8k 2 1"]
    texts = bill(found, {step}, Limits(jobs=4))
    hours = found.estimate({step}).rank_seconds.middle / 3600
    assert texts["compute"].endswith("GPU-minutes; by 1 finished training")
    assert found.estimate({step}).joules.middle == pytest.approx(hours * 3600 * 200)
    assert texts["money"].endswith(" EUR")
    assert float(texts["money"].split()[1]) == pytest.approx(hours * (2 + 0.2 * 0.5), rel=0.06)
    assert texts["disk"] == f"{size(4 * arithmetic.encoder(config, 'tiny').parameters)} of models"
    # What was measured, where the configuration says nothing.
    found, steps, _ = rates(configuration(GRID))
    measured = found.estimate({steps[step.name]})
    assert measured.joules.middle == pytest.approx(measured.rank_seconds.middle / 7200)
    assert "money" not in bill(found, {steps[step.name]}, Limits())


def test_jobs_share_what_there_is(folder):
    steps = {step.name: step for step in Steps(configuration(GRID))}
    second = estimates.Span(1, 1, 1)
    trainings = [steps[f"pretrain {model} 8k {gpus} 1"] for model in ("tiny", "small") for gpus in (1, 2)]
    times = dict.fromkeys(trainings, second)
    assert estimates.makespan(times, None, None, 1) == 4
    assert estimates.makespan(times, None, None, None) == 1
    # Two of one core each, and two of both.
    assert estimates.makespan(times, 2, None, None) == 3
    assert estimates.makespan(times, 1, None, None) == 4
    assert estimates.makespan(times, 8, 2, None) == 3
    chain = {
        steps[name]: second for name in ("pretrain tiny 8k 1 1", "finetune tiny 8k 1 1 sentiment", "score tiny 8k 1")
    }
    assert estimates.makespan(chain, 8, None, None) == 3
    assert estimates.makespan({}, 8, None, None) == 0


def test_words(folder):
    found, _, verdicts = rates(configuration(GRID))
    assert step_counts(found, to_run(verdicts)) == "10 pre-trainings, 6 fine-tunings of 12 runs, 39 other jobs"
    assert [duration(seconds) for seconds in (3, 100, 150, 7000, 9000, 400000)] == [
        "3 s", "100 s", "2.5 min", "117 min", "2.5 h", "4.6 days",
    ]  # fmt: skip
    assert [size(number) for number in (100, 2.5e6, 3e9, 1.2e12)] == ["0.1 kB", "2.5 MB", "3 GB", "1.2 TB"]
    assert str(Limits(cores=2, gpus=1)) == "on 2 cores and 1 gpu"
    assert str(Limits()) == "one after the other"


LETTERS = {"source": "files", "files": ["*.txt"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("The cat sat on the mat by the river. " * 10_000, 90_000),
        ("猫が好きです。" * 20_000, 120_000),
        ("\n" * 500_000, 0),
    ],
)
def test_tokens_are_estimated_from_a_sample(tmp_path, monkeypatch, content, words):
    """A size that only a count of bytes allows is doubted."""
    monkeypatch.chdir(tmp_path)
    for number in range(40):
        Path(f"{number}.txt").write_text(content[: len(content) // 2] if number % 2 else content)
    grid = {"corpus": "letters", "sizes": ["1M", "10M"], "data": {"held_out_words": 1000}}
    config = configuration(grid | {"catalogue": {"corpora": {"letters": LETTERS}}})
    assert capacity.estimated_tokens(config) == pytest.approx(2 * max(0, 30 * words - 1000), rel=0.05)
    lines = list(capacity.doubts(config))
    assert [line.split()[1] for line in lines] == (["10M"] if words else ["1M", "10M"])
    assert all("is probably more than the corpus letters holds, at most about" in line for line in lines)


def test_nothing_is_estimated_of_text_that_is_not_in_plain_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(capacity.doubts(configuration({}))) == []
    Path("a.txt.zst").write_bytes(b"packed")
    corpora = {"letters": LETTERS | {"files": ["a.txt.zst"]}}
    assert list(capacity.doubts(configuration({"corpus": "letters", "catalogue": {"corpora": corpora}}))) == []
