"""Every mistake in a configuration is one line with the key, what is wrong, and what was expected."""

import copy
from pathlib import Path

import pytest
import yaml
from conftest import default
from snakemake.utils import update_config

from gridlaw import io
from gridlaw.config import hyperparameters
from gridlaw.config.loading import complete
from gridlaw.workflow import known
from gridlaw.workflow.kinds.data import PACK

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = default()


def overlaid(overlay: str) -> dict:
    config = copy.deepcopy(DEFAULT)
    update_config(config, yaml.safe_load(overlay))
    return config


def test_an_override_holds_only_what_is_written():
    own = {"pretrain: {per_model: {tiny: {dropout: 0.3}}}": ("pretrain", "per_model", "tiny"),
           "finetune: {per_model: {tiny: {dropout: 0.3}}}": ("finetune", "per_model", "tiny"),
           "finetune: {per_task: {sentiment: {dropout: 0.3}}}": ("finetune", "per_task", "sentiment")}  # fmt: skip
    for overlay, (section, kind, name) in own.items():
        before = copy.deepcopy(DEFAULT[section][kind].get(name, {}))
        assert complete(overlaid(overlay))[section][kind][name] == before | {"dropout": 0.3}


KINDS = """
{models: [tiny, bert-base-uncased], finetune: {warmup_ratio: {from_scratch: 0.2, released: 0.06}},
 exclude: [{model: bert-base-uncased, size: [1k, 8k, 32k, 100k]}]}
"""


def test_a_hyper_parameter_by_kind_of_model():
    config = complete(overlaid(KINDS))
    for model, rate, ratio, kind in (
        ("tiny", 7e-4, 0.2, "from_scratch"),
        ("bert-base-uncased", 2e-5, 0.06, "released"),
    ):
        parameters = hyperparameters.finetune_parameters(config, model, "sentiment")
        keys = hyperparameters.finetune_keys(config, model, "sentiment")
        assert (parameters["learning_rate"], parameters["warmup_ratio"], parameters["epochs"]) == (rate, ratio, 5)
        assert keys["learning_rate"] == f"finetune.learning_rate.{kind}"
        assert keys["epochs"] == "finetune.epochs"


@pytest.mark.parametrize(
    ("overlay", "expected", "key"),
    [
        ("finetune: {learning_rate: 0.5}", 0.5, "finetune.learning_rate"),
        ("finetune: {learning_rate: {released: 0.5}}", 0.5, "finetune.learning_rate.released"),
        ("finetune: {learning_rate: {from_scratch: 0.5}}", 2e-5, "finetune.learning_rate.released"),
        ("finetune: {per_task: {mrpc: {learning_rate: 0.5}}}", 0.5, "finetune.per_task.mrpc.learning_rate"),
        (
            "finetune: {per_task: {mrpc: {epochs: {from_scratch: 9, released: 2}}}}",
            2e-5,
            "finetune.learning_rate.released",
        ),
    ],
)
def test_an_overlay_of_a_hyper_parameter_by_kind(overlay, expected, key):
    config = complete(overlaid(overlay))
    assert hyperparameters.finetune_parameters(config, "bert-base-uncased", "mrpc")["learning_rate"] == expected
    assert hyperparameters.finetune_keys(config, "bert-base-uncased", "mrpc")["learning_rate"] == key


def test_a_released_checkpoint_does_not_inherit_the_rates_of_the_default_grid():
    config = complete(copy.deepcopy(DEFAULT))
    tuned = hyperparameters.finetune_parameters(config, "bert-base-uncased", "mrpc")
    trained = hyperparameters.pretrain_parameters(config, "bert-base-uncased")
    assert (tuned["learning_rate"], tuned["dropout"]) == (2e-5, 0.1)
    assert (trained["learning_rate"], trained["dropout"], trained["mask_rate"]) == (1e-4, 0.1, 0.15)


