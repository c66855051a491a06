"""What is wrong with the files of a released checkpoint is one line, before anything is trained."""

import json
import shutil
from importlib import import_module
from io import BytesIO
from pathlib import Path

import checkpoint as checkpoint_program
import pytest
import released as given
import sentencepiece
import torch
import transformers
from conftest import configuration

from gridlaw import cli, io
from gridlaw.canonical_json import canonical
from gridlaw.config import loading
from gridlaw.models import released

GRID = """
{models: [m], sizes: [0], corpus: null, tasks: [sentiment], data: {tokenizer: m}, finetune: {max_length: 32},
 catalogue: {models: {m: {pretrained: %s}}}}
"""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 438\n"


def damage(name):
    """Replaces a file of a checkpoint by a Git LFS pointer."""
    return lambda folder: (folder / name).write_text(POINTER)


def shard(folder):
    shutil.rmtree(folder)
    given.release(folder, shards="4KB")


def lose_shard(folder):
    shard(folder)
    next(folder.glob("model-00002*")).unlink()


def lose_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()


def truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def convert(name):
    def to(folder):
        (folder / "model.safetensors").rename(folder / name)

    return to


def nest(folder):
    inner = folder.rename(folder.with_name("inner"))
    folder.mkdir()
    inner.rename(folder / "0_Transformer")


def adapt(folder):
    (folder / "config.json").rename(folder / "adapter_config.json")


def replace_by_link(file):
    file.unlink()
    file.symlink_to("elsewhere")


def name_outside(folder):
    shard(folder)
    index = folder / "model.safetensors.index.json"
    given.change(index, weight_map=io.read_json(index)["weight_map"] | {"x": "../other.safetensors"})


def mend(file, **fields):
    return lambda folder: given.change(folder / file, **fields)


FAULTS = {
    "no tokenizer": (lose_tokenizer, "./it has no tokenizer; expected tokenizer.json (or vocab.txt, spm.model,"),
    "weights in Git LFS": (damage("model.safetensors"), "./it/model.safetensors is a Git LFS pointer; fetch its content with git lfs pull"),
    "tokenizer in Git LFS": (damage("tokenizer.json"), "./it/tokenizer.json is a Git LFS pointer"),
    "configuration in Git LFS": (damage("config.json"), "./it/config.json is a Git LFS pointer"),
    "missing shard": (lose_shard, "./it lacks model-00002-of-"),
    "truncated": (truncate, "./it/model.safetensors is damaged or incomplete"),
    "empty": (lambda folder: (folder / "tokenizer.json").write_text(""), "./it/tokenizer.json is empty"),
    "pickled": (convert("pytorch_model.bin"), "./it has its weights in pytorch_model.bin, a format that is not read, because some run code; expected safetensors, which BertForMaskedLM.from_pretrained(...).save_pretrained(...)"),
    "TensorFlow": (convert("tf_model.h5"), "./it has its weights in tf_model.h5"),
    "another name": (convert("weights.safetensors"), "./it has weights in safetensors, but neither model.safetensors nor"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "./it has no weights in safetensors; expected model.safetensors"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "./it has no config.json; expected a folder written by save_pretrained"),
    "an inner folder": (nest, "./it has no config.json; the folder 0_Transformer in it has"),
    "an adapter": (adapt, "./it is an adapter without its model"),
    "configuration is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "./it/config.json is not a JSON object"),
    "configuration is a list": (lambda folder: (folder / "config.json").write_text("[]"), "./it/config.json is not a JSON object"),
    "tokenizer is no JSON": (lambda folder: (folder / "tokenizer_config.json").write_text("{"), "./it/tokenizer_config.json is not a JSON object"),
    "decoder": (mend("config.json", model_type="gpt2"), "./it is a gpt2, of which transformers has no masked-LM model"),
    "unknown family": (mend("config.json", model_type="berd"), "./it is a berd, of which"),
    "no family": (mend("config.json", model_type=None), "./it has a config.json without model_type"),
    "code of its own": (mend("config.json", model_type="own", auto_map={"AutoModel": "model.Own"}), "./it is defined by code of its own (auto_map), which is never run"),
    "quantized": (mend("config.json", quantization_config={"quant_method": "fp8"}), "./it has quantized weights, which cannot be trained"),
    "dangling link": (lambda folder: replace_by_link(folder / "tokenizer.json"), "./it/tokenizer.json is a link to elsewhere, which is not there"),
    "a folder for a file": (lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()), "./it has no config.json"),
    "shards outside": (name_outside, "./it has a model.safetensors.index.json that names files outside of the folder"),
    "positions": (mend("config.json", max_position_embeddings=16), "./it has 16 positions, less than finetune.max_length (sentiment): 32; use 16 or less there"),
}  # fmt: skip


