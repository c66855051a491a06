"""A released checkpoint keeps every weight: fine-tuning from its saved folder is fine-tuning from the checkpoint."""

from itertools import product
from pathlib import Path

import finetune
import numpy as np
import pandas as pd
import pretrain
import pytest
import released
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from gridlaw import cli, io, plugins
from gridlaw.canonical_json import canonical
from gridlaw.training.finetuning import Epochs

FAMILIES = [*plugins.names("family"), "albert"]
HEADS = ["AutoModel", "AutoModelForMaskedLM", "AutoModelForSequenceClassification", "AutoModelForPreTraining"]
MODEL = {
    "model": {}, "seed": 1, "gpus": 1, "dropout": 0.0, "attention": "auto", "held_out_mask_rate": 0.15,
    "device_batch_size": 8, "precision": "fp32",
}  # fmt: skip
TRAINING = {
    "batch_size": 8, "learning_rate": 1e-3, "weight_decay": 0.01, "adam_beta2": 0.98, "max_grad_norm": 1.0,
    "compile": False, "passes": 1, "mask_rate": 0.2, "schedule": "independent", "warmup_tokens": 100,
    "decay_ratio": 0.5, "decay_shape": "linear",
}  # fmt: skip
FINETUNE = {
    "seeds": [3], "train_examples": ["all"], "text": ["text"], "label": "label", "train": "train",
    "validation": ["validation"], "kind": "classification", "epochs": 2, "max_length": 24, "eval_batch_size": 16,
    "schedule": "linear", "warmup_ratio": 0.0, "batch_size": 8, "device_batch_size": 8, "learning_rate": 1e-3,
    "weight_decay": 0.01, "adam_beta2": 0.999, "max_grad_norm": 1.0, "dropout": 0.0, "precision": "fp32",
    "attention": "auto", "compile": False,
}  # fmt: skip


@pytest.fixture
def save(program, tmp_path):
    """Runs the program that saves a checkpoint's model, trained further if text is given; gives its folder."""

    def run(checkpoint: Path, text: dict[str, Path] | None = None) -> Path:
        recipe = MODEL | TRAINING if text else MODEL
        options = {"--record": tmp_path / "model.record.json", "--work": tmp_path / "work", **(text or {})}
        options |= {"--tokenizer": checkpoint, "--model": tmp_path / "model", "--manifest": tmp_path / "manifest.json"}
        program(pretrain, "--recipe", canonical(recipe), *(part for option in options.items() for part in option))
        listed = io.read_json(tmp_path / "manifest.json")["files"]
        assert listed.keys() == {file.name for file in (tmp_path / "model").iterdir()}
        return tmp_path / "model"

    return run


def outputs_of_gridlaw(program, folder: Path, model: Path, task: dict[str, Path]) -> np.ndarray:
    """Outputs of the head for the validation examples, after fine-tuning with gridlaw's program."""
    io.write_json(folder / "model.json", {})
    options = {"--model": model, "--model-manifest": folder / "model.json", "--work": folder / "finetuning"}
    options |= {f"--{name}": folder / f"finetune.{name}" for name in ("predictions", "manifest", "record")}
    program(
        finetune, "--recipe", canonical(FINETUNE), *(part for option in (options | task).items() for part in option)
    )
    return np.array(pd.read_parquet(folder / "finetune.predictions")["outputs"].tolist())


class SequentialTrainer(Trainer):
    """The order of the examples is that of the data set."""

    def _get_train_sampler(self, *_):
        return None


def outputs_of_trainer(folder: Path, checkpoint: Path, task: dict[str, Path]) -> np.ndarray:
    """The same, with transformers alone, on the released weights."""
    network = AutoTokenizer.from_pretrained(checkpoint)
    examples = pd.read_parquet(task["--examples"])
    encoded = [
        dict(network(text, truncation=True, max_length=FINETUNE["max_length"])) | {"labels": label}
        for text, label in zip(examples["text"], examples["label"], strict=True)
    ]
    train, validation = encoded[:48], encoded[48:]
    set_seed(3)
    config = AutoConfig.from_pretrained(checkpoint, num_labels=2)
    for name in vars(config):
        if "drop" in name:
            setattr(config, name, 0.0)
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, attn_implementation="eager"
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"), max_steps=12, per_device_train_batch_size=8, learning_rate=1e-3,
        weight_decay=0.01, adam_beta2=0.999, max_grad_norm=1.0, lr_scheduler_type="linear", report_to="none",
        remove_unused_columns=False, use_cpu=True, disable_tqdm=True, save_strategy="no", seed=3,
    )  # fmt: skip
    trainer = SequentialTrainer(
        model, arguments, train_dataset=Epochs(train, 2, 8, 3), data_collator=DataCollatorWithPadding(network)
    )
    trainer.train()
    return trainer.predict(validation).predictions


