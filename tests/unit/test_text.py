"""Documents are cut without losing a word."""

import random

import pytest

from gridlaw.data import segmentation


def document(seed):
    draw = random.Random(seed)
    paragraphs = []
    for _ in range(draw.randint(1, 8)):
        sentences = [
            " ".join(["word"] * draw.randint(1, 30)) + draw.choice([".", "?", '."']) for _ in range(draw.randint(1, 9))
        ]
        paragraphs.append(draw.choice([" ", "\n"]).join(sentences))
    return "\n\n".join(paragraphs)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("limit", [4, 20, 100])
def test_words_are_kept_and_segments_are_short(seed, limit):
    whole = document(seed)
    cut = list(segmentation.segments(whole, limit))
    assert " ".join(cut).split() == whole.split()
    assert all(0 < len(segment.split()) <= limit for segment in cut)


def test_paragraphs_are_segments():
    assert list(segmentation.segments("One two three four.\n\nFive six seven eight.", 10)) == [
        "One two three four.",
        "Five six seven eight.",
    ]


def test_lines_are_paragraphs_where_there_are_no_blank_lines():
    assert list(segmentation.segments("One two three four.\nFive six seven eight.\n", 10)) == [
        "One two three four.",
        "Five six seven eight.",
    ]


def test_hard_wrapped_lines_are_joined():
    assert next(segmentation.segments("One two\nthree four.\n\nFive six seven eight.", 10)) == "One two three four."


def test_long_paragraphs_break_between_sentences():
    assert list(segmentation.segments('He said "go." She went away then. And so did all.', 5)) == [
        'He said "go."',
        "She went away then.",
        "And so did all.",
    ]


def test_short_paragraphs_are_joined():
    assert list(segmentation.segments("Yes.\n\nNo.\n\nPerhaps not today.", 12)) == ["Yes. No. Perhaps not today."]


def test_nothing():
    assert list(segmentation.segments(" \n\n ", 10)) == []
