"""The arguments of Trainer that a recipe determines."""

from accelerate.utils import TorchDynamoPlugin

from gridlaw.training import optimization

OPTIMISATION = {
    "batch_size": 8, "device_batch_size": 4, "learning_rate": 3e-3, "weight_decay": 0.01, "adam_beta2": 0.98,
    "max_grad_norm": 1.0, "precision": "fp32",
}  # fmt: skip


def test_kernels_are_compiled_for_any_shape(tmp_path, monkeypatch):
    """Those for the shapes that a process happens to see first would make a continued training differ."""
    monkeypatch.setenv("ACCELERATE_DYNAMO_USE_DYNAMIC", "false")
    assert not optimization.arguments(OPTIMISATION | {"compile": False}, 10, 1, tmp_path).torch_compile
    assert TorchDynamoPlugin().dynamic is False
    assert optimization.arguments(OPTIMISATION | {"compile": True}, 10, 1, tmp_path).torch_compile
    assert TorchDynamoPlugin().dynamic is True
