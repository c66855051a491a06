"""The loss at predicted positions alone is that of the model's whole forward pass, for every family."""

import pytest
import torch

from gridlaw import families, modeling
from gridlaw.masking import IGNORED
from gridlaw.objective import HEADS, PredictMasked


class Tokenizer:
    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 2, 3, 4

    def __len__(self):
        return 120


def model(kind):
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 24}
    return modeling.masked_lm(
        {"model_type": kind, "shape": shape, "config": {}, "initializer_range": 0.2}, Tokenizer(), 0.0
    ).eval()


@pytest.mark.parametrize("kind", sorted(families.FAMILIAR))
def test_same_loss_and_gradient(kind):
    network = model(kind)
    ids = torch.randint(5, 120, (3, 24))
    attention = torch.ones_like(ids)
    attention[1, 16:] = 0
    labels = torch.full_like(ids, IGNORED)
    for row, places in enumerate(([1, 5, 9], [2, 3], [7])):
        labels[row, places] = ids[row, places]
    whole = network(input_ids=ids, attention_mask=attention, labels=labels).loss
    whole.backward()
    expected = {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}
    network.zero_grad()
    sparse = PredictMasked(network)(ids, attention, labels)["loss"]
    sparse.backward()
    assert sparse.item() == pytest.approx(whole.item(), rel=1e-5)
    for name, weight in network.named_parameters():
        if name in expected:
            torch.testing.assert_close(weight.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_loss_is_normalised_by_the_tokens_of_the_whole_update():
    network = PredictMasked(model("bert"))
    ids = torch.randint(5, 120, (2, 24))
    labels = torch.full_like(ids, IGNORED)
    labels[:, 3:6] = ids[:, 3:6]
    alone = network(ids, torch.ones_like(ids), labels)["loss"]
    shared = network(ids, torch.ones_like(ids), labels, num_items_in_batch=torch.tensor(24))["loss"]
    assert shared.item() == pytest.approx(alone.item() * 6 / 24, rel=1e-6)


def test_every_head_is_of_a_familiar_family():
    assert set(HEADS) <= families.FAMILIAR