MISTAKES = {
    "value of a kind": ("finetune: {learning_rate: {released: 0}}", "finetune.learning_rate.released: 0 is too small", "above 0"),
    "text for a kind": ("finetune: {learning_rate: {released: 2e-5}}", 'finetune.learning_rate.released: "2e-5" is text', "2.0e-5"),
    "unknown kind": ("finetune: {learning_rate: {relesed: 2.0e-5}}", "finetune.learning_rate.relesed: unknown key; expected one of from_scratch, released", "did you mean released?"),
    "missing kind": ("finetune: {epochs: {released: 3}}", "finetune.epochs.from_scratch: missing", "required"),
    "a list for a number": ("finetune: {epochs: [3]}", "finetune.epochs: [3] is not a whole number", ""),
    "unknown key": ("finetune: {epoch: 3}", "finetune.epoch: unknown key", "did you mean epochs?"),
    "unknown top key": ("model: [tiny]", "model: unknown key", "did you mean models?"),
    "unknown key of a model": ("catalogue: {models: {tiny: {shape: {hiden_size: 3}}}}", "shape.hiden_size", "did you mean hidden_size?"),
    "unknown override": ("pretrain: {per_model: {tiny: {epochs: 3}}}", "pretrain.per_model.tiny.epochs: unknown key", "passes"),
    "text for a number": ("pretrain: {learning_rate: 1e-4}", 'pretrain.learning_rate: "1e-4" is text', "1.0e-4"),
    "number in quotes": ("gpus: ['2']", 'gpus.0: "2" is text', "without quotes"),
    "text for an override": ("finetune: {per_task: {sentiment: {learning_rate: 3e-5}}}", "finetune.per_task.sentiment.learning_rate", "3.0e-5"),
    "wrong type": ("models: tiny", "models: \"tiny\" is not a list", "a list of names"),
    "wrong number": ("gpus: [0]", "gpus.0: 0 is too small", "minimum is 1"),
    "true for a number": ("pretrain: {passes: true}", "pretrain.passes: true is not a whole number", ""),
    "empty axis": ("sizes: []", "sizes: empty", "list at least one"),
    "null axis": ("tasks:", "tasks: empty", "a list"),
    "empty seeds": ("seeds: {finetune: []}", "seeds.finetune: empty", "list at least one"),
    "duplicate model": ("models: [tiny, tiny]", "models: tiny is listed twice", ""),
    "duplicate size": ("sizes: [64k, 64000]", "sizes: 64k and 64000 are the same size", "once"),
    "not a size": ("sizes: [64kk]", 'sizes.0: "64kk"', "64k, 1M"),
    "fractional size": ("sizes: [0.5]", "sizes.0", "64k, 1M"),
    "unsafe name": ("catalogue: {models: {../x: {pretrained: a/b}}}", "catalogue.models.../x: not safe as a name", "letters"),
    "unsafe axis name": ("models: ['a b']", 'models.0: "a b"', "safe in a path"),
    "too large for the corpus": ("sizes: [64k, 5M]", "sizes: 5M is more than the corpus toy holds", "all"),
    "corpus smaller than its held-out text": ("catalogue: {corpora: {toy: {words: 90}}}", "catalogue.corpora.toy.words: 90 leaves nothing", "more"),
    "unknown model": ("models: [tini]", "models: tini is not in the catalogue", "did you mean tiny?"),
    "unknown task": ("tasks: [cola2]", "tasks: cola2 is not in the catalogue", "did you mean cola?"),
    "unknown corpus": ("corpus: wiki", "corpus: wiki is not in the catalogue", "toy"),
    "unknown model in exclude": ("exclude: [{model: huge}]", "exclude.model: huge is not in the catalogue", "tiny"),
    "unknown model override": ("pretrain: {per_model: {tinny: {passes: 2}}}", "pretrain.per_model: tinny", "did you mean tiny?"),
    "heads": ("catalogue: {models: {tiny: {shape: {hidden_size: 65}}}}", "shape.hidden_size: 65 is not divisible by num_attention_heads: 2", "64 or 66"),
    "batch": ("{gpus: [1, 3]}", "pretrain.batch_size: 3 ranks cannot share 16 sequences equally", "a multiple of 3"),
    "model type": ("catalogue: {models: {tiny: {model_type: berd}}}", "catalogue.models.tiny.model_type: transformers has no encoder with a masked-LM head called berd", "bert"),
    "decoder": ("catalogue: {models: {tiny: {model_type: gpt2}}}", "catalogue.models.tiny.model_type: transformers has no encoder with a masked-LM head called gpt2", "roberta"),
    "field": ("catalogue: {models: {tiny: {config: {hidden_akt: gelu}}}}", "catalogue.models.tiny.config.hidden_akt: BertConfig has no such field", ""),
    "attention of a family": ("{models: [deberta-mini], pretrain: {attention: sdpa}}", "pretrain.attention (deberta-mini): transformers has no sdpa for deberta-v2", "auto or eager"),
    "attention and precision": ("finetune: {per_task: {sentiment: {attention: flash_attention_2, precision: tf32}}}", "finetune.attention (small): flash_attention_2 computes in bf16, not tf32", "precision: bf16 or auto"),
    "nothing left": ("exclude: [{gpus: [1, 2]}]", "exclude: removes every cell", ""),
    "unscored": ("finetune: {gpus: [4]}", "finetune.gpus: [4] includes no cell of tiny at size 0", "gpus [1]"),
    "no text": ("corpus: null", "corpus: null, but", "corpus"),
    "files missing": ("{corpus: x, catalogue: {corpora: {x: {source: files, files: [no/*.txt]}}}}", "catalogue.corpora.x.files: nothing matches no/*.txt", ""),
    "source": ("{corpus: x, catalogue: {corpora: {x: {source: web}}}}", 'catalogue.corpora.x.source: "web" is unknown', "hub, files, generator"),
    "key of another source": ("catalogue: {corpora: {toy: {split: train}}}", "catalogue.corpora.toy.split: unknown key", "words"),
    "required": ("{corpus: x, catalogue: {corpora: {x: {source: hub, dataset: a/b}}}}", "catalogue.corpora.x.revision: missing", ""),
    "metric": ("catalogue: {tasks: {sentiment: {metrics: [bleu]}}}", 'catalogue.tasks.sentiment.metrics.0: "bleu" is unknown', "accuracy"),
    "metric of another kind": ("catalogue: {tasks: {sentiment: {metrics: [pearson]}}}", "catalogue.tasks.sentiment.metrics: pearson does not fit", ""),
    "positions": ("data: {row_length: 128}", "shape.max_position_embeddings: 64 is less than data.row_length: 128", "128 or more"),
    "local model": ("{models: [m], catalogue: {models: {m: {pretrained: ./nowhere}}}}", "catalogue.models.m.pretrained: ./nowhere has no config.json", "save_pretrained"),
    "both kinds of model": ("catalogue: {models: {tiny: {pretrained: a/b}}}", "catalogue.models.tiny.shape: unknown key", "pretrained"),
    "tokenizer": ("catalogue: {models: {tiny: {tokenizer: none}}}", "catalogue.models.tiny.tokenizer: none is not in the catalogue", "wordpiece"),
    "training set": ("finetune: {train_examples: [5000]}", "catalogue.tasks.sentiment.train_size: 600 is less than", "5000"),
    "passes of a trunk": ("pretrain: {schedule: trunk}", "pretrain.passes: sizes can share a trunk only with 1 pass over the slice, not 10", "schedule: independent"),
    "warm-up of a trunk": ("{sizes: [4k, 8k], pretrain: {schedule: trunk, passes: 1, decay_ratio: 0.2}}", "pretrain.warmup_tokens: 4k is not less than the 3.2k tokens that size 4k is trained on before its decay", "fewer"),
    "warm-up": ("pretrain: {per_model: {tiny: {warmup_tokens: 10k}}}", "pretrain.per_model.tiny.warmup_tokens: 10k is not less than the 10k tokens that size 1k", "fewer"),
    "warm-up of everything": ("pretrain: {warmup_tokens: all}", "pretrain.warmup_tokens: all is not a number", "64k"),
    "warm-up of a part of a token": ("pretrain: {warmup_tokens: '0.5'}", "pretrain.warmup_tokens: '0.5' is not a whole number", ""),
    "decay": ("pretrain: {decay_ratio: 2}", "pretrain.decay_ratio: 2 is too large", "the maximum is 1"),
    "shape of the decay": ("pretrain: {decay_shape: sqrt}", 'pretrain.decay_shape: "sqrt" is unknown', "1-sqrt"),
    "a mask of the held-out text for one model": ("pretrain: {per_model: {tiny: {held_out_mask_rate: 0.3}}}", "pretrain.per_model.tiny.held_out_mask_rate: unknown key", ""),
    "an earlier key": ("pretrain: {warmup_ratio: 0.1}", "pretrain.warmup_ratio: unknown key", "warmup_tokens"),
    "precision": ("finetune: {precision: fp16}", 'finetune.precision: "fp16" is unknown', "bf16"),
    "checkpoints": ("checkpoint_minutes: 0", "checkpoint_minutes: 0 is too small", "above 0"),
    "weak scaling": ("pretrain: {scaling: weak}", "finetune.gpus: with weak scaling", "all"),
    "not a number": ("finetune: {learning_rate: .nan}", "finetune.learning_rate: .nan is not a number", "expected a finite number"),
    "infinity": ("pretrain: {per_model: {tiny: {weight_decay: .inf}}}", "pretrain.per_model.tiny.weight_decay: .inf is not a number", "finite"),
    "minus infinity": ("cost: {price_per_kwh: -.inf}", "cost.price_per_kwh: -.inf is not a number", "finite"),
    "a number too large for a computer": ("pretrain: {decay_ratio: 1.0e+400}", "pretrain.decay_ratio: .inf is not a number", "finite"),
    "no number in a list": ("seeds: {finetune: [1, .nan]}", "seeds.finetune.1: .nan is not a number", "finite"),
    "no number in other fields": ("catalogue: {models: {tiny: {config: {layer_norm_eps: .nan}}}}", "catalogue.models.tiny.config.layer_norm_eps: .nan is not a number", "finite"),
    "one column twice": ("{tasks: [mrpc], catalogue: {tasks: {mrpc: {text: [label, sentence2]}}}}", "catalogue.tasks.mrpc.label: label is a text column too", "the column with the label"),
    "a text column with another's name": ("{tasks: [mrpc], catalogue: {tasks: {mrpc: {text: [split]}}}}", "catalogue.tasks.mrpc.text: split is the name of another column", "another name"),
    "a positive class that nothing is of": ("catalogue: {tasks: {sentiment: {positive: 1, metrics: [accuracy]}}}", "catalogue.tasks.sentiment.positive: no metric of the task is of one class", "f1, precision, recall"),
    "a positive class of the wrong type": ("catalogue: {tasks: {sentiment: {positive: [1]}}}", "catalogue.tasks.sentiment.positive: [1] is not text", ""),
}  # fmt: skip


