"""The experiment's jobs by hand: what each is made from, and which a change touches.

Nothing here is taken from `gridlaw.workflow.steps` or from the rules, which are what is tested; only the names of figures are.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path

from gridlaw.config.grid import size_name
from gridlaw.workflow.kinds.reporting import FIGURES


def grid(config: dict) -> dict[str, set[str]]:
    """All jobs of a configuration, each with those that make what it reads."""
    corpus, counted = config["corpus"], config["data"]["tokenizer"]
    seeds, tasks, made = [int(seed) for seed in config["seeds"]["pretrain"]], config["tasks"], {}
    made[f"corpus {corpus}"] = set()
    made[f"segments {corpus}"] = {f"corpus {corpus}"}

    def pack(tokenizer):
        made[f"tokenizer {corpus} {tokenizer}"] = {f"segments {corpus}"}
        made[f"pack {corpus} {tokenizer}"] = {f"segments {corpus}", f"tokenizer {corpus} {tokenizer}"}
        return f"pack {corpus} {tokenizer}"

    for task in tasks:
        made[f"task {task}"] = set()
        made[f"baseline {task}"] = {f"task {task}"}
    made["aggregate"] = {f"baseline {task}" for task in tasks}
    for model in config["models"]:
        tokenizer = config["catalogue"]["models"][model].get("tokenizer", "wordpiece")
        own = config["pretrain"]["per_model"].get(model, {})
        trunk = own.get("schedule", config["pretrain"]["schedule"]) == "trunk"
        for size in map(size_name, config["sizes"]):
            counts = [int(gpus) for gpus in config["gpus"]]
            counts = [gpus for gpus in counts if not any(excluded(one, model, size, gpus) for one in config["exclude"])]
            if size != "0" and 1 in counts and len(counts) > 1 and config["pretrain"]["scaling"] == "strong":
                made[f"ranks {model} {size}"] = {f"pretrain {model} {size} {n} {m}" for n in counts for m in seeds}
                made["aggregate"].add(f"ranks {model} {size}")
            for gpus in counts:
                cell = f"{model} {size} {gpus}"
                for seed in seeds:
                    reads = {f"tokenizer {corpus} {tokenizer}", pack(tokenizer)}
                    if size != "0":
                        made[f"slice {corpus} {tokenizer} {size}"] = {pack(tokenizer), pack(counted)}
                        reads.add(f"slice {corpus} {tokenizer} {size}")
                    if size != "0" and trunk:
                        made[f"trunk {cell} {seed}"] = set(reads)
                        reads.add(f"trunk {cell} {seed}")
                    made[f"pretrain {cell} {seed}"] = reads
                    made["aggregate"].add(f"pretrain {cell} {seed}")
                if config["finetune"]["gpus"] == "all" or gpus in config["finetune"]["gpus"]:
                    runs = {f"finetune {cell} {seed} {task}" for seed in seeds for task in tasks}
                    for run in runs:
                        *_, seed, task = run.split()
                        made[run] = {f"pretrain {cell} {seed}", f"task {task}"}
                    made[f"score {cell}"] = runs
                    made["aggregate"].add(f"score {cell}")
    figures = {f"figure_{name}" for name in FIGURES}
    makers = {"laws.json": "laws", "fits.npz": "laws", "decisions.json": "decisions"}
    for name, kind in FIGURES.items():
        sources = [Path(file).name for files in kind.inputs(None).values() for file in files]
        made[f"figure_{name}"] = {makers.get(file, "aggregate") for file in sources}
    packs = {job for job in made if job.startswith("pack ")}
    made["laws"] = {"aggregate", *packs}
    made |= {rule: {"aggregate", "laws", *packs} for rule in ("forecasts", "decisions")}
    made["report"] = {"aggregate", "laws", "forecasts", "decisions", *figures}
    made["latex"] = {"aggregate", "laws", "forecasts", "decisions"}
    made["all"] = {"report", "latex", *made["report"]}
    return made


def excluded(entry: dict, model: str, size: str, gpus: int) -> bool:
    values = {"model": model, "size": size, "gpus": gpus}
    listed = {axis: value if isinstance(value, list) else [value] for axis, value in entry.items()}
    listed |= {"size": [size_name(value) for value in listed.get("size", [size])]}
    return all(values[axis] in value for axis, value in listed.items())


def expected(before: dict, after: dict, touched: set[str]) -> set[str]:
    """Jobs to be planned: those that `touched` patterns match, new ones, those that read others than before; and so on."""
    old, new = grid(before), grid(after)
    found = {job for job in new if old.get(job) != new[job]}
    for pattern in touched:
        matching = fnmatch.filter(new, pattern)
        assert matching, f"{pattern} is no job"
        found |= {*matching}
    while more := {job for job, reads in new.items() if reads & found} - found:
        found |= more
    return found
