"""Train a tokenizer on the training segments: WordPiece, like BERT's, or byte-level BPE, like RoBERTa's.

    python scripts/tokenizer.py --recipe tokenizer.json --segments train.parquet --folder tokenizer/ \
        --manifest manifest.json --record record.json

`AutoTokenizer.from_pretrained` loads the folder. Both kinds have BERT's five special tokens. WordPiece knows no word of
more than 100 characters; a run of more without white space and punctuation, as in Thai or in kana, is cut into pieces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from gridlaw import cli, io
from gridlaw.workflow import program, record

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}

# Most frequent characters of a WordPiece vocabulary, as in BERT's; rarer ones enter it only if there is room for all.
ALPHABET = 1000
# Largest number of characters in a word of WordPiece; a longer one is unknown.
LONGEST = 100


def main() -> None:
    args = program.parse("tokenizer", __doc__)

    def texts() -> Iterator[list[str]]:
        for batch in pq.ParquetFile(args.segments).iter_batches(columns=["text"]):
            yield batch.column("text").to_pylist()

    tokenizer = train(args.recipe, texts)
    with io.replaced_folder(args.folder) as folder:
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)
    file = Path(args.folder, "tokenizer.json")
    io.write_json(args.manifest, {"vocabulary": tokenizer.get_vocab_size(), "sha256": io.sha256(file)})
    record.write(args)


def train(recipe: dict, texts: Callable[[], Iterator[list[str]]]) -> Tokenizer:
    """Train the tokenizer of a recipe; the same text always gives the same tokenizer.

    Args:
        recipe: `algorithm`, `vocab_size` and `lowercase`.
        texts: returns a new iterator over batches of text.
    """
    tokenizer = wordpiece(recipe, texts) if recipe["algorithm"] == "wordpiece" else byte_level_bpe(recipe, texts)
    pair = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=pair
    )
    return tokenizer


def wordpiece(recipe: dict, texts: Callable[[], Iterator[list[str]]]) -> Tokenizer:
    """Train BERT's WordPiece."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=recipe["lowercase"]), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    longest = 0
    for batch in texts():
        for text in map(normalizer.normalize_str, batch):
            counts.update(text)
            longest = max(longest, *map(len, text.split()), 0)
    if longest > LONGEST:
        pieces = pre_tokenizers.Split(Regex(f".{{1,{LONGEST}}}"), "isolated")
        splitter = pre_tokenizers.Sequence([splitter, pieces])

    def make_tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=LONGEST))
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = splitter
        tokenizer.decoder = decoders.WordPiece()
        return tokenizer

    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    every = [character for character in frequent if not character.isspace()]
    alphabet = sorted(every[:ALPHABET])
    # The trainer numbers the inner forms of the alphabet in the order of a hash table, which differs between processes,
    # and breaks ties by these numbers. Giving them as special tokens fixes the numbers; later they are ordinary tokens.
    inner = [f"##{character}" for character in alphabet]
    smallest = len(SPECIAL) + 2 * len(alphabet)
    if recipe["vocab_size"] < smallest:
        raise cli.Failure(f"vocab_size: {recipe['vocab_size']} is too small for this text; use {smallest} or more")
    # All characters of the text if the vocabulary has room for them, else the most frequent ones.
    for characters in (len(every), len(alphabet)):
        trainer = trainers.WordPieceTrainer(
            vocab_size=recipe["vocab_size"],
            special_tokens=[*SPECIAL.values(), *inner],
            initial_alphabet=alphabet,
            limit_alphabet=characters,
            show_progress=False,
        )
        tokenizer = make_tokenizer({})
        tokenizer.train_from_iterator(texts(), trainer)
        if tokenizer.get_vocab_size() <= recipe["vocab_size"]:
            break
    return make_tokenizer(tokenizer.get_vocab())


def byte_level_bpe(recipe: dict, texts: Callable[[], Iterator[list[str]]]) -> Tokenizer:
    """Train RoBERTa's byte-level BPE."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    smallest = len(SPECIAL) + len(alphabet)
    if recipe["vocab_size"] < smallest:
        raise cli.Failure(f"vocab_size: {recipe['vocab_size']} is too small for bpe; use {smallest} or more")
    tokenizer = Tokenizer(models.BPE())
    lowercase = [normalizers.Lowercase()] if recipe["lowercase"] else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *lowercase])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe["vocab_size"],
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


if __name__ == "__main__":
    cli.run(main)
