"""fit_laws takes any table of runs: what it cannot use it names, and it ends in words or in one line."""

import json

import fit_laws
import numpy as np
import pytest

from gridlaw import cli

HEADER = "params,trained_tokens,loss\n"
CELLS = [(n, d) for n in np.geomspace(4e6, 1e8, 4) for d in np.geomspace(1e7, 3e8, 4)]
GOOD = HEADER + "".join(f"{n},{d},{1.8172 + 477.8 / n**0.3473 + 2143 / d**0.3672}\n" for n, d in CELLS)


@pytest.fixture
def fit(program, tmp_path, capsys):
    """Return what the program writes and prints for a table."""

    def of(text, *arguments):
        (tmp_path / "runs.csv").write_text(text)
        program(fit_laws, "--runs", tmp_path / "runs.csv", "--output", tmp_path / "laws.json", *arguments)
        said = capsys.readouterr()
        return json.loads((tmp_path / "laws.json").read_text(), parse_constant=pytest.fail), said

    return of


def test_a_good_table_has_its_law_and_forecasts(fit):
    # How large a run is the flops say, and so those of a place have to be in their unit.
    flops = ["flops", *(6 * n * d for n, d in CELLS)]
    rows = [f"{line},{of}" for line, of in zip(GOOD.splitlines(), flops, strict=True)]
    found, said = fit("\n".join(rows), "--at", "2e8,1e9", "--at", "1e12,1e5")
    assert found["runs"] == 16
    assert found["left_out"] == []
    law, *others = found["laws"]
    assert law["state"] == "law"
    assert law["parameters"]["E"]["value"] == pytest.approx(1.8172, rel=1e-3)
    assert len(others) == 8
    near, far = found["forecasts"]
    assert near["verdict"] == "forecast"
    assert near["low"] <= near["loss"] <= near["high"]
    assert near["loss"] == pytest.approx(1.8172 + 477.8 / 2e8**0.3473 + 2143 / 1e9**0.3672, rel=1e-3)
    assert far["loss"] is None
    assert far["verdict"].startswith("none")
    assert "200M params, 1B tokens: " in said.out


BAD = {
    "nan,1e7,3": "params is missing",
    ",1e7,3": "params is missing",
    "1e6,-5,3": "trained_tokens is -5",
    "1e6,0,3": "trained_tokens is 0",
    "1e6,many,3": "trained_tokens is many",
    "1e6,1e7,inf": "loss is inf",
    "1e6,1e7,1e400": "loss is 1e400",
    "": "params is missing",
    "1e6,1e7,3.1": "repeats the params, trained_tokens and loss",
}


@pytest.mark.parametrize("row", BAD)
def test_rows_that_are_no_run_are_named(fit, row):
    found, said = fit(f"{HEADER}1e6,1e7,3.1\n{row}\n1e6,1e8,2.9\n")
    (left_out,) = found["left_out"]
    assert left_out["line"] == 3
    assert BAD[row] in left_out["why"]
    assert f"line 3 left out: {left_out['why']}" in said.err
    assert found["runs"] == 2


def test_replicates_of_a_cell_differ_in_loss_or_in_seed(fit):
    assert fit(HEADER + "1,1,2\n1,1,2.1\n")[0]["laws"][0]["runs"] == 2
    header = "params,trained_tokens,loss,seed\n"
    assert fit(header + "1,1,2,1\n1,1,2,2\n")[0]["laws"][0]["runs"] == 2
    found, _ = fit(header + "1,1,2,1\n1,1,2.1,1\n")
    assert found["laws"][0]["runs"] == 1
    assert found["left_out"][0]["why"] == "it repeats the params, trained_tokens and seed of an earlier line"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER, "there are no points"),
        (HEADER + "1e6,1e7,3\n", "1 value of params and 1 value of tokens are too few"),
        (HEADER + "1e6,1e7,3,\n", "1 value of params and 1 value of tokens are too few"),
        (HEADER + "\n".join(f"{n},{d},3" for n, d in CELLS[:12] if d < 2e8), "the loss is the same everywhere"),
        (HEADER + "\n".join(f"{n},{d},{n * d}" for n, d in CELLS[:12] if d < 2e8), "the loss does not fall"),
    ],
    ids=["header", "one row", "comma at the end", "constant", "rising"],
)
def test_too_little_is_refused(fit, text, words):
    found, _ = fit(text, "--at", "1e9,1e10")
    assert found["laws"][0]["state"] == "refused"
    assert words in found["laws"][0]["verdict"]
    assert found["forecasts"][0] == {
        "params": 1e9,
        "corpus_tokens": 1e10,
        "loss": None,
        "verdict": found["laws"][0]["verdict"],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a table"),
        ("params,loss\n1,2\n", "no column trained_tokens"),
        ("params;tokens;loss\n1;2;3\n", "no column params, trained_tokens, loss"),
        (HEADER + "1,2,3\n1,2,3,4\n", "line 3, saw 4"),
    ],
    ids=["empty", "a column short", "semicolons", "a field too many"],
)
def test_what_is_no_table_of_runs_is_one_line(fit, text, words):
    with pytest.raises(cli.Failure) as failure:
        fit(text)
    assert words in str(failure.value)
    assert "expected" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_file_that_is_not_there_is_one_line(program, tmp_path):
    for path, words in ((tmp_path / "none.csv", "No such file"), (tmp_path, "directory")):
        with pytest.raises(cli.Failure, match=words):
            program(fit_laws, "--runs", path)


@pytest.mark.parametrize("place", ["1e9", "1e9,2e9,3", "a,b", "0,1e9", "-1,1e9", "inf,1"])
def test_places_are_two_positive_numbers(fit, place, capsys):
    with pytest.raises(SystemExit):
        fit(GOOD, f"--at={place}")
    assert place in capsys.readouterr().err
