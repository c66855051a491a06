"""The embedded language is the same on every machine, and its tasks need what the text teaches."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from gridlaw.data import language

SCRIPTS = Path(language.__file__).parents[2]
PROGRAM = """
import hashlib, json
from gridlaw.data import language
print(hashlib.sha256("\\n\\n".join(language.documents(1, 20_000)).encode()).hexdigest())
for task in language.TASKS:
    print(hashlib.sha256(json.dumps(language.examples(task, "train", 1, 200)).encode()).hexdigest())
"""


def digests(hash_seed):
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_bit_identical():
    said = digests("1")
    assert said == digests("2")
    assert (
        hashlib.sha256(said.encode()).hexdigest() == "49c9721c14f1869c5c8d4c907863399e3d87bf376c37fe7df3d4e4984f2d4d53"
    ), "every published number of the default grid changes"


def test_any_amount_of_text_and_prefixes_agree():
    short, long = list(language.documents(3, 1000)), list(language.documents(3, 5000))
    assert long[: len(short)] == short
    assert 5000 <= sum(len(document.split()) for document in long) < 5300
    assert list(language.documents(4, 1000)) != short


def test_lines_fit_a_row():
    shortest, longest = language.LINE
    for document in language.documents(1, 20_000):
        assert all(shortest <= len(line.split()) <= longest for line in document.split("\n"))


@pytest.mark.parametrize("task", language.TASKS)
def test_tasks(task):
    train, validation = (language.examples(task, split, 1, 600) for split in ("train", "validation"))
    assert language.examples(task, "train", 1, 200) == train[:200]
    labels = Counter(example["label"] for example in train)
    assert max(labels.values()) / 600 < 0.6, "no label is the answer most of the time"
    columns = ["sentence"] if task in ("acceptability", "sentiment") else ["sentence1", "sentence2"]
    assert list(train[0]) == [*columns, "label"]
    words = [
        {word for example in part for column in columns for word in example[column].split()}
        for part in (train, validation)
    ]
    invented = {form for cell in language.LEXICON.values() for word in cell for form in word.forms}
    assert not words[0] & words[1] & invented, "what the words of one split mean does not help with the other"
    assert len(words[1] & invented) >= 80, "an interval over examples is over many words"


@pytest.mark.parametrize("task", ["paraphrase", "entailment"])
def test_second_sentence_alone_does_not_tell(task):
    by_second = {}
    for example in language.examples(task, "train", 1, 4000):
        by_second.setdefault(tuple(sorted(set(example["sentence2"].split()))), []).append(example["label"])
    frequent = [sum(labels) / len(labels) for labels in by_second.values() if len(labels) >= 100]
    assert all(0.3 < share < 0.7 for share in frequent)


def test_numbers_agree_in_the_text():
    singular, plural = language.BE
    for document in language.documents(1, 20_000):
        for sentence in document.replace("\n", " ").split(" . "):
            words = sentence.split()
            if (
                words
                and words[0] in ("these", "some", "many", "this", "a", "every")
                and {singular, plural} & set(words)
            ):
                verb = next(word for word in words if word in language.BE + language.HAVE)
                number = words[0] in ("these", "some", "many")
                assert verb in (language.BE[number], language.HAVE[number])
