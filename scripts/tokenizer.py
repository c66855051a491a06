"""Train a tokenizer on the training segments: WordPiece as BERT's, or byte-level BPE as RoBERTa's.

    python scripts/tokenizer.py --recipe tokenizer.json --segments train.parquet --folder tokenizer/ \
        --manifest manifest.json --record record.json

The folder loads with `AutoTokenizer.from_pretrained`. Both kinds have BERT's five special tokens.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from gridlaw import cli, record

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--segments", required=True, help="training segments, Parquet")
    parser.add_argument("--segments-manifest", required=True, help="manifest of the segments, JSON")
    parser.add_argument("--folder", required=True, help="folder to write")
    parser.add_argument("--manifest", required=True, help="what the tokenizer is, JSON to write")
    parser.add_argument("--record", required=True, help="how it was made, JSON to write")
    args = parser.parse_args()

    tokenizer, trainer = untrained(args.recipe)
    parquet = pq.ParquetFile(args.segments)
    texts = (batch.column("text").to_pylist() for batch in parquet.iter_batches(columns=["text"]))
    tokenizer.train_from_iterator(texts, trainer, length=parquet.metadata.num_rows)
    pair = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=pair
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(args.folder)

    file = Path(args.folder, "tokenizer.json")
    record.write_json(args.manifest, {"vocabulary": tokenizer.get_vocab_size(), "sha256": record.sha256(file)})
    record.write(args.record, args.recipe, [args.segments_manifest], [file, args.manifest])


def untrained(recipe: dict) -> tuple[Tokenizer, trainers.Trainer]:
    """A tokenizer of the recipe's kind, and what trains it to the recipe's vocabulary size."""
    common = {"vocab_size": recipe["vocab_size"], "special_tokens": list(SPECIAL.values()), "show_progress": False}
    if recipe["algorithm"] == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=recipe["lowercase"])
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        return tokenizer, trainers.WordPieceTrainer(**common)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if recipe["vocab_size"] < len(alphabet) + len(SPECIAL):
        raise cli.Failure(
            f"vocab_size: {recipe['vocab_size']} is too small for bpe;"
            f" right would be {len(alphabet) + len(SPECIAL)} or more"
        )
    tokenizer = Tokenizer(models.BPE())
    lowercase = [normalizers.Lowercase()] if recipe["lowercase"] else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *lowercase])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, trainers.BpeTrainer(**common, initial_alphabet=sorted(alphabet))


if __name__ == "__main__":
    cli.run(main)
