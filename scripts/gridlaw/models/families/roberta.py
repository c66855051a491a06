"""RoBERTa (Liu et al. 2019)."""

from gridlaw.models.family import LAYERS, Family

FAMILY = Family(
    dropouts=(*LAYERS, "classifier_dropout"),
    # Positions are numbered from the id of the padding token plus one.
    configuration=lambda shape, special: {
        "max_position_embeddings": shape["max_position_embeddings"] + special["pad_token_id"] + 1
    },
    head=lambda model, hidden: model.lm_head(hidden),
    tail=lambda body: body.encoder.layer[-1].attention.output,
    attention=lambda body: body.encoder.layer[-1].attention.self,
    classifies_first=True,
)
