"""Model families: what transformers' encoders need to be told beyond their shape."""

from __future__ import annotations

from collections.abc import Iterator

# The tokenizer a family was published with; families that are not listed take byte-level BPE.
WORDPIECE = {"bert", "distilbert", "electra", "mpnet", "convbert", "mobilebert", "squeezebert", "megatron-bert"}

# Encoders that validation knows without importing transformers, which takes seconds.
FAMILIAR = {"bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert"}

# Encoders that transformers has no fused attention for.
EAGER = {"deberta-v2"}

# What the families call their dropout probabilities.
DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "classifier_dropout",
    "seq_classif_dropout",
    "pooler_dropout",
)


def tokenizer(model_type: str) -> str:
    """The tokenizer algorithm of a model family: `wordpiece` or `bpe`."""
    return "wordpiece" if model_type in WORDPIECE else "bpe"


def problems(model: dict) -> Iterator[str]:
    """What is wrong with a from-scratch model of the catalogue, one line for each mistake, relative to its key."""
    shape = model["shape"]
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    if hidden % heads:
        nearest = [size for size in (hidden - hidden % heads, hidden + heads - hidden % heads) if size]
        yield (
            f"shape.hidden_size: {hidden} is not divisible by num_attention_heads: {heads};"
            f" right would be {' or '.join(map(str, nearest))}"
        )
    if model["model_type"] not in FAMILIAR or model["config"]:
        yield from _unknown_to_transformers(model)


def _unknown_to_transformers(model: dict) -> Iterator[str]:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as KNOWN

    if model["model_type"] not in KNOWN:
        yield (
            f"model_type: {model['model_type']} is no encoder with a masked-LM head in transformers;"
            f" right would be one of {', '.join(sorted(KNOWN))}"
        )
        return
    fields = vars(CONFIG_MAPPING[model["model_type"]]())
    for name in model["config"]:
        if name not in fields:
            yield f"config.{name}: {CONFIG_MAPPING[model['model_type']].__name__} has no such field"


def feed_forward(shape: dict) -> int:
    """Width of the feed-forward layers, by default that of the published encoders."""
    return shape.get("intermediate_size", 4 * shape["hidden_size"])


def configuration(model: dict, vocabulary: int, special: dict[str, int]) -> dict:
    """Keyword arguments of the family's configuration class in transformers.

    Args:
        model: a from-scratch model of the catalogue.
        vocabulary: entries of its tokenizer.
        special: token ids, by transformers' names (`pad_token_id`, ...).
    """
    shape, kind = model["shape"], model["model_type"]
    hidden, positions = shape["hidden_size"], shape["max_position_embeddings"]
    fields = {
        "vocab_size": vocabulary,
        "num_hidden_layers": shape["num_hidden_layers"],
        "hidden_size": hidden,
        "num_attention_heads": shape["num_attention_heads"],
        "intermediate_size": feed_forward(shape),
        "max_position_embeddings": positions,
        "initializer_range": model["initializer_range"],
        **special,
    }
    own = {
        # Positions of RoBERTa's kind start behind the id of the padding.
        "roberta": {"max_position_embeddings": positions + special["pad_token_id"] + 1},
        "distilbert": {"hidden_dim": feed_forward(shape)},
        "electra": {"embedding_size": hidden},
        # What DeBERTa is named for; transformers leaves it off unless told.
        "deberta-v2": {
            "relative_attention": True,
            "position_buckets": positions // 2,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
    }
    return fields | own.get(kind, {}) | model["config"]
