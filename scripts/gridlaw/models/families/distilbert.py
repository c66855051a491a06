"""DistilBERT (Sanh et al. 2019)."""

from gridlaw.models.family import Family, feed_forward

FAMILY = Family(
    tokenizer="wordpiece",
    dropouts=("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"),
    configuration=lambda shape, special: {"hidden_dim": feed_forward(shape)},
    head=lambda model, hidden: model.vocab_projector(
        model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    ),
    tail=lambda body: body.transformer.layer[-1].sa_layer_norm,
    attention=lambda body: body.transformer.layer[-1].attention,
    classifies_first=True,
)
