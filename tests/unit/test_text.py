"""Documents are cut without losing a word, also where words have no spaces between them."""

import hashlib
import random

import pytest

from gridlaw.data import language, segmentation


def document(seed):
    draw = random.Random(seed)
    paragraphs = []
    for _ in range(draw.randint(1, 8)):
        sentences = [
            " ".join(["word"] * draw.randint(1, 30)) + draw.choice([".", "?", '."']) for _ in range(draw.randint(1, 9))
        ]
        paragraphs.append(draw.choice([" ", "\n"]).join(sentences))
    return "\n\n".join(paragraphs)


def texts(whole, limit):
    return [text for text, _ in segmentation.segments(whole, limit)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("limit", [4, 20, 100])
def test_words_are_kept_and_segments_are_short(seed, limit):
    whole = document(seed)
    cut = list(segmentation.segments(whole, limit))
    assert " ".join(text for text, _ in cut).split() == whole.split()
    assert all(0 < len(text.split()) == words <= limit for text, words in cut)


def test_paragraphs_are_segments():
    assert texts("One two three four.\n\nFive six seven eight.", 10) == [
        "One two three four.",
        "Five six seven eight.",
    ]


def test_lines_are_paragraphs_where_there_are_no_blank_lines():
    assert texts("One two three four.\nFive six seven eight.\n", 10) == [
        "One two three four.",
        "Five six seven eight.",
    ]


def test_hard_wrapped_lines_are_joined():
    assert next(iter(texts("One two\nthree four.\n\nFive six seven eight.", 10))) == "One two three four."


def test_long_paragraphs_break_between_sentences():
    assert texts('He said "go." She went away then. And so did all.', 5) == [
        'He said "go."',
        "She went away then.",
        "And so did all.",
    ]


def test_short_paragraphs_are_joined():
    assert texts("Yes.\n\nNo.\n\nPerhaps not today.", 12) == ["Yes. No. Perhaps not today."]


def test_nothing():
    assert texts(" \n\n ", 10) == []


def test_text_with_spaces_is_cut_as_ever():
    """The digests are those of the release before text without spaces was known."""
    whole = [*language.documents(1, 20_000), *map(document, range(50))]
    digests = {
        limit: hashlib.sha256("\0".join(text for one in whole for text in texts(one, limit)).encode()).hexdigest()[:16]
        for limit in (4, 22, 100)
    }
    assert digests == {4: "1765480c20223dcd", 22: "fda671474ce11241", 100: "11de88a8830a7429"}


UNSPACED = {
    "japanese": "吾輩は猫である。名前はまだ無い。「どこで生れたか？」とんと見当がつかぬ。",
    "chinese": "北京大学的学生喜欢读书。他们每天去图书馆！",
    "thai": "ฉันรักแมวและสุนัขของฉัน ทุกวันฉันไปเดินเล่นกับพวกมันในสวน",
    "lao": "ຂ້ອຍມັກອ່ານປຶ້ມຢູ່ໃນສວນ",
    "khmer": "ខ្ញុំចូលចិត្តអានសៀវភៅ។ ថ្ងៃនេះមេឃស្រឡះ។",
    "mixed": "彼はGPT-4を2023年に使った。It was good. とても楽しかった！？",
    "one long line": "acgt" * 500,
    "emoji": "😀🎉" * 300,
}


@pytest.mark.parametrize("whole", UNSPACED.values(), ids=UNSPACED)
@pytest.mark.parametrize("limit", [4, 20])
def test_text_without_spaces_is_cut_into_characters(whole, limit):
    cut = list(segmentation.segments(whole, limit))
    assert "".join(text for text, _ in cut).replace(" ", "") == whole.replace(" ", "")
    assert all(0 < words <= limit for _, words in cut)
    # No space appears where there was none, none vanishes within a segment.
    assert all(text in whole for text, _ in cut)
    assert max(len(text) for text, _ in cut) <= 6 * limit
    assert sum(words for _, words in cut) == segmentation.count_words(whole)


def test_sentences_end_at_full_stops_without_spaces():
    assert texts(UNSPACED["japanese"], 12) == [
        "吾輩は猫である。", "名前はまだ無い。", "「どこで生れたか？」", "とんと見当がつかぬ。",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0), (" \n ", 0), ("one two  three\n", 3), ("naïve Übermaß 한국어 русский हिंदी العربية", 6), ("猫が好き。", 4),
        ("GPT4を使う。", 4), ("รัก", 2), ("x" * 100, 1), ("x" * 101, 101), ("\u200b", 1), ("\ud800 a", 2), ("\u3000猫\u3000", 1),
    ],
)  # fmt: skip
def test_words_are_counted(text, number):
    assert segmentation.count_words(text) == number


def test_a_long_line_takes_no_longer_than_many_lines():
    """Ten thousand times the limit: cutting one piece after the other off would copy the rest each time."""
    cut = list(segmentation.segments("acgt" * 50_000, 20))
    assert {words for _, words in cut} == {20}
    assert len(cut) == 10_000
