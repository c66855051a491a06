"""DeBERTa v2 and v3 (He et al. 2021), with disentangled attention."""

from gridlaw.models.family import LAYERS, Family

FAMILY = Family(
    dropouts=(*LAYERS, "pooler_dropout"),
    has_fused_attention=False,
    # Disentangled attention, which transformers leaves off by default.
    configuration=lambda shape, special: {
        "relative_attention": True,
        "position_buckets": shape["max_position_embeddings"] // 2,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
    },
    head=lambda model, hidden: model.cls(hidden),
    tail=lambda body: body.encoder.layer[-1].attention.output,
    classifies_first=True,
    relative_terms=2,
)
