"""Differences between runs on several ranks and on a single one."""

import json

import numpy as np
import pandas as pd
import pytest
import ranks
from safetensors.numpy import save_file

from gridlaw import io

WEIGHTS = {"a": np.array([[3.0, 0.0], [0.0, 0.0]], np.float32), "b": np.array([0.0, 4.0], np.float32)}


def run(folder, weights, held_out=2.0, final=3.0):
    (folder / "model").mkdir(parents=True)
    file = folder / "model" / "model.safetensors"
    save_file(weights, file)
    io.write_json(folder / "manifest.json", {"files": {file.name: io.sha256(file)}})
    losses = {"final_loss": final} | ({} if held_out is None else {"held_out_loss": held_out})
    io.write_json(folder / "record.json", losses)


@pytest.fixture
def compare(program, tmp_path):
    def compared(gpus=(1, 2), seeds=(1,)):
        recipe = json.dumps({"gpus": list(gpus), "seeds": list(seeds)})
        table, written = tmp_path / "ranks.csv", tmp_path / "record.json"
        runs = [tmp_path / str(number) / str(seed) for seed in seeds for number in gpus]
        files = {"records": "record.json", "manifests": "manifest.json", "models": f"model/{ranks.WEIGHTS}"}
        given = [part for option, file in files.items() for part in (f"--{option}", *(run / file for run in runs))]
        program(ranks, "--recipe", recipe, *given, "--ranks", table, "--record", written)
        return pd.read_csv(table).set_index(["gpus", "pretrain_seed"])

    return compared


def test_differences(compare, tmp_path):
    run(tmp_path / "1/1", WEIGHTS)
    other = {"a": WEIGHTS["a"] + np.array([[0.0, 0.25], [0.0, 0.0]], np.float32), "b": np.array([0.5, 4.0], np.float32)}
    run(tmp_path / "4/1", other, held_out=2.5, final=2.75)
    row = compare(gpus=(1, 4)).loc[4, 1]
    assert row["held_out_loss_from_one_rank"] == 0.5
    assert row["final_loss_from_one_rank"] == -0.25
    assert row["weights_from_one_rank_max"] == 0.5
    assert row["weights_from_one_rank_relative"] == pytest.approx((0.25**2 + 0.5**2) ** 0.5 / 5)
    assert not row["weights_identical_to_one_rank"]
    inputs = json.loads((tmp_path / "record.json").read_text())["inputs"]
    assert [name.removeprefix(f"{tmp_path}/") for name in inputs] == [
        "1/1/record.json", "4/1/record.json", "1/1/manifest.json", "4/1/manifest.json",
    ]  # fmt: skip


def test_the_same_weights_are_not_read(compare, tmp_path):
    for gpus in (1, 2):
        run(tmp_path / f"{gpus}/1", WEIGHTS)
        (tmp_path / f"{gpus}/1/model/model.safetensors").unlink()
    row = compare().loc[2, 1]
    assert row["weights_identical_to_one_rank"]
    assert row["weights_from_one_rank_max"] == row["weights_from_one_rank_relative"] == 0


def test_a_row_for_each_seed_and_number_of_ranks(compare, tmp_path):
    for gpus, seed in ((1, 1), (1, 5), (2, 1), (2, 5), (4, 1), (4, 5)):
        run(tmp_path / f"{gpus}/{seed}", WEIGHTS, held_out=gpus + seed)
    table = compare((1, 2, 4), (1, 5))
    assert list(table.index) == [(2, 1), (4, 1), (2, 5), (4, 5)]
    assert table["held_out_loss_from_one_rank"].tolist() == [1, 3, 1, 3]


def test_weights_that_are_no_numbers_are_not_close(compare, tmp_path):
    run(tmp_path / "1/1", WEIGHTS)
    run(tmp_path / "2/1", WEIGHTS | {"a": np.full((2, 2), np.nan, np.float32)})
    assert np.isnan(compare().loc[2, 1]["weights_from_one_rank_max"])


def test_a_loss_that_was_not_measured(compare, tmp_path):
    for gpus in (1, 2):
        run(tmp_path / f"{gpus}/1", WEIGHTS, held_out=None)
    assert np.isnan(compare().loc[2, 1]["held_out_loss_from_one_rank"])
