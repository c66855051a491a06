"""The user's files as they come: formats, encodings, missing words, and damage, which is one line."""

import gzip
import json

import pandas as pd
import pyarrow as pa
import pytest

from gridlaw.cli import Failure
from gridlaw.data import sources

# Words that pandas takes for missing values, and numbers that are text.
WORDS = ["None", "NA", "N/A", "null", "nan", "NaN", "007", "1.50", "-inf", "true", "#N/A", "1e5"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def packed(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content)
    if suffix == ".zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        return sink.getvalue().to_pybytes()
    return content


def documents(folder, name, content, unit="line", column="text"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(sources.documents([name], unit, column))


def examples(folder, name, content, texts=("text",), label="label"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return sources.examples(name, texts, label)


@pytest.mark.parametrize("compression", ["", ".gz", ".zst", ".GZ"])
@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".json", ".csv", ".tsv", ".TXT", ".JSONL", ".Csv"])
def test_text_formats_may_be_compressed_and_in_capitals(folder, suffix, compression):
    texts = ["Ähren im Wind", "日本 words", 'a "quote"']
    content = {
        ".txt": "\n".join(texts),
        ".jsonl": "\n".join(json.dumps({"text": text}) for text in texts),
        ".json": json.dumps([{"text": text} for text in texts], indent=1),
        ".csv": pd.DataFrame({"text": texts, "n": 1}).to_csv(index=False),
        ".tsv": "n\ttext\n" + "".join(f"1\t{text}\n" for text in texts),
    }[suffix.lower()]
    name = f"a{suffix}{compression}"
    read = documents(folder, name, packed(content.encode(), compression.lower()))
    assert [text.removesuffix("\n") for text in read] == texts


def test_several_members_of_a_compressed_file(folder):
    assert documents(folder, "a.txt.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n")) == ["one\n", "two\n"]
    assert documents(folder, "a.txt.zst", packed(b"one\n", ".zst") + packed(b"two\n", ".zst")) == ["one\n", "two\n"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".jsonl"])
def test_words_are_text_whatever_they_mean_elsewhere(folder, suffix):
    rows = pd.DataFrame({"text": WORDS, "label": WORDS})
    if suffix == ".jsonl":
        content = rows.to_json(orient="records", lines=True)
    else:
        content = rows.to_csv(index=False, sep="\t" if "tsv" in suffix else ",")
    content = packed(content.encode(), suffix[4:])
    assert documents(folder, f"a{suffix}", content) == WORDS
    assert examples(folder, f"b{suffix}", content) == {"text": WORDS, "label": WORDS}


def test_what_is_missing_is_none(folder):
    assert documents(folder, "a.csv", 'text,n\na,1\n,2\n"",3\n\nb,4\n') == ["a", None, None, "b"]
    assert documents(folder, "a.jsonl", '{"text": "a"}\n\n{"text": null}\n{"n": 1}\n{"text": NaN}\n') == (
        ["a", None, None, None]
    )
    pd.DataFrame({"text": ["a", None, ""]}).to_parquet("a.parquet")
    assert list(sources.documents(["a.parquet"], "auto", "text")) == ["a", None, ""]


@pytest.mark.parametrize("dtype", ["int64", "Int32", "string", "category"])
def test_whole_numbers_are_their_digits(folder, dtype):
    pd.DataFrame({"text": pd.Series([7, 42]).astype(dtype), "label": [0, 1]}).to_parquet("a.parquet")
    assert list(sources.documents(["a.parquet"], "auto", "text")) == ["7", "42"]
    assert sources.examples("a.parquet", ["text"], "label") == {"text": ["7", "42"], "label": [0, 1]}


def test_labels_keep_the_type_of_their_file(folder):
    rows = '{"text": "a", "label": 1}\n{"text": "b", "label": 2.5}\n'
    assert examples(folder, "a.jsonl", rows)["label"] == [1, 2.5]
    assert examples(folder, "a.csv", "text,label\na,1\nb,\n")["label"] == ["1", None]
    assert examples(folder, "b.jsonl", '{"text": "a", "label": "1"}\n{"text": "b"}\n')["label"] == ["1", None]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems(folder, end):
    assert documents(folder, "a.txt", f"one{end}two") == ["one\n", "two"]
    assert documents(folder, "b.txt", f"one{end}{end}two", "paragraph") == ["one", "two"]
    assert documents(folder, "a.jsonl", f'{{"text": "one"}}{end}{end}{{"text": "two"}}{end}') == ["one", "two"]
    assert documents(folder, "a.csv", f'text,n{end}one,1{end}"two{end}lines, ""2""",2') == [
        "one",
        f'two{end}lines, "2"',
    ]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl", ".json"])
