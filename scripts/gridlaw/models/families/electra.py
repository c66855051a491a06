"""ELECTRA's architecture (Clark et al. 2020), trained here with masked language modelling."""

from gridlaw.models.family import LAYERS, Family

FAMILY = Family(
    tokenizer="wordpiece",
    dropouts=(*LAYERS, "classifier_dropout", "summary_last_dropout"),
    configuration=lambda shape, special: {"embedding_size": shape["hidden_size"]},
    head=lambda model, hidden: model.generator_lm_head(model.generator_predictions(hidden)),
    tail=lambda body: body.encoder.layer[-1].attention.output,
    attention=lambda body: body.encoder.layer[-1].attention.self,
    classifies_first=True,
)
