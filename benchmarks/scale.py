"""The cost of a dry run by the size of the grid, compared with a bare workflow of the same shape.

    python benchmarks/scale.py
    python benchmarks/scale.py --jobs 1000 --rounds 5 --schedule trunk

The grids have nine tasks and five seeds of pre-training, and enough models and sizes for about the number of jobs. The
bare workflow has the same jobs and files; every input is a plain pattern, every parameter a constant, and there is no
configuration. The program measures CPU time and peak memory of whole processes of `snakemake -n`, on a new grid and on
a finished one, whose files, records and metadata are synthetic. Real and bare take turns; a ratio is that of two
results of the same round. It prints medians over rounds, with ranges.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import common
import yaml

TASKS = ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]
SEEDS = [1, 2, 3, 4, 5]
# Jobs of a cell: its pre-trainings, their fine-tunings, the score.
OF_CELL = len(SEEDS) * (1 + len(TASKS)) + 1
SNAKEFILE = common.ROOT / "Snakefile"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 5000, 20000], help="number of jobs, about")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: 3)")
    parser.add_argument("--schedule", choices=["independent", "trunk"], default="independent")
    args = parser.parse_args()
    common.print_machine(1)
    rows = []
    for wanted in args.jobs:
        with tempfile.TemporaryDirectory(prefix="gridlaw-") as folder:
            rows += compare(Path(folder), wanted, args)
    common.print_table(rows)


def compare(folder: Path, wanted: int, args: argparse.Namespace) -> list[dict[str, str]]:
    """Measure one grid; gives the table's rows."""
    config = grid(wanted, args.schedule)
    jobs = count(config, args.schedule)
    (folder / "grid.yaml").write_text(yaml.safe_dump(config))
    (folder / "Snakefile").write_text(bare(config, args.schedule))
    sides = {"gridlaw": [SNAKEFILE, "--configfile", folder / "grid.yaml"], "bare": [folder / "Snakefile"]}
    rows = []
    for state in ("new", "done"):
        figures = {side: [] for side in sides}
        for side, command in sides.items():
            (folder / state / side).mkdir(parents=True)
            if state == "done":
                execute(sys.executable, __file__, "finish", folder / state / side, *command)
        if state == "done":
            shapes = [(folder / state / side / "shape.json").read_text() for side in sides]
            assert shapes[0] == shapes[1], f"the bare workflow has another shape:\n{shapes[0]}\n{shapes[1]}"
        for _ in range(args.rounds):
            for side, command in sides.items():
                run = [sys.executable, "-m", "snakemake", "-n", "-d", folder / state / side, "-s", *command]
                *measured, output = execute(*run)
                assert ("Nothing to be done" if state == "done" else f" {jobs}\n") in output, output
                figures[side].append(measured)
        ratios = [real[0] / yardstick[0] for real, yardstick in zip(figures["gridlaw"], figures["bare"], strict=True)]
        rows.append(
            {
                "jobs": str(jobs),
                "state": state,
                "gridlaw, CPU s": common.spread(seconds for seconds, _ in figures["gridlaw"]),
                "bare, CPU s": common.spread(seconds for seconds, _ in figures["bare"]),
                "ratio": common.spread(ratios),
                "gridlaw, MB": f"{statistics.median(memory for _, memory in figures['gridlaw']):.0f}",
                "bare, MB": f"{statistics.median(memory for _, memory in figures['bare']):.0f}",
            }
        )
        print(*rows[-1].values(), sep="  ", flush=True)
    return rows