def test_a_mark_of_the_byte_order_is_no_text(folder, suffix):
    content = {".txt": "text", ".csv": "text\ntext", ".jsonl": '{"text": "text"}', ".json": '[{"text": "text"}]'}
    assert documents(folder, f"a{suffix}", b"\xef\xbb\xbf" + content[suffix].encode()) == ["text"]


def test_paragraphs_are_the_same_however_they_are_read(folder, monkeypatch):
    content = "one\n\n\ntwo\nlines\n\n\n\n\nthree\n \nfour"
    whole = documents(folder, "a.txt", content, "paragraph")
    assert whole == ["one", "\ntwo\nlines", "\nthree\n \nfour"]
    for size in range(1, 8):
        monkeypatch.setattr(sources, "CHUNK", size)
        assert documents(folder, "a.txt", content, "paragraph") == whole


def test_names_are_no_patterns(folder):
    for name, text in {"train*.csv": "right", "train2.csv": "wrong", "[1].csv": "right", "1.csv": "wrong"}.items():
        (folder / name).write_text(f"text,label\n{text},1\n")
    for name in ("train*.csv", "[1].csv"):
        assert sources.examples(name, ["text"], "label")["text"] == ["right"]
        assert list(sources.documents([name], "auto", "text")) == ["right"]


def test_files_of_a_corpus_may_have_different_columns(folder):
    (folder / "a.csv").write_text("id,text\n1,one\n")
    (folder / "b.tsv").write_text("text\tyear\ttitle\ntwo\t1998\tx\n")
    assert list(sources.documents(["b.tsv", "a.csv"], "auto", "text")) == ["one", "two"]