def test_default_is_valid():
    config = complete(copy.deepcopy(DEFAULT), [ROOT / "config.yaml"])
    assert config["catalogue"]["tasks"]["cola"]["label"] == "label", "defaults of the schema are filled in"


@pytest.mark.parametrize("file", sorted((ROOT / "grids").glob("*.yaml")), ids=lambda file: file.name)
def test_grids_are_valid(file):
    complete(overlaid(file.read_text()), [file])


@pytest.mark.parametrize(("overlay", "wrong", "right"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake(overlay, wrong, right):
    with pytest.raises(ValueError, match="^config: ") as raised:
        complete(overlaid(overlay))
    lines = [line for line in str(raised.value).splitlines() if wrong in line]
    assert lines, str(raised.value)
    assert right in lines[0]


def test_an_infinity_has_one_line():
    with pytest.raises(ValueError, match="^config: pretrain.learning_rate: .inf is not a number") as raised:
        complete(overlaid("pretrain: {learning_rate: .inf}"))
    assert len(str(raised.value).splitlines()) == 1


def test_repeated_key(tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text("catalogue:\n  models:\n    a: {pretrained: x/y}\n    a: {pretrained: x/z}\n")
    with pytest.raises(ValueError, match=r"a: appears twice in one mapping of .*twice.yaml \(line 4\)"):
        complete(copy.deepcopy(DEFAULT), [file])


@pytest.mark.parametrize("corpus", ["null", "nowhere"])
def test_a_grid_without_a_corpus_has_no_packed_one(corpus):
    overlay = f"{{models: [bert-base-uncased], sizes: [0], corpus: {corpus}, data: {{tokenizer: bert-base-uncased}}}}"
    if corpus == "null":
        assert complete(overlaid(overlay), packed=known.packed_tokens)["corpus"] is None
    else:
        with pytest.raises(ValueError, match="corpus: nowhere is not in the catalogue"):
            complete(overlaid(overlay), packed=known.packed_tokens)


def test_a_packed_corpus_says_how_many_tokens_it_holds(finished):
    whole = complete(overlaid("sizes: [32k]"))
    assert known.packed_tokens(whole) is None
    finished(whole)
    pack = Path(PACK.file("manifest", whole["corpus"], whole["data"]["tokenizer"]))
    io.write_json(pack, {"train": {"tokens": 30000}})
    assert known.packed_tokens(whole) == 30000
    with pytest.raises(ValueError, match="sizes: 32k is more than the corpus toy holds, at most 30000 tokens"):
        complete(overlaid("sizes: [32k]"), packed=known.packed_tokens)
    other = overlaid("{sizes: [32k], data: {held_out_words: 3000}}")
    assert complete(other, packed=known.packed_tokens)["sizes"] == ["32k"], "other segments were packed"
