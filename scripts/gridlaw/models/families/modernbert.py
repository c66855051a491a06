"""ModernBERT (Warner et al. 2024)."""

from gridlaw.models.family import Family

FAMILY = Family(
    dropouts=("embedding_dropout", "mlp_dropout", "attention_dropout", "classifier_dropout"),
    head=lambda model, hidden: model.decoder(model.head(hidden)),
    block=lambda body: body.layers[-1].mlp,
    feed_forward_products=3,
)