DAMAGE = {
    "broken JSON": ("a.jsonl", '{"text": "a"}\n\n{"text": "b"\n', "a.jsonl: line 3 is not JSON"),
    "cut JSON": ("a.jsonl", '{"text": "a"}\n{"te', "a.jsonl: line 2 is not JSON"),
    "broken array": ("a.json", '[{"text": "a"},', "a.json: no JSON array"),
    "JSON on several lines": ("a.json", '{\n"text": "a"\n}', "a.json: line 1 is not JSON .*; expected an object on each"),
    "nested JSON": ("a.json", '{"data": [{"text": "a"}]}', "a.json: no column text; expected one of data"),
    "JSON of texts": ("a.jsonl", '"a"\n"b"\n', "a.jsonl: line 1 is a str; expected an object on each line"),
    "array of texts": ("a.json", '["a", "b"]', "a.json: row 1 is a str; expected an object"),
    "list": ("a.jsonl", '{"text": "a"}\n{"text": ["b"]}\n', r"a.jsonl, row 2: column text holds a list \(\['b'\]\); exp"),
    "float": ("a.jsonl", '{"text": 1.5}\n', r"a.jsonl, row 1: column text holds a float \(1.5\); expected text"),
    "truth": ("a.jsonl", '{"text": true}\n', r"a.jsonl, row 1: column text holds a bool"),
    "deep JSON": ("a.jsonl", f'{{"text": {"[" * 10**5}', "a.jsonl: RecursionError"),
    "half a character": ("a.jsonl", '{"text": "a\\ud83d"}\n', r"a.jsonl, row 1: column text holds half a character"),
    "no column": ("a.csv", "id,body\n1,a\n", "a.csv: no column text; expected one of id, body"),
    "semicolons": ("a.csv", "id;text\n1;a\n", "a.csv: no column text: semicolons seem to separate .*; expected commas"),
    "tabs": ("a.csv", "id\ttext\n1\ta\n", "a.csv: no column text: tabs seem to separate its columns; expected commas"),
    "commas": ("a.tsv", 'id,"text"\n1,a\n', "a.tsv: no column text: commas seem to separate its columns; expected tabs"),
    "comma in a cell": ("a.csv", "text,n\na, b,1\n", "a.csv: line 2 has 3 cells, and the header has 2"),
    "cell too few": ("a.csv", "text,n\na,1\nb\n", "a.csv: line 3 has 1 cell, and the header has 2"),
    "open quote": ("a.csv", 'text,n\na,1\n"b,2\nc,3\n', "a.csv: line 4: unexpected end of data"),
    "quote in a cell": ("a.csv", 'text,n\n"say "a"",1\n', "a.csv: line 2: ',' expected after '\"'"),
    "two columns": ("a.csv", "text,text\na,b\n", "a.csv: 2 columns are called text; expected one"),
    "no Parquet": ("a.parquet", "text\n", "a.parquet: .*Parquet"),
    "no gz": ("a.txt.gz", "text\n", "a.txt.gz: .*incorrect header"),
    "cut gz": ("a.txt.gz", gzip.compress(b"text" * 99)[:-9], "a.txt.gz: .*Truncated"),
    "cut zst": ("a.jsonl.zst", packed(b'{"text": "a"}\n' * 99, ".zst")[:-9], "a.jsonl.zst: .*Truncated"),
    "gz without its suffix": ("a.txt", gzip.compress(b"text"), "a.txt: is compressed by gzip; expected .gz at the end"),
    "UTF-16": ("a.csv", "text\nÄhre\n".encode("utf-16"), "a.csv: is UTF-16; convert it with iconv -f utf-16 -t utf-8"),
    "UTF-16 in gz": ("a.txt.gz", gzip.compress("Ähre".encode("utf-16")), "a.txt.gz: is UTF-16"),
    "UTF-16 without a mark": ("a.txt", "some text\n".encode("utf-16-be"), "a.txt: seems to be UTF-16; .*utf-16be"),
    "UTF-16, little end": ("a.jsonl", '{"text": "a"}\n'.encode("utf-16-le"), "a.jsonl: seems to be UTF-16; .*utf-16le"),
    "UTF-32": ("a.txt", "text".encode("utf-32"), "a.txt: is UTF-32; convert it with iconv -f utf-32"),
    "Latin-1": ("a.csv", "text\na\nÄhre\n".encode("latin-1"), r"a.csv: not UTF-8 \(byte 0xc4 in line 3\); .*latin1"),
    "Latin-1 in gz": ("a.txt.gz", gzip.compress("Ähre\n".encode("latin-1")), r"a.txt.gz: not UTF-8 .*latin1"),
    "Windows": ("a.txt", "“quotes”\n".encode("cp1252"), r"a.txt: not UTF-8 \(byte 0x93 in line 1\); .*windows-1252"),
    "far down": ("a.txt", b"text\n" * 5000 + b"\xe9\n", r"a.txt: not UTF-8 \(byte 0xe9 in line 5001\)"),
    "spreadsheet": ("a.csv", b"PK\x03\x04\x14\0", "a.csv: is a zip archive or a spreadsheet; expected text"),
    "Git LFS": ("a.txt", "version https://git-lfs.github.com/spec/v1\noid", "a.txt: is a pointer of Git LFS.*git lfs pull"),
    "Git LFS, Parquet": ("a.parquet", "version https://git-lfs.github.com/spec/v1\n", "a.parquet: is a pointer of Git LFS"),
    "git-annex": ("a.csv.gz", "/annex/objects/MD5E-s3--a.csv\n", "a.csv.gz: is a pointer of git-annex"),
    "a link as text": ("a.txt", "../.git/annex/objects/xx/yy/a.txt", "a.txt: is a pointer of git-annex"),
    "empty": ("a.jsonl", "", "a.jsonl: empty"),
    "no format": ("a.docx", "text", "a.docx ends in .docx; expected one of .txt, .jsonl"),
    "no suffix": ("README", "text", "README ends in no suffix; expected one of .txt"),
    "Parquet in gz": ("a.parquet.gz", "text", "a.parquet.gz ends in .parquet.gz; expected one of"),
    "another compression": ("a.txt.xz", "text", "a.txt.xz ends in .xz; expected one of .txt, .* maybe .gz or .zst"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "line"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_line(folder, name, content, line):
    with pytest.raises(Failure, match=line) as raised:
        documents(folder, name, content)
    assert len(str(raised.value).splitlines()) == 1


def test_formats_are_not_mixed(folder):
    for name in ("a.txt", "b.csv"):
        (folder / name).write_text("text\n")
    with pytest.raises(Failure, match=r"a.txt and b.csv differ in format; expected the same for all"):
        list(sources.documents(["a.txt", "b.csv"], "auto", "text"))


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.txt", "text", "a.txt ends in .txt; expected one of .jsonl, .json, .parquet, .csv, .tsv"),
        ("a.jsonl", '{"text": "a"}\n', "a.jsonl: no column label; expected one of text"),
    ],
)
def test_bad_examples_are_one_line(folder, name, content, line):
    with pytest.raises(Failure, match=line) as raised:
        examples(folder, name, content)
    assert len(str(raised.value).splitlines()) == 1


def test_no_rows_are_no_damage(folder):
    for name, content in {"a.csv": "text,label\n", "b.csv": "\n", "a.jsonl": "\n \n", "a.json": "[]"}.items():
        assert documents(folder, name, content) == []
        assert len(examples(folder, name, content)["text"]) == 0
