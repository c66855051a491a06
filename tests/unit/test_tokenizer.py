"""A tokenizer is a function of its text: the same in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizer as program

from gridlaw import cli
from gridlaw.data import language

SCRIPTS = Path(program.__file__).parent
PROGRAM = """
import hashlib
import tokenizer
from gridlaw.data import language
for algorithm in ("wordpiece", "bpe"):
    for _ in range(2):
        recipe = {"algorithm": algorithm, "vocab_size": 700, "lowercase": True}
        made = tokenizer.train(recipe, lambda: iter([list(language.documents(1, 20_000))]))
        print(algorithm, hashlib.sha256(made.to_str().encode()).hexdigest())
"""


def texts():
    return iter([list(language.documents(1, 20_000))])


def test_same_in_every_process():
    command = [sys.executable, "-c", PROGRAM]
    said = [
        subprocess.run(
            command, cwd=SCRIPTS, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(said[0]) == 4
    assert len(set(said[0])) == 2, "one of each algorithm"


@pytest.mark.parametrize("algorithm", ["wordpiece", "bpe"])
def test_text_survives(algorithm):
    tokenizer = program.train({"algorithm": algorithm, "vocab_size": 700, "lowercase": False}, texts)
    line = next(language.documents(2, 100)).split("\n")[0]
    ids = tokenizer.encode(line, add_special_tokens=False).ids
    assert tokenizer.token_to_id("[UNK]") not in ids
    assert tokenizer.decode(ids).replace(" ", "") == line.replace(" ", "")
    pair = tokenizer.encode("the", "a")
    assert [token for token in pair.tokens if token in ("[CLS]", "[SEP]")] == ["[CLS]", "[SEP]", "[SEP]"]
    assert tokenizer.get_vocab_size() <= 700
    assert tokenizer.token_to_id("[PAD]") == 0


def test_words_of_the_language_are_single_tokens():
    tokenizer = program.train({"algorithm": "wordpiece", "vocab_size": 2048, "lowercase": True}, texts)
    words = {word for document in next(texts()) for word in document.split()}
    assert all(len(tokenizer.encode(word, add_special_tokens=False).ids) == 1 for word in words)


@pytest.mark.parametrize("algorithm", ["wordpiece", "bpe"])
def test_vocabulary_too_small(algorithm):
    with pytest.raises(cli.Failure, match="vocab_size: 40 is too small"):
        program.train({"algorithm": algorithm, "vocab_size": 40, "lowercase": True}, texts)