@pytest.mark.parametrize(
    ("kind", "head"), [each for each in product(FAMILIES, HEADS) if each != ("modernbert", "AutoModelForPreTraining")]
)
def test_size_0_is_the_classic_fine_tuning(program, tmp_path, save, kind, head):
    checkpoint = released.release(tmp_path / "released", kind, head)
    task = released.write_task(tmp_path)
    here = outputs_of_gridlaw(program, tmp_path, save(checkpoint), task)
    np.testing.assert_allclose(here, outputs_of_trainer(tmp_path, checkpoint, task), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", [AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification])
@pytest.mark.parametrize("shards", ["1GB", "4KB"])
def test_a_saved_checkpoint_loads_as_the_released_one(tmp_path, save, head, shards):
    checkpoint = released.release(tmp_path / "released", "bert", "AutoModelForPreTraining", shards)
    assert (checkpoint / "model.safetensors").is_file() == (shards == "1GB")
    (checkpoint / "spare.safetensors").write_text("of another model")
    saved = save(checkpoint)
    assert not (saved / "spare.safetensors").exists()
    before, after = (load(head, folder) for folder in (checkpoint, saved))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (saved / name).read_bytes() == (checkpoint / name).read_bytes()


def load(head: type, folder: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return head.from_pretrained(folder).state_dict()


CARRIED = {
    "AutoModel": {"bert.pooler.dense.weight"},
    "AutoModelForSequenceClassification": {"bert.pooler.dense.weight", "classifier.weight"},
    "AutoModelForPreTraining": {"bert.pooler.dense.weight", "cls.seq_relationship.weight"},
}
OLD = [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")]


@pytest.mark.parametrize("head", CARRIED)
@pytest.mark.parametrize("names", ["of today", "old"])
def test_what_is_not_trained_is_carried_along(tmp_path, save, head, names):
    checkpoint = released.release(tmp_path / "released", "bert", head)
    if names == "old":
        released.rename(checkpoint, *OLD)
    stored = load_file(checkpoint / "model.safetensors")
    saved = save(checkpoint, released.write_text(tmp_path))
    written = load_file(saved / "model.safetensors")
    for name in CARRIED[head]:
        before = name.removeprefix("bert.") if head == "AutoModel" else name
        assert torch.equal(written[name], stored[before]), name
    trained = AutoModelForMaskedLM.from_pretrained(saved).state_dict()
    start = AutoModelForMaskedLM.from_pretrained(checkpoint).state_dict()
    changed = {name for name in start if not torch.equal(start[name], trained[name])}
    assert {"bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.LayerNorm.weight"} <= changed
    # The output layer is tied to the trained embedding, and no old copy of it is left to be read instead.
    assert torch.equal(trained["cls.predictions.decoder.weight"], trained["bert.embeddings.word_embeddings.weight"])
    expected = {"position_ids", "token_type_ids"}
    assert {name for name in written if name not in trained and name not in CARRIED[head]} - expected == {
        name for name in written if names == "old" and name.endswith((".gamma", ".beta"))
    } | {name.replace("weight", "bias") for name in CARRIED[head]}


@pytest.mark.parametrize("fields", [{"tie_word_embeddings": False}, {"vocab_size": 128}], ids=["untied", "padded"])
def test_an_output_layer_of_its_own_and_a_padded_vocabulary(tmp_path, save, fields):
    checkpoint = released.release(tmp_path / "released", "bert", "AutoModelForPreTraining", **fields)
    saved = save(checkpoint, released.write_text(tmp_path))
    before, after = (load_file(folder / "model.safetensors") for folder in (checkpoint, saved))
    assert before.keys() == after.keys()
    assert {name: weight.shape for name, weight in before.items()} == {
        name: weight.shape for name, weight in after.items()
    }
    same = {name for name in before if torch.equal(before[name], after[name])}
    # An untied output layer has another bias.
    carried = {"cls.predictions.bias"} if "tie_word_embeddings" in fields else set()
    for part in ("bert.pooler.dense", "cls.seq_relationship"):
        carried |= {f"{part}.weight", f"{part}.bias"}
    assert same == carried


def test_old_names_begin_a_fine_tuning_too(program, tmp_path, save):
    checkpoint = released.release(tmp_path / "released", "bert", "AutoModelForPreTraining")
    released.rename(checkpoint, *OLD)
    task = released.write_task(tmp_path)
    here = outputs_of_gridlaw(program, tmp_path, save(checkpoint), task)
    np.testing.assert_allclose(here, outputs_of_trainer(tmp_path, checkpoint, task), rtol=1e-4, atol=1e-5)


def test_a_head_of_another_task_is_replaced(program, tmp_path, save):
    checkpoint = released.release(tmp_path / "released", "roberta", "AutoModelForSequenceClassification", num_labels=5)
    task = released.write_task(tmp_path)
    here = outputs_of_gridlaw(program, tmp_path, save(checkpoint), task)
    assert here.shape == (24, 2)
    np.testing.assert_allclose(here, outputs_of_trainer(tmp_path, checkpoint, task), rtol=1e-4, atol=1e-5)


def test_weights_in_half_precision_are_trained_in_full(program, tmp_path, save):
    checkpoint = released.release(tmp_path / "released", "bert", "AutoModelForPreTraining")
    AutoModelForMaskedLM.from_pretrained(checkpoint, dtype=torch.float16).save_pretrained(checkpoint)
    assert AutoConfig.from_pretrained(checkpoint).dtype == torch.float16
    trained = load_file(save(checkpoint, released.write_text(tmp_path)) / "model.safetensors")
    assert {weight.dtype for weight in trained.values()} == {torch.float32}
    task = released.write_task(tmp_path)
    here = outputs_of_gridlaw(program, tmp_path, checkpoint, task)
    np.testing.assert_allclose(here, outputs_of_trainer(tmp_path, checkpoint, task), rtol=1e-4, atol=1e-5)


def test_an_encoder_without_its_weights_is_one_line(tmp_path, save):
    checkpoint = released.release(tmp_path / "released")
    released.rename(checkpoint, ("bert.", "module.bert."))
    with pytest.raises(cli.Failure, match=r"released: no weights for 37 parts of its bert, such as bert\.embeddings"):
        save(checkpoint)


def test_weights_of_another_shape_are_one_line(tmp_path, save):
    checkpoint = released.release(tmp_path / "released")
    released.change(checkpoint / "config.json", vocab_size=96)
    expected = r"word_embeddings.weight has the shape \[80, 16\]; expected \[96, 16\]"
    with pytest.raises(cli.Failure, match=expected):
        save(checkpoint)
