"""Rows and slices: nested, complete, the same whatever the batches they were packed in."""

import numpy as np
import pytest

from gridlaw.data import rows

SPECIAL = rows.Special(cls=1, sep=2, pad=0)
LENGTH = 8


def segments(seed=0, count=50, longest=12):
    random = np.random.default_rng(seed)
    return [random.integers(10, 99, random.integers(1, longest)).tolist() for _ in range(count)]


def pack(folder, texts, whole, batch=7):
    packer = rows.Packer(folder / "rows.bin", LENGTH, whole, SPECIAL, vocabulary=100)
    for start in range(0, len(texts), batch):
        packer.add(texts[start : start + batch])
    ends, tokens = packer.close()
    return rows.read(folder / "rows.bin", {"dtype": packer.dtype.name, "row_length": LENGTH}), ends, tokens


def slice_of(folder, end):
    return rows.Slice(folder / "rows.bin", {"end": int(end), "pad": 0, "dtype": "uint16", "row_length": LENGTH})


def text(rows_of_slice):
    """The segments of a slice, read back from its rows."""
    stream = np.concatenate([row[1:] for row in rows_of_slice])
    stream = stream[stream != SPECIAL.pad]
    return [
        part.tolist()[: -1 if part[-1] == SPECIAL.sep else None]
        for part in np.split(stream, np.flatnonzero(stream == SPECIAL.sep) + 1)
        if len(part)
    ]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 50])
def test_everything_is_there_in_order(tmp_path, whole, batch):
    texts = segments()
    packed, ends, tokens = pack(tmp_path, texts, whole, batch)
    assert text(packed) == texts
    assert tokens.tolist() == [len(one) for one in texts]
    assert (packed[:, 0] == SPECIAL.cls).all()
    assert len(packed) == -(-ends[-1] // (LENGTH - 1))


def test_batches_do_not_matter(tmp_path):
    texts = segments()
    for whole in (False, True):
        one = np.array(pack(tmp_path, texts, whole, 1)[0])
        many = np.array(pack(tmp_path, texts, whole, 50)[0])
        assert (one == many).all()


def test_continuous_rows_have_no_padding(tmp_path):
    packed, ends, _ = pack(tmp_path, segments(), whole=False)
    assert (packed[:-1] != SPECIAL.pad).all()


def test_whole_splits_only_what_is_longer_than_a_row(tmp_path):
    texts = segments(longest=LENGTH - 1)
    packed, ends, _ = pack(tmp_path, texts, whole=True)
    starts = ends - [len(one) + 1 for one in texts]
    assert (starts // (LENGTH - 1) == (ends - 1) // (LENGTH - 1)).all()


@pytest.mark.parametrize("whole", [False, True])
def test_slices_are_nested_prefixes(tmp_path, whole):
    texts = segments()
    _, ends, _ = pack(tmp_path, texts, whole)
    for count in (1, 2, 10, 37, 50):
        cut = slice_of(tmp_path, ends[count - 1])
        assert text(cut.take(np.arange(len(cut)))) == texts[:count]


def test_digest_tells_slices_apart(tmp_path):
    _, ends, _ = pack(tmp_path, segments(), whole=False)
    digests = {slice_of(tmp_path, end).sha256() for end in ends}
    assert len(digests) == len(ends)


def test_vocabulary_decides_the_dtype(tmp_path):
    assert rows.Packer(tmp_path / "a", LENGTH, False, SPECIAL, 65_536).dtype == np.uint16
    assert rows.Packer(tmp_path / "b", LENGTH, False, SPECIAL, 65_537).dtype == np.uint32
