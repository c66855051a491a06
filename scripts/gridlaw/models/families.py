"""Model families: the settings of transformers' encoders beyond their shape."""

from __future__ import annotations

from collections.abc import Iterator

# Families published with a WordPiece tokenizer; all others take byte-level BPE.
WORDPIECE = {"bert", "distilbert", "electra", "mpnet", "convbert", "mobilebert", "squeezebert", "megatron-bert"}

# Families that validation knows without importing transformers, which takes seconds.
FAMILIAR = {"bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert"}

# Families for which transformers has no fused attention.
EAGER = {"deberta-v2"}

# All fields of each family's configuration class in transformers that are probabilities of dropout or LayerDrop.
_LAYERS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
_LAYERS_AND_HEAD = (*_LAYERS, "classifier_dropout")
_SEQ2SEQ = (
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "classifier_dropout",
    "encoder_layerdrop",
    "decoder_layerdrop",
)
DROPOUTS: dict[str, tuple[str, ...]] = {
    "albert": (*_LAYERS, "classifier_dropout_prob"),
    "bart": _SEQ2SEQ,
    "bert": _LAYERS_AND_HEAD,
    "big_bird": _LAYERS_AND_HEAD,
    "camembert": _LAYERS_AND_HEAD,
    "convbert": _LAYERS_AND_HEAD,
    "data2vec-text": _LAYERS_AND_HEAD,
    "deberta": (*_LAYERS, "pooler_dropout"),
    "deberta-v2": (*_LAYERS, "pooler_dropout"),
    "distilbert": ("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"),
    "electra": (*_LAYERS_AND_HEAD, "summary_last_dropout"),
    "ernie": _LAYERS_AND_HEAD,
    "esm": _LAYERS,
    "esmc": ("attention_dropout", "classifier_dropout"),
    "eurobert": ("attention_dropout",),
    "flaubert": ("dropout", "attention_dropout", "summary_first_dropout", "layerdrop"),
    "fnet": ("hidden_dropout_prob",),
    "funnel": ("hidden_dropout", "attention_dropout", "activation_dropout"),
    "gte": _LAYERS_AND_HEAD,
    "ibert": _LAYERS,
    "jina_embeddings_v3": _LAYERS_AND_HEAD,
    "layoutlm": _LAYERS,
    "longformer": _LAYERS,
    "luke": _LAYERS_AND_HEAD,
    "mbart": _SEQ2SEQ,
    "megatron-bert": _LAYERS,
    "mobilebert": _LAYERS_AND_HEAD,
    "modernbert": ("embedding_dropout", "mlp_dropout", "attention_dropout", "classifier_dropout"),
    "modernvbert": ("classifier_dropout",),
    "mpnet": _LAYERS,
    "mra": _LAYERS,
    "mvp": _SEQ2SEQ,
    "neomme": ("attention_dropout",),
    "nomic_bert": _LAYERS_AND_HEAD,
    "nystromformer": _LAYERS,
    "perceiver": ("attention_probs_dropout_prob",),
    "reformer": (
        "hidden_dropout_prob",
        "local_attention_probs_dropout_prob",
        "lsh_attention_probs_dropout_prob",
        "classifier_dropout",
    ),
    "rembert": (*_LAYERS, "classifier_dropout_prob"),
    "roberta": _LAYERS_AND_HEAD,
    "roberta-prelayernorm": _LAYERS_AND_HEAD,
    "roc_bert": _LAYERS_AND_HEAD,
    "roformer": _LAYERS,
    "siglip_vision_model": ("attention_dropout",),
    "squeezebert": _LAYERS,
    "tapas": _LAYERS,
    "ultrabert": ("attention_dropout", "classifier_dropout"),
    "ultravbert": ("classifier_dropout",),
    "xlm": ("dropout", "attention_dropout", "summary_first_dropout"),
    "xlm-roberta": _LAYERS_AND_HEAD,
    "xlm-roberta-xl": _LAYERS_AND_HEAD,
    "xmod": _LAYERS_AND_HEAD,
    "yoso": _LAYERS,
}


def dropouts(model_type: str, dropout: float) -> dict[str, float]:
    """Return the values of a family's dropout fields; LayerDrop (Fan et al. 2020), which skips layers, stays off."""
    return {name: 0.0 if "layerdrop" in name else dropout for name in DROPOUTS.get(model_type, ())}


def unnamed_dropouts(model_type: str, fields: dict[str, object]) -> dict[str, float]:
    """Return the dropout fields of a configuration, with their values, that `DROPOUTS` does not list for its family."""
    named = DROPOUTS.get(model_type, ())
    # A boolean, such as esm's token_dropout, is not a probability.
    return {
        name: value
        for name, value in fields.items()
        if "drop" in name and name not in named and value and not isinstance(value, bool)
    }


def tokenizer(model_type: str) -> str:
    """Return the tokenizer algorithm of a model family: `wordpiece` or `bpe`."""
    return "wordpiece" if model_type in WORDPIECE else "bpe"


def problems(model: dict) -> Iterator[str]:
    """Yield a line for each mistake in a from-scratch model of the catalogue, with keys relative to the model's."""
    shape = model["shape"]
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    if hidden % heads:
        nearest = [size for size in (hidden - hidden % heads, hidden + heads - hidden % heads) if size]
        yield (
            f"shape.hidden_size: {hidden} is not divisible by num_attention_heads: {heads};"
            f" use {' or '.join(map(str, nearest))}"
        )
    if model["model_type"] not in FAMILIAR or model["config"]:
        yield from _unknown_to_transformers(model)


def _unknown_to_transformers(model: dict) -> Iterator[str]:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as KNOWN

    if model["model_type"] not in KNOWN:
        yield (
            f"model_type: transformers has no encoder with a masked-LM head called {model['model_type']};"
            f" expected one of {', '.join(sorted(KNOWN))}"
        )
        return
    fields = vars(CONFIG_MAPPING[model["model_type"]]())
    for name in model["config"]:
        if name not in fields:
            yield f"config.{name}: {CONFIG_MAPPING[model['model_type']].__name__} has no such field"
        elif name in DROPOUTS.get(model["model_type"], ()):
            yield f"config.{name}: expected pretrain.dropout and finetune.dropout instead"
    for name, value in unnamed_dropouts(model["model_type"], fields | model["config"]).items():
        yield f"config.{name}: {value}, but the key dropout does not control it in {model['model_type']}; expected 0"


def feed_forward(shape: dict) -> int:
    """Return the width of the feed-forward layers; four times the hidden size by default, as in published encoders."""
    return shape.get("intermediate_size", 4 * shape["hidden_size"])


def configuration(model: dict, vocabulary: int, special: dict[str, int]) -> dict:
    """Return the keyword arguments of the family's configuration class in transformers.

    Args:
        model: a from-scratch model of the catalogue.
        vocabulary: number of entries of its tokenizer.
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
    by_family = {
        # RoBERTa numbers positions from the id of the padding token plus one.
        "roberta": {"max_position_embeddings": positions + special["pad_token_id"] + 1},
        "distilbert": {"hidden_dim": feed_forward(shape)},
        "electra": {"embedding_size": hidden},
        # DeBERTa's disentangled attention, which transformers leaves off by default.
        "deberta-v2": {
            "relative_attention": True,
            "position_buckets": positions // 2,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
    }
    return fields | by_family.get(kind, {}) | model["config"]
