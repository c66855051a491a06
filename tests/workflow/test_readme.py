"""The example of the README, run as it stands there, in a folder with such files as it names."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tokenizer
import yaml
from conftest import ROOT, Workflow
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from gridlaw.data import language

README = (ROOT / "README.md").read_text()
NAME, OVERLAY = re.search(r"^```yaml\n# (\S+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL).groups()
PREVIEW, RUN = re.findall(rf"^    (snakemake .*{NAME}.*?)(?: +#.*)?$", README, re.MULTILINE)
GRID = yaml.safe_load(OVERLAY)
FOLDER = RUN.split()[-1]
WORDS = 50_000


def write_data(folder: Path) -> None:
    """Write the letters, the complaints and a released checkpoint."""
    letters = [*language.documents(1, WORDS)]
    (folder / "letters").mkdir(parents=True)
    for number in range(40):
        text = "\n\n".join(letters[number::40])
        (folder / f"letters/{number}.txt").write_text(text)
    for name, part, count in (("train", "train", 60), ("dev", "validation", 40)):
        rows = [
            {"body": row["sentence"], "label": ["angry", "calm"][row["label"]]}
            for row in language.examples("sentiment", part, 1, count)
        ]
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    recipe = {"algorithm": "wordpiece", "vocab_size": 700, "lowercase": True}
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.train(recipe, lambda: iter([letters])), **tokenizer.SPECIAL
    )
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForMaskedLM(BertConfig(vocab_size=len(words), max_position_embeddings=128, **shape))
    model.save_pretrained(folder / "checkpoint")
    words.save_pretrained(folder / "checkpoint")


@pytest.mark.extended
def test_the_example_runs(tmp_path):
    workflow = Workflow(tmp_path)
    (workflow.folder / NAME).write_text(OVERLAY)
    write_data(workflow.folder / FOLDER)

    def snakemake(command):
        arguments = [sys.executable, "-m", *command.split()]
        return subprocess.run(arguments, cwd=workflow.folder, capture_output=True, text=True, timeout=3600)

    preview = snakemake(PREVIEW)
    assert preview.returncode == 0, preview.stderr
    assert not (workflow.folder / FOLDER / "results").exists(), "nothing runs"
    done = snakemake(RUN)
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(workflow.folder / FOLDER / "results/scores.csv")
    cells = scores.groupby("model")["size"].unique().map(set).to_dict()
    assert cells == {model: set(map(str, GRID["sizes"])) for model in GRID["models"]}
    assert set(GRID["catalogue"]["tasks"]["complaints"]["metrics"]) <= set(scores["metric"])
    for model, rates in {"small": (3e-3, 7e-4), "mine": (1e-4, 2e-5)}.items():
        steps = ("pretrain", f"{model}/all/1/1/record.json"), ("finetune", f"{model}/all/1/1/complaints/record.json")
        recipes = [
            json.loads((workflow.folder / FOLDER / "results" / step / file).read_text())["recipe"]
            for step, file in steps
        ]
        assert tuple(recipe["learning_rate"] for recipe in recipes) == rates, "a checkpoint does not have the toy's"
