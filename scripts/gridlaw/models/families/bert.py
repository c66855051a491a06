"""BERT (Devlin et al. 2019)."""

from gridlaw.models.family import LAYERS, Family

FAMILY = Family(
    tokenizer="wordpiece",
    dropouts=(*LAYERS, "classifier_dropout"),
    head=lambda model, hidden: model.cls(hidden),
    tail=lambda body: body.encoder.layer[-1].attention.output,
    attention=lambda body: body.encoder.layer[-1].attention.self,
    classifies_first=True,
)
