"""The losses where the model is looked at alone are those of its whole forward pass, for every family."""

import pytest
import torch

from gridlaw import plugins
from gridlaw.models import family, modeling, sparse
from gridlaw.models.classifier import Classify
from gridlaw.models.masked import PredictMasked
from gridlaw.tasks import kind
from gridlaw.training.finetuning import mean_loss

FAMILIES = plugins.names("family")


class Tokenizer:
    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 2, 3, 4

    def __len__(self):
        return 120


def model(name, layers=2, dropout=0.0):
    torch.manual_seed(0)
    shape = {"num_hidden_layers": layers, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 24}
    entry = {"model_type": name, "shape": shape, "config": {}, "initializer_range": 0.2}
    return modeling.masked_lm(entry, Tokenizer(), dropout, "auto").eval()


def batch():
    ids = torch.randint(5, 120, (3, 24))
    attention = torch.ones_like(ids)
    attention[1, 16:] = 0
    positions = torch.tensor([1, 5, 9, 24 + 2, 24 + 3, 48 + 7])
    return ids, attention, positions, ids.flatten()[positions]


@pytest.mark.parametrize("name", FAMILIES)
def test_same_loss_and_gradient(name):
    network = model(name)
    ids, attention, positions, labels = batch()
    dense = torch.full_like(ids, -100)
    dense.view(-1)[positions] = labels
    whole = network(input_ids=ids, attention_mask=attention, labels=dense).loss
    whole.backward()
    expected = {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}
    network.zero_grad()
    loss = PredictMasked(network)(ids, positions, labels, attention)["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(whole.item(), rel=1e-5)
    for part, weight in network.named_parameters():
        if part in expected:
            torch.testing.assert_close(weight.grad, expected[part], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_last_layer_is_unchanged_where_it_is_computed(name):
    body = model(name).base_model
    ids, attention, positions, _ = batch()
    whole = body(input_ids=ids, attention_mask=attention).last_hidden_state.flatten(0, 1)[positions]
    computed = []
    last = sparse.LastLayer(body)
    for module in body.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _, given, __: computed.append(given[0].shape[:-1].numel()))
    with last.restricted_to(positions):
        hidden = body(input_ids=ids, attention_mask=attention).last_hidden_state
    torch.testing.assert_close(last.select(hidden, positions), whole, rtol=1e-5, atol=1e-6)
    assert computed.count(len(positions)) >= 2, "the last feed-forward sees the chosen positions only"
    torch.testing.assert_close(
        body(input_ids=ids, attention_mask=attention).last_hidden_state.flatten(0, 1)[positions], whole
    )


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("classes", "attention"), [(1, "auto"), (3, "auto"), (3, "sdpa")])
def test_same_classes(name, classes, attention, tmp_path):
    if attention == "sdpa" and not family.find(name).has_fused_attention:
        pytest.skip("this family has an attention of its own only")
    model(name).save_pretrained(tmp_path)
    problem = kind.find("regression" if classes == 1 else "classification").problem_type
    network = modeling.classifier(tmp_path, classes, problem, 0.0, attention).eval()
    ids, mask, _, _ = batch()
    whole = network(input_ids=ids, attention_mask=mask).logits
    sparsely = Classify(network)(input_ids=ids, attention_mask=mask)["logits"]
    torch.testing.assert_close(sparsely, whole, rtol=1e-5, atol=1e-6)


def test_loss_is_normalised_by_the_tokens_of_the_whole_optimizer_step():
    network = PredictMasked(model("bert"))
    ids, _, positions, labels = batch()
    alone = network(ids, positions, labels)["loss"]
    shared = network(ids, positions, labels, num_items_in_batch=torch.tensor(24))["loss"]
    assert shared.item() == pytest.approx(alone.item() * 6 / 24, rel=1e-6)


def test_loss_of_a_task_is_that_of_the_whole_optimizer_step():
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    loss = mean_loss(kind.find("classification"))
    whole = loss({"logits": logits}, labels)
    parts = [loss({"logits": logits[i : i + 2]}, labels[i : i + 2], 6) for i in (0, 2, 4)]
    assert sum(parts).item() == pytest.approx(whole.item())
    assert whole.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item())
    scores, loss = torch.randn(6), mean_loss(kind.find("regression"))
    assert loss({"logits": logits[:, :1]}, scores).item() == pytest.approx(((logits[:, 0] - scores) ** 2).mean().item())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_with_a_file_names_its_parts(name):
    parts = family.find(name)
    assert parts.head
    assert parts.tail or parts.block
