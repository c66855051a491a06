"""Opening the user's text files: decompressed, as UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from typing import TextIO

import pyarrow as pa

from gridlaw.cli import Failure
from gridlaw.data import formats

# Bytes that show the encoding of a file.
SAMPLE = 1024
# What begins a file that is no UTF-8 text, and what to do.
ENCODINGS = {
    codecs.BOM_UTF32_LE: "is UTF-32; convert it with iconv -f utf-32 -t utf-8",
    codecs.BOM_UTF32_BE: "is UTF-32; convert it with iconv -f utf-32 -t utf-8",
    codecs.BOM_UTF16_LE: "is UTF-16; convert it with iconv -f utf-16 -t utf-8",
    codecs.BOM_UTF16_BE: "is UTF-16; convert it with iconv -f utf-16 -t utf-8",
    b"\x1f\x8b": "is compressed by gzip; expected .gz at the end of its name",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; expected .zst at the end of its name",
    b"PK\x03\x04": "is a zip archive or a spreadsheet; expected text",
    b"%PDF": "is a PDF; expected text",
    b"PAR1": "is Parquet; expected .parquet at the end of its name",
}
# What is in a small file that stands for another one, which was not fetched; a link may have become its text.
POINTERS = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself; fetch it with git lfs pull",
    b"/annex/objects/": "is a pointer of git-annex, not the file itself; fetch it with git annex get",
}


@contextmanager
def open_text(file: str, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file; a mark of the byte order is skipped.

    Args:
        newline: as in `open`; by default line ends of any kind become newlines.

    Raises:
        Failure: the file begins like something else than UTF-8.
        UnicodeDecodeError: it is not UTF-8 further on.
        OSError: it cannot be read, or is not compressed as its name says.
    """
    with open_bytes(file) as stream:
        start = stream.peek(SAMPLE)[:SAMPLE]
        for sign, fault in ENCODINGS.items():
            if start.startswith(sign):
                raise Failure(f"{file}: {fault}")
        # UTF-16 without a mark; each second byte of Latin letters is zero.
        for place, order in ((0, "be"), (1, "le")):
            if start[place::2].count(0) * 4 > len(start):
                raise Failure(f"{file}: seems to be UTF-16; convert it with iconv -f utf-16{order} -t utf-8")
        yield TextIOWrapper(stream, encoding="utf-8-sig", newline=newline)


@contextmanager
def open_bytes(file: str) -> Iterator[BufferedReader]:
    """Open a file, whose content is decompressed if its name says so."""
    compression = formats.COMPRESSIONS.get(formats.split_suffixes(file)[1])
    with pa.input_stream(file, compression=compression) as stream, BufferedReader(stream) as buffered:
        yield buffered


def require_content(file: str) -> None:
    """Check that a file has content of its own.

    Raises:
        Failure: it is empty, or stands for another one that was not fetched.
    """
    with open(file, "rb") as stream:
        start = stream.read(SAMPLE)
    if not start:
        raise Failure(f"{file}: empty")
    for sign, fault in POINTERS.items():
        if sign in start and len(start) < SAMPLE:
            raise Failure(f"{file}: {fault}")


def describe_encoding(file: str) -> str:
    """Return a line about the first byte of a text file that is not UTF-8."""
    with open_bytes(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = line[error.start]
                # Codes that Latin-1 leaves to control characters are quotes and dashes in Windows.
                other = "windows-1252" if 0x80 <= byte < 0xA0 else "latin1"
                return (
                    f"{file}: not UTF-8 (byte 0x{byte:02x} in line {number}); convert it, for instance with"
                    f" iconv -f {other} -t utf-8"
                )
    return f"{file}: not UTF-8"
