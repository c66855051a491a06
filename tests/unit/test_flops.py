"""FLOPs by formula are those that PyTorch counts in a forward and backward pass."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gridlaw import plugins
from gridlaw.models import modeling
from gridlaw.models.flops import training_flops

ROWS, LENGTH = 16, 24
# The formula leaves out no matrix product but this: DeBERTa projects its table of relative positions (here as long as
# a row) once a batch, in both layers as queries and as keys, which is no cost of a position.
ONCE_A_BATCH = {"deberta-v2": 6 * (2 * 2 * 32 * 32) * LENGTH}


class Tokenizer:
    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 2, 3, 4

    def __len__(self):
        return 120


def model(kind, **config):
    shape = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": LENGTH}
    entry = {"model_type": kind, "shape": shape, "config": config, "initializer_range": 0.02}
    # The counter knows no fused attention on a CPU.
    return modeling.masked_lm(entry, Tokenizer(), dropout=0.0, attention="eager")


def counted(run):
    with FlopCounterMode(display=False) as counter:
        run().sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("kind", plugins.names("family"))
def test_as_counted(kind):
    network = model(kind)
    ids = torch.randint(5, 120, (ROWS, LENGTH))
    flops = training_flops(network, LENGTH, ROWS, predicted=ids.numel())
    whole = counted(lambda: network(input_ids=ids).logits)
    body = counted(lambda: network.base_model(input_ids=ids).last_hidden_state)
    once = ONCE_A_BATCH.get(kind, 0)
    assert once < 0.01 * body
    assert flops == {"flops": whole - once, "flops_without_embeddings": body - once}


def test_by_hand():
    # 5 rows of 24 positions, 7 of them predicted. Linear weights of a layer: 4 * 32 * 32 in attention, 2 * 32 * 128 in
    # feed-forward; of the head: 32 * 32 and the decoder's 120 * 32.
    flops = training_flops(model("bert"), row_length=24, rows=5, predicted=7)
    body = 6 * (2 * 12288) * 120 + 12 * 2 * 24 * 32 * 120
    assert body == 19_906_560
    assert flops == {"flops": body + 6 * (1024 + 3840) * 7, "flops_without_embeddings": body}


def test_attention_grows_with_the_square_of_the_row():
    network = model("roberta")
    short, long = (training_flops(network, length, 10, 0)["flops"] for length in (10, 20))
    assert long - 2 * short == 12 * 2 * 32 * 10 * (20 * 20 - 2 * 10 * 10)


def test_head_without_a_decoder_of_its_own():
    own, shared = (training_flops(model("deberta-v2", legacy=legacy), 24, 5, 7) for legacy in (True, False))
    assert own == shared


def test_electra_with_small_embeddings():
    network = model("electra", embedding_size=16)
    ids = torch.randint(5, 120, (ROWS, LENGTH))
    whole = counted(lambda: network(input_ids=ids).logits)
    assert training_flops(network, LENGTH, ROWS, ids.numel())["flops"] == whole