@pytest.fixture
def it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return given.release(tmp_path / "it")


@pytest.mark.parametrize("name", FAULTS)
def test_a_local_checkpoint_is_checked_with_the_configuration(it, name):
    fault, line = FAULTS[name]
    assert configuration(GRID % "./it")["models"] == ["m"], "without the fault, nothing is wrong"
    fault(it)
    with pytest.raises(ValueError) as mistake:
        configuration(GRID % "./it")
    assert str(mistake.value).startswith(f"config: catalogue.models.m.pretrained: {line}")
    assert "\n" not in str(mistake.value)


@pytest.fixture
def fetch(program, tmp_path):
    """Runs the program that fetches a local checkpoint; gives the folder of its copy."""

    def run(folder, **lengths):
        into = tmp_path / "resources" / "checkpoint" / "m"
        program(
            checkpoint_program, "--recipe", canonical({"pretrained": str(folder), "files": ""}), "--folder", into,
            "--manifest", into / "manifest.json", "--record", into / "record.json", "--lengths",
            json.dumps({"m": {name.replace("_", ".", 1): length for name, length in lengths.items()}}),
        )  # fmt: skip
        return into

    return run


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "positions"])
def test_fetching_checks_too(it, fetch, name):
    fault, line = FAULTS[name]
    fault(it)
    with pytest.raises(cli.Failure) as failure:
        fetch("./it")
    assert str(failure.value).startswith(f"catalogue.models.m.pretrained: {line}")


def add_token(folder):
    network = given.tokenizer()
    network.add_tokens(["lounge"])
    network.save_pretrained(folder)


def lose_vocabulary(folder):
    lose_tokenizer(folder)
    # BERT's tokenizer reads vocab.txt.
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(given.VOCABULARY)}))


UNFIT = {
    "one token too many": (add_token, "has a tokenizer that numbers 'lounge' 80, but a vocab_size of 80; expected numbers below 80"),
    "no padding": (mend("tokenizer_config.json", pad_token=None), "has a tokenizer without pad_token"),
    "no mask": (mend("tokenizer_config.json", mask_token=None), "has a tokenizer without mask_token"),
    "another vocabulary": (lose_vocabulary, "has a tokenizer without a vocabulary: a BertTokenizer, which transformers makes of it, does not read vocab.json"),
    "no tokenizer of tokenizers": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "has a tokenizer that transformers cannot read:"),
    "a text for a number": (mend("config.json", hidden_size="wide"), "has a config.json that transformers cannot read:"),
    "positions": (mend("config.json", max_position_embeddings=16), "has 16 positions, less than data.row_length: 32; use 16 or less"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_fetching_reads_configuration_and_tokenizer(it, fetch, name):
    fault, line = UNFIT[name]
    fault(it)
    with pytest.raises(cli.Failure) as failure:
        fetch("./it", data_row_length=32)
    assert str(failure.value).startswith(f"catalogue.models.m.pretrained: ./it {line}")
    assert "\n" not in str(failure.value)


def test_without_text_to_train_on_no_mask_is_needed(it, fetch):
    given.change(it / "tokenizer_config.json", mask_token=None)
    assert (fetch("./it", **{"finetune.max_length (sentiment)": 32}) / "tokenizer.json").is_file()


def test_a_folder_holds_what_its_manifest_lists(it, fetch, tmp_path):
    (it / "tokenizer").mkdir()
    (it / "tokenizer" / "tokenizer.json").write_text("of another model")
    for name in ("tokenization_own.py", "tokenizer_notes.md", "README.md", "pytorch_model.bin"):
        (it / name).write_text("not needed")
    (it / "vocab.txt").symlink_to(tmp_path / "vocabulary")
    (tmp_path / "vocabulary").write_text("\n".join(given.VOCABULARY))
    copy = fetch("./it")
    expected = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    assert listed(copy) == expected
    assert not (copy / "vocab.txt").is_symlink()

    # A copy of an earlier version may hold more.
    (copy / "model-00001-of-00002.safetensors").write_text("left behind")
    shard(it)
    shards = {file.name for file in it.glob("model-*")}
    assert len(shards) > 2
    assert listed(fetch("./it")) == expected - {"model.safetensors", "vocab.txt"} | shards | {
        "model.safetensors.index.json"
    }


def listed(folder: Path) -> set[str]:
    """The files of a manifest, which are those of its folder."""
    files = io.read_json(folder / "manifest.json")["files"]
    assert {file.name for file in folder.iterdir()} == {*files, "manifest.json", "record.json"}
    assert all(io.sha256(folder / name) == digest for name, digest in files.items())
    return set(files)


def test_a_single_file_is_read_rather_than_shards(it):
    single = (it / "model.safetensors").read_bytes()
    shard(it)
    (it / "model.safetensors").write_bytes(single)
    assert released.list_weights(it) == ["model.safetensors"]
    assert released.list_files(it) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def test_a_folder_that_is_there_is_meant(it):
    there, dotted = (configuration(GRID % name) for name in ("it", "./it"))
    assert there == dotted
    given.release(Path("models/bert"))
    assert configuration(GRID % "models/bert")["catalogue"]["models"]["m"]["pretrained"] == "./models/bert"
    assert configuration(GRID % "models/other")["catalogue"]["models"]["m"]["pretrained"] == "models/other"


@pytest.mark.parametrize(
    ("fields", "positions"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, None),
        ({"model_type": "funnel"}, None),
    ],
)
def test_positions(fields, positions):
    assert released.count_positions(fields) == positions


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "xlm-roberta", "camembert", "longformer", "esm"])
def test_positions_that_count_from_the_padding_token(kind):
    window = {"attention_window": 4} if kind == "longformer" else {}
    config = given.configuration(kind, max_position_embeddings=20, pad_token_id=1, **window)
    model = transformers.AutoModel.from_config(config).eval()
    positions = released.count_positions({name: getattr(config, name, None) for name in released.POSITIONS})
    model(torch.full((1, positions), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, positions + 1), 7))


