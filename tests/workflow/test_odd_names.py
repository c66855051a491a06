"""Files with odd names, and many of them, all the way through Snakemake and the shell to their programs."""

import json
from pathlib import Path

import pandas as pd
from conftest import Workflow

from gridlaw import io
from gridlaw.data import language

SHAPE = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 64}
ODD = [
    "[1998]", "{v2}", "{wildcards.corpus}", "$HOME `id` $(id)", "it's \"so\"", "a;b|c&d", "-rf", "#1 %20 a\\b", "日本 Ähre",
    "!a ~", "train*",
]  # fmt: skip
# So many that their names are longer than a command line may be.
MANY = 1500
GRID = {
    "models": ["mini"], "sizes": [0], "gpus": [1], "tasks": ["mine"], "exclude": [], "corpus": "letters",
    "catalogue": {
        "models": {"mini": {"model_type": "bert", "shape": SHAPE}},
        "corpora": {"letters": {"source": "files", "files": ["./data/*/*.txt", "data/train*.txt"]}},
        "tasks": {
            "mine": {
                "source": "files", "files": {"train": "./data/{v2} [a] $b 'c'.csv", "validation": "data/d*v.csv"},
                "text": ["body"], "metrics": ["f1"],
            },
        },
    },
}  # fmt: skip


def test_odd_names_and_many(tmp_path):
    workflow = Workflow(tmp_path / "clone with space")
    data = workflow.folder / "data"
    (data / "many").mkdir(parents=True)
    for number, text in zip(range(MANY), language.documents(1, 10**9), strict=False):
        (data / "many" / f"{'long-' * 40}{number}.txt").write_text(text)
    for name in ODD:
        (data / f"{name}.txt" if name == "train*" else data / "many" / f"{name}.txt").write_text(f"The word is {name}.")
    (data / "train2.txt").write_text("A neighbour.")
    rows = pd.DataFrame({"body": ["a", "null"] * 20, "label": ["None", "favor"] * 20})
    for name in ("{v2} [a] $b 'c'", "d*v"):
        rows.to_csv(data / f"{name}.csv", index=False)
    rows.to_csv(data / "dev.csv", index=False)

    run = workflow.snakemake("-c2", "--until", "corpus", "task", overlay=GRID)
    assert run.returncode == 0, run.stderr + workflow.logs()
    assert len(run.stderr) < 20_000, "names are not printed"
    assert "discouraged" not in run.stderr
    record = io.read_json(workflow.folder / "resources/corpus/letters/record.json")
    assert len(record["inputs"]) == MANY + len(ODD)
    texts = pd.read_parquet(workflow.folder / "resources/corpus/letters/documents.parquet")["text"]
    assert {f"The word is {name}." for name in ODD} < set(texts)
    assert "A neighbour." not in set(texts)
    task = json.loads((workflow.folder / "resources/task/mine/manifest.json").read_text())
    assert task["splits"] == {"train": 40, "validation": 40}
    assert task["classes"] == ["None", "favor"]
    assert Path(workflow.folder, ".snakemake/gridlaw/lists/task/mine/files.txt").read_text() == (
        "data/{v2} [a] $b 'c'.csv\ndata/d*v.csv\n"
    )
    again = workflow.planned(overlay=GRID)
    assert "corpus" not in again
    assert "task" not in again
