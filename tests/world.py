"""The grid that tests run for real: small, with one of everything that makes programs take another way."""

from pathlib import Path

import pandas as pd

from gridlaw.data import language

WORDS = ["green", "wild", "rusty", "young", "good", "bad", "beast"]
SHAPE = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}
GRID = {
    # alpha trains each size from the start, beta branches off a trunk and has another tokenizer.
    "models": ["alpha", "beta"],
    "sizes": [0, "2k", "4k"],
    "gpus": [1, 2],
    # A classification, a regression, and one of the user's files.
    "tasks": ["sentiment", "similarity", "mine"],
    "seeds": {"pretrain": [1, 2], "finetune": [1, 2]},
    "exclude": [
        {"size": 0, "gpus": [2, 4]}, {"model": "alpha", "size": "4k"}, {"model": "beta", "size": 0},
        {"model": "beta", "gpus": 2},
    ],
    "corpus": "letters",
    "data": {"held_out_words": 500, "row_length": 32},
    "pretrain": {
        "batch_size": 8, "passes": 2, "warmup_tokens": 500, "learning_rate": 1.0e-3, "precision": "fp32",
        "decay_ratio": 0.2, "per_model": {"beta": {"schedule": "trunk", "passes": 1, "dropout": 0.1}},
    },
    "finetune": {"epochs": 1, "train_examples": [16, "all"], "precision": "fp32"},
    "catalogue": {
        "models": {
            "alpha": {"model_type": "bert", "shape": SHAPE},
            "beta": {"model_type": "roberta", "tokenizer": "bpe", "shape": SHAPE},
        },
        "tokenizers": {"wordpiece": {"vocab_size": 600}, "bpe": {"vocab_size": 400}},
        "corpora": {"letters": {"source": "files", "files": ["data/*.txt"]}},
        "tasks": {
            "sentiment": {"train_size": 40, "validation_size": 40},
            "similarity": {"train_size": 40, "validation_size": 40},
            "mine": {
                "source": "files", "files": {"train": "data/train.csv", "validation": "data/dev.csv"}, "text": ["body"],
                "metrics": ["f1", "accuracy"],
            },
        },
    },
}  # fmt: skip

# The first process of each program, and its first rank, note the functions that they enter.
WATCH = """
import inspect, os, runpy, sys, threading
scripts, notes = os.environ["SCRIPTS"], os.environ["NOTES"]
def watch(program):
    name = f"{os.path.basename(program)} {'RANK' in os.environ}"
    try:
        out = os.open(os.path.join(notes, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return
    seen = set()
    def enter(frame, event, argument):
        code = frame.f_code
        own = code.co_filename.startswith(scripts) and code.co_filename.endswith(".py")
        # The body of a class is no function, and what is in a template no module.
        if own and code.co_flags & inspect.CO_OPTIMIZED and code not in seen:
            seen.add(code)
            where = os.path.relpath(code.co_filename, scripts)
            os.write(out, f"{where}: {code.co_qualname.partition('.')[0]}\\n".encode())
    sys.settrace(enter)
    threading.settrace(enter)
program = next((argument for argument in sys.orig_argv[1:] if argument.startswith(scripts)), None)
if program and os.path.basename(program) == "forkserver.py":
    # Forks of the server are the programs.
    run = runpy.run_path
    runpy.run_path = lambda path, **more: (watch(path), run(path, **more))
elif program:
    watch(program)
"""


def write_data(folder: Path) -> None:
    """Write the user's files that the grid reads into a folder's `data`."""
    data = folder / "data"
    data.mkdir()
    for seed, name in enumerate(("a.txt", "b.txt")):
        (data / name).write_text("\n\n".join(language.documents(seed, 4000)))
    (data / "held_out").mkdir()
    (data / "held_out/c.txt").write_text("\n\n".join(language.documents(2, 1000)))
    for name in ("train.csv", "dev.csv"):
        # Words of the corpus, so that its tokenizers know the text.
        rows = [{"body": f"the {WORDS[number % 7]}", "label": number % 2} for number in range(40)]
        pd.DataFrame(rows).to_csv(data / name, index=False)


def watching(folder: Path, scripts: Path) -> dict[str, str]:
    """Environment variables that have programs note in a folder which functions of theirs they enter."""
    (folder / "notes").mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(WATCH)
    return {"PYTHONPATH": str(folder), "NOTES": str(folder / "notes"), "SCRIPTS": str(scripts)}


def entered(folder: Path) -> dict[str, set[str]]:
    """The functions that each program has noted there, each after its file."""
    found: dict[str, set[str]] = {}
    for path in (folder / "notes").iterdir():
        found.setdefault(path.name.split()[0], set()).update(path.read_text().splitlines())
    return found