def test_all_files_of_the_tokenizers_of_transformers_are_known():
    modules = Path(transformers.__file__).parent.glob("models/*/tokenization_*.py")
    names = set()
    for file in modules:
        if "VOCAB_FILES_NAMES" in file.read_text():
            try:
                module = import_module(f"transformers.models.{file.parent.name}.{file.stem}")
            except (ImportError, NameError):  # it needs a package that is not installed
                continue
            names |= set(module.VOCAB_FILES_NAMES.values())
    assert {"spm.model", "bpe.codes", "vocab.txt"} < names
    assert {name for name in names if not released.is_of_tokenizer(name)} == set()


def test_the_size_of_a_fetched_checkpoint_is_known(it):
    folder = Path("resources/checkpoint/m")
    given.release(folder, max_position_embeddings=16)
    io.write_json(folder / "record.json", {"recipe": {"pretrained": "someone/it", "revision": "main"}})
    assert configuration(GRID % "someone/other")["models"] == ["m"], "it is of another checkpoint"
    with pytest.raises(ValueError, match=r"m\.pretrained: someone/it has 16 positions, less than finetune\.max_length"):
        configuration(GRID % "someone/it")


def test_an_archive_of_results_needs_no_checkpoint(it):
    overlay = GRID % "./it"
    configuration(overlay)
    shutil.rmtree(it)
    with pytest.raises(ValueError, match=r"\./it has no config\.json"):
        configuration(overlay)
    whole = configuration(GRID % "someone/it")
    whole["catalogue"]["models"]["m"]["pretrained"] = "./it"
    assert loading.complete(whole, absent=True)["models"] == ["m"]


def test_a_vocabulary_of_sentencepiece(it, fetch, tmp_path):
    given.release(it, "deberta-v2")
    lose_tokenizer(it)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(given.WORDS * 4), model_writer=(written := BytesIO()), vocab_size=60,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (it / "spm.model").write_bytes(written.getvalue())
    assert configuration(GRID % "./it")["models"] == ["m"]
    copy = fetch("./it", data_row_length=32)
    assert "spm.model" in listed(copy)
    network = transformers.AutoTokenizer.from_pretrained(copy)
    ids = network(" ".join(given.WORDS))["input_ids"]
    assert network.unk_token_id not in ids
