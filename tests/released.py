"""Released checkpoints with random weights, as others save them, and something to train them on."""

import json
import random
from pathlib import Path

import pandas as pd
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CONFIG_MAPPING, PreTrainedTokenizerFast

from gridlaw import io
from gridlaw.data import rows

WORDS = [f"{a}{b}{c}" for a in "bdgkl" for b in "aeo" for c in "mnrst"]
SPECIAL = {
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
}  # fmt: skip
VOCABULARY = [*SPECIAL.values(), *WORDS]
POSITIONS = 40
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
FIELDS = {
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "albert": SHAPE | {"embedding_size": 8, "num_hidden_groups": 1},
    "deberta-v2": SHAPE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16},
    "roberta": SHAPE | {"max_position_embeddings": POSITIONS + 1},
}


def configuration(kind: str, **fields):
    """The configuration of a small model of a family, with the special tokens of `tokenizer`."""
    ids = {name.replace("_token", "_token_id"): VOCABULARY.index(token) for name, token in SPECIAL.items()}
    ids |= {"bos_token_id": ids["cls_token_id"], "eos_token_id": ids["sep_token_id"]}
    common = {"vocab_size": len(VOCABULARY), "max_position_embeddings": POSITIONS, "initializer_range": 0.2}
    return CONFIG_MAPPING[kind](**ids | common | FIELDS.get(kind, SHAPE) | fields)


def tokenizer() -> PreTrainedTokenizerFast:
    network = Tokenizer(models.WordLevel({word: number for number, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    network.pre_tokenizer = pre_tokenizers.Whitespace()
    network.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, VOCABULARY.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=network, **SPECIAL)


def release(
    folder: Path, kind: str = "bert", head: str = "AutoModelForMaskedLM", shards: str = "1GB", **fields
) -> Path:
    """Write a checkpoint with random weights.

    Args:
        head: class of transformers that saves it.
        shards: largest size of a file of weights.
        fields: of the configuration.
    """
    torch.manual_seed(0)
    model = getattr(transformers, head).from_config(configuration(kind, **fields))
    # Also those that begin at 0, so that each one is told from a new one.
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    model.save_pretrained(folder, max_shard_size=shards)
    tokenizer().save_pretrained(folder)
    return folder


def rename(folder: Path, *names: tuple[str, str]) -> None:
    """Rename parts of the names of a checkpoint's weights."""

    def renamed(name: str) -> str:
        for before, after in names:
            name = name.replace(before, after)
        return name

    file = folder / "model.safetensors"
    save_file({renamed(name): weight for name, weight in load_file(file).items()}, file, metadata={"format": "pt"})


def change(file: Path, **fields) -> None:
    """Change fields of a JSON file; None removes one."""
    content = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def write_text(folder: Path) -> dict[str, Path]:
    """Write a packed corpus; gives the options of the programs that read it."""
    draw, network = random.Random(0), tokenizer()
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(4, 20))) for _ in range(200)]
    special = rows.Special(network.cls_token_id, network.sep_token_id, network.pad_token_id)
    packer = rows.Packer(folder / "rows.bin", 32, True, special, len(network))
    packer.add(network(texts, add_special_tokens=False)["input_ids"])
    ends, tokens = packer.close()
    size = int(tokens.sum())
    slice_of = {"end": int(ends[-1]), "pad": network.pad_token_id, "dtype": "uint16", "row_length": 32}
    counts = {"corpus_tokens": size, "size_tokens": size, "rows": -(-int(ends[-1]) // 31)}
    io.write_json(folder / "slice.json", slice_of | counts)
    return {"--rows": folder / "rows.bin", "--slice": folder / "slice.json"}


def write_task(folder: Path) -> dict[str, Path]:
    """Write a task; gives the options of the program that reads it."""
    draw = random.Random(1)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(4, 20))) for _ in range(72)]
    table = {"text": texts, "label": [len(text) % 2 for text in texts], "split": ["train"] * 48 + ["validation"] * 24}
    pd.DataFrame(table).to_parquet(folder / "examples.parquet")
    io.write_json(folder / "task.json", {"classes": [0, 1]})
    return {"--examples": folder / "examples.parquet", "--task": folder / "task.json"}
