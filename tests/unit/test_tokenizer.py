"""A tokenizer is a function of its text: the same in every process."""

import os
import random
import subprocess
import sys
from hashlib import sha256
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


def draw(alphabet, count, seed=1, length=300):
    """Texts of words of an alphabet, without spaces between them."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(alphabet, k=rng.randint(1, 4))) for _ in range(400)]
    return ["".join(rng.choices(words, [1 / (rank + 1) for rank in range(400)], k=length)) for _ in range(count)]


ALPHABETS = {
    "hiragana": [chr(code) for code in range(0x3042, 0x3094)],
    "thai": [chr(code) for code in range(0x0E01, 0x0E2F)],
    "dna": list("acgt"),
    "han": [chr(code) for code in range(0x4E00, 0x4E80)],
}


@pytest.mark.parametrize("name", ALPHABETS)
def test_long_runs_are_known(name):
    """WordPiece turns a run of more than 100 characters into one unknown token, if nothing cuts it."""
    lines = draw(ALPHABETS[name], 100)
    made = program.train({"algorithm": "wordpiece", "vocab_size": 1024, "lowercase": False}, lambda: iter([lines]))
    encoded = made.encode_batch(lines, add_special_tokens=False)
    assert made.token_to_id("[UNK]") not in {token for line in encoded for token in line.ids}
    assert all(encoded[0].offsets[place][1] == end[0] for place, end in enumerate(encoded[0].offsets[1:]))


def test_text_with_spaces_keeps_its_tokenizer():
    """The digests are those of the release before long runs were cut."""
    lines = [f"naïve Übermaß 한국어 русский हिंदी العربية 北京 {text}" for text in next(texts())]
    made = {
        lowercase: program.train(
            {"algorithm": "wordpiece", "vocab_size": 700, "lowercase": lowercase}, lambda: iter([lines])
        )
        for lowercase in (True, False)
    }
    digests = {lowercase: sha256(tokenizer.to_str().encode()).hexdigest()[:16] for lowercase, tokenizer in made.items()}
    assert digests == {True: "7ddedf3cf6c3f2e1", False: "f3713e60c37fb836"}


def test_rare_characters_are_in_the_vocabulary_if_there_is_room():
    han = [chr(0x4E00 + code) for code in range(3000)]
    lines = [*han, *han[:1000], " ".join(han)]
    sizes = {}
    for size in (2500, 5000):
        made = program.train({"algorithm": "wordpiece", "vocab_size": size, "lowercase": False}, lambda: iter([lines]))
        sizes[size] = made.get_vocab_size()
        unknown = made.encode("".join(han), add_special_tokens=False).ids.count(made.token_to_id("[UNK]"))
        assert unknown == (2000 if size == 2500 else 0)
    assert sizes[2500] <= 2500
    assert 3000 < sizes[5000] <= 5000