def execute(*command: object) -> tuple[float, float, str]:
    """Run a command to its end.

    Returns:
        CPU seconds, peak memory in MB, and its output.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, cwd=common.ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        sys.exit(text)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def grid(jobs: int, schedule: str) -> dict:
    """An overlay with about a number of jobs."""
    cells = max(1, round(jobs / OF_CELL))
    sizes = round(cells**0.5)
    models = [f"model-{number}" for number in range(round(cells / sizes))]
    shape = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2}
    own = {} if schedule == "independent" else {"passes": 1, "decay_ratio": 0.2}
    return {
        "models": models,
        "sizes": [f"{number + 1}M" for number in range(sizes)],
        "gpus": [1],
        "tasks": TASKS,
        "seeds": {"pretrain": SEEDS, "finetune": SEEDS},
        "exclude": [],
        "corpus": "large",
        "pretrain": {"schedule": schedule, **own},
        "catalogue": {
            "models": {model: {"model_type": "bert", "shape": shape} for model in models},
            "corpora": {"large": {"source": "generator", "words": "2B"}},
        },
    }


def bare(config: dict, schedule: str) -> str:
    """A workflow of the same jobs and files, made of constants."""
    segments, pack = "resources/segments/large", "resources/pack/large/wordpiece"
    cell = "{model}/{size}/{gpus}/{seed}"
    network = [
        "resources/tokenizer/large/wordpiece/manifest.json",
        f"{pack}/rows.bin",
        "resources/slice/large/wordpiece/{size}/manifest.json",
    ]
    of_trunk = [f"results/trunk/{cell}/{file}" for file in ("state", "manifest.json")] if schedule == "trunk" else []
    cells = [f"{model}/{size}/1" for model in config["models"] for size in config["sizes"]]
    runs = [f"results/finetune/{{model}}/{{size}}/{{gpus}}/{seed}/{task}" for seed in SEEDS for task in TASKS]
    records = [f"results/pretrain/{name}/{seed}/record.json" for name in cells for seed in SEEDS]
    scores = [f"results/score/{name}/{file}" for name in cells for file in ("scores.csv", "record.json")]
    baselines = [f"results/baseline/{task}/scores.csv" for task in TASKS]
    names = ("runs", "scores", "summary", "baselines")
    tables = [f"results/{name}.{kind}" for name in names for kind in ("csv", "parquet")]
    figures = {
        name: [f"results/figures/{name}.{kind}" for kind in ("png", "svg", "pdf", "csv", "json")]
        for name in ("scores", "loss", "throughput")
    }

    def folder(name: str, *files: str) -> list[str]:
        return [f"{name}/{file}" for file in (*files, "record.json")]

    rules = [
        rule("all", [*tables, "results/aggregate.json", *(file for files in figures.values() for file in files)], []),
        rule("corpus", [], folder("resources/corpus/large", "documents.parquet", "manifest.json")),
        rule(
            "segments",
            ["resources/corpus/large/documents.parquet", "resources/corpus/large/manifest.json"],
            folder("resources/segments/large", "train.parquet", "held_out.parquet", "manifest.json"),
        ),
        rule(
            "tokenizer",
            ["resources/segments/large/train.parquet", "resources/segments/large/manifest.json"],
            folder("resources/tokenizer/large/wordpiece", "tokenizer.json", "manifest.json"),
        ),
        rule(
            "pack",
            [
                *(f"{segments}/{file}" for file in ("train.parquet", "held_out.parquet", "manifest.json")),
                "resources/tokenizer/large/wordpiece/manifest.json",
            ],
            folder(pack, "rows.bin", "index.parquet", "held_out.bin", "manifest.json"),
        ),
        rule(
            "slice",
            [f"{pack}/{file}" for file in ("index.parquet", "manifest.json") * 2] + [f"{pack}/rows.bin"],
            folder("resources/slice/large/wordpiece/{size}", "manifest.json"),
        ),
        rule("task", [], folder("resources/task/{task}", "examples.parquet", "manifest.json")),
        rule(
            "baseline",
            ["resources/task/{task}/examples.parquet", "resources/task/{task}/manifest.json"],
            folder("results/baseline/{task}", "scores.csv"),
        ),
        rule(
            "pretrain",
            [*network, f"{pack}/manifest.json", f"{pack}/held_out.bin", *of_trunk],
            folder(f"results/pretrain/{cell}", "model/model.safetensors", "manifest.json"),
        ),
        rule(
            "finetune",
            [
                *(f"results/pretrain/{cell}/{file}" for file in ("model/model.safetensors", "manifest.json")),
                *("resources/task/{task}/examples.parquet", "resources/task/{task}/manifest.json"),
            ],
            folder(f"results/finetune/{cell}/{{task}}", "predictions.parquet", "manifest.json"),
        ),
        rule(
            "score",
            [f"{run}/{file}" for file in ("predictions.parquet", "manifest.json") for run in runs],
            folder("results/score/{model}/{size}/{gpus}", "scores.csv"),
        ),
        rule("aggregate", [*records, *scores, *baselines], [*tables, "results/aggregate.json"]),
        rule("figure_scores", tables[4:8:2], figures["scores"]),
        rule("figure_loss", [tables[0]], figures["loss"]),
        rule("figure_throughput", [tables[0]], figures["throughput"]),
    ]
    if schedule == "trunk":
        for before, size in zip([None, *config["sizes"]], config["sizes"], strict=False):
            at = {one: cell.replace("{size}", one) for one in (before, size) if one}
            state = [f"results/trunk/{at[before]}/{file}" for file in ("state", "manifest.json")] if before else []
            made = folder(f"results/trunk/{at[size]}", "state", "manifest.json")
            rules.append(rule(f"trunk_{size}", [path.replace("{size}", size) for path in network] + state, made))
    return "\n".join(rules)


def rule(name: str, inputs: list[str], outputs: list[str]) -> str:
    """A rule of the bare workflow."""
    lines = [f"rule {name}:", f"    input: {', '.join(map(repr, inputs))}"] if inputs else [f"rule {name}:"]
    if outputs:
        written = [f"directory({file!r})" if file.endswith("/state") else repr(file) for file in outputs]
        stem = outputs[-1].partition("/")[2].rpartition(".")[0]
        lines += [f"    output: {', '.join(written)}", f"    log: 'logs/{stem}.log'", "    resources: gpu=1"]
        lines += [f"    params: recipe='{name}', code='0123456789ab'", "    shell: 'touch {output}'"]
    return "\n".join(lines) + "\n"


def count(config: dict, schedule: str) -> int:
    """The number of jobs of a grid."""
    cells = len(config["models"]) * len(config["sizes"])
    trunks = cells * len(SEEDS) if schedule == "trunk" else 0
    # Corpus, segments, tokenizer and rows; slices; tasks with their baselines; the tables, three figures, and all.
    return cells * OF_CELL + trunks + 4 + len(config["sizes"]) + 2 * len(TASKS) + 5


def finish(folder: Path, *command: str) -> None:
    """Write the files of a finished workflow into a folder, with the shape of its jobs."""
    from snakemake import cli, dag

    def stats(self) -> None:
        os.chdir(folder)
        shape: dict[str, int] = {}
        for level in self.toposorted():
            for job in level:
                for kind in ("input", "output"):
                    name = f"{kind} of {job.rule.name.partition('_')[0]}"
                    shape[name] = shape.get(name, 0) + len(getattr(job, kind))
                if job.output:
                    make(job)
                    remember(self.workflow.persistence, job)
        Path("shape.json").write_text(json.dumps(shape, indent=1, sort_keys=True))
        sys.exit()

    # A dry run calls it once all jobs are known.
    dag.DAG.stats = stats
    cli.main(["-n", "-d", str(folder), "-s", *command])


def make(job) -> None:
    """Write a job's files, as its program would: its record last, with the others' digests."""
    files = [Path(file) for file in job.output]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.name == "state":
            file.mkdir()
        elif file.name != "record.json" and file.suffix != ".json":
            file.write_text(str(file))
        elif file.name == "manifest.json":
            file.write_text(json.dumps({"file": str(file), "train": {"tokens": 10**9}}))
    is_real = job.params.recipe.startswith("{")
    record = {
        "step": job.rule.name,
        "recipe": json.loads(job.params.recipe) if is_real else {},
        "code": job.params.code,
        "definitions": {},
        "inputs": {file: sha256(file) for file in job.input if file.endswith((".json", ".csv"))},
        "outputs": {str(file): sha256(file) for file in files if file.is_file()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": 1.0,
    }
    if files[-1].suffix == ".json":
        files[-1].write_text(json.dumps(record))


def sha256(file: str | Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def remember(persistence, job) -> None:
    """Write Snakemake's metadata of a finished job."""
    from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

    record = MetadataRecord(
        rule=job.rule.name,
        input=persistence._input(job),
        log=persistence._log(job),
        shellcmd=job.shellcmd,
        params=persistence._params(job),
        code=persistence._code(job.rule),
        record_format_version=RECORD_FORMAT_VERSION,
        software_stack_hash=persistence._software_stack_hash(job),
        incomplete=False,
        input_checksums={},
    )
    for file in job.output:
        persistence._write_record(persistence._get_key(file), record)


if __name__ == "__main__":
    if sys.argv[1:2] == ["finish"]:
        finish(Path(sys.argv[2]), *sys.argv[3:])
    else:
        main()
