"""Families without a file of their own: what they need beyond the settings that all of transformers' encoders share.

They train with their model's own forward pass at all positions.
"""

from gridlaw.models.family import LAYERS, Family

# Families published with a WordPiece tokenizer; all others take byte-level BPE.
WORDPIECE = {"mpnet", "convbert", "mobilebert", "squeezebert", "megatron-bert"}

# All fields of each family's configuration class in transformers that are probabilities of dropout or LayerDrop.
_WITH_HEAD = (*LAYERS, "classifier_dropout")
_SEQ2SEQ = (
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "classifier_dropout",
    "encoder_layerdrop",
    "decoder_layerdrop",
)
DROPOUTS: dict[str, tuple[str, ...]] = {
    "albert": (*LAYERS, "classifier_dropout_prob"),
    "bart": _SEQ2SEQ,
    "big_bird": _WITH_HEAD,
    "camembert": _WITH_HEAD,
    "convbert": _WITH_HEAD,
    "data2vec-text": _WITH_HEAD,
    "deberta": (*LAYERS, "pooler_dropout"),
    "ernie": _WITH_HEAD,
    "esm": LAYERS,
    "esmc": ("attention_dropout", "classifier_dropout"),
    "eurobert": ("attention_dropout",),
    "flaubert": ("dropout", "attention_dropout", "summary_first_dropout", "layerdrop"),
    "fnet": ("hidden_dropout_prob",),
    "funnel": ("hidden_dropout", "attention_dropout", "activation_dropout"),
    "gte": _WITH_HEAD,
    "ibert": LAYERS,
    "jina_embeddings_v3": _WITH_HEAD,
    "layoutlm": LAYERS,
    "longformer": LAYERS,
    "luke": _WITH_HEAD,
    "mbart": _SEQ2SEQ,
    "megatron-bert": LAYERS,
    "mobilebert": _WITH_HEAD,
    "modernvbert": ("classifier_dropout",),
    "mpnet": LAYERS,
    "mra": LAYERS,
    "mvp": _SEQ2SEQ,
    "neomme": ("attention_dropout",),
    "nomic_bert": _WITH_HEAD,
    "nystromformer": LAYERS,
    "perceiver": ("attention_probs_dropout_prob",),
    "reformer": (
        "hidden_dropout_prob",
        "local_attention_probs_dropout_prob",
        "lsh_attention_probs_dropout_prob",
        "classifier_dropout",
    ),
    "rembert": (*LAYERS, "classifier_dropout_prob"),
    "roberta-prelayernorm": _WITH_HEAD,
    "roc_bert": _WITH_HEAD,
    "roformer": LAYERS,
    "siglip_vision_model": ("attention_dropout",),
    "squeezebert": LAYERS,
    "tapas": LAYERS,
    "ultrabert": ("attention_dropout", "classifier_dropout"),
    "ultravbert": ("classifier_dropout",),
    "xlm": ("dropout", "attention_dropout", "summary_first_dropout"),
    "xlm-roberta": _WITH_HEAD,
    "xlm-roberta-xl": _WITH_HEAD,
    "xmod": _WITH_HEAD,
    "yoso": LAYERS,
}


def describe(model_type: str) -> Family:
    """Return a family without a file."""
    return Family(tokenizer="wordpiece" if model_type in WORDPIECE else "bpe", dropouts=DROPOUTS.get(model_type, ()))
