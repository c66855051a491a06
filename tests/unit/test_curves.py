"""Learning curves carried on: laws found again, intervals that hold, refusals, and files as people have them."""

import forecast_curves
import numpy as np
import pandas as pd
import pytest

from gridlaw.cli import Failure
from gridlaw.laws import curves

EVEN, EVEN_IN_LOG = np.arange(1, 41) / 40, np.geomspace(1e-3, 1, 16)


def shapes(random, x):
    """A curve of each shape, with random parameters."""
    uniform = random.uniform
    floor = uniform(0.1, 0.6)
    yield floor + (1 - floor) * x ** -uniform(0.2, 1)
    yield floor + (1 - floor) * np.exp(-((x / uniform(0.05, 1)) ** uniform(0.5, 1)))
    yield (1 / x + uniform(1, 20)) ** uniform(0.2, 1)
    break_at, width = uniform(0.02, 0.5), uniform(0.1, 1)
    yield floor + x**-0.1 * (1 + (x / break_at) ** (1 / width)) ** -(width * uniform(0.2, 0.8))


def halved(x, y):
    known = x <= x.max() / 2
    return curves.forecast(x[known], y[known], x[~known]), y[~known]


@pytest.mark.parametrize("x", [EVEN, EVEN_IN_LOG], ids=["even", "even in log"])
@pytest.mark.parametrize(("floor", "exponent"), [(0, 0.1), (0.5, 0.3), (2, 0.5), (0.1, 1.2)])
def test_finds_known_laws(x, floor, exponent):
    found, truth = halved(x, floor + 0.7 * x**-exponent)
    np.testing.assert_allclose(found.y, truth, rtol=1e-3)
    assert not found.speculative.any()
    assert found.notes == ()
    noisy = (floor + 0.7 * x**-exponent) * np.exp(0.005 * np.random.default_rng(0).normal(size=len(x)))
    found, _ = halved(x, noisy)
    np.testing.assert_allclose(found.y, truth, rtol=0.04)


def test_intervals_hold_and_are_not_idle():
    random = np.random.default_rng(5)
    covered, widths, naive = [], [], []
    for x in (EVEN, EVEN_IN_LOG, np.linspace(0.1, 1, 100)):
        for noise in (0.001, 0.01, 0.05):
            for _ in range(3):
                for course in shapes(random, x):
                    found, truth = halved(x, course * np.exp(noise * random.normal(size=len(x))))
                    covered.append(np.mean((found.low <= truth) & (truth <= found.high)))
                    widths.append(np.median(np.log(found.high / found.low)) / 2)
                    naive.append(np.median(np.abs(np.log(truth / found.y))))
    assert np.mean(covered) >= 0.9
    assert np.median(widths) < 8 * np.median(naive)


def test_the_tail_counts_not_the_whole_curve():
    x = np.linspace(0.005, 1, 200)
    y = np.where(x < 0.04, 1, (x / 0.04) ** -0.5) * 0.9
    found, truth = halved(x, y)
    np.testing.assert_allclose(found.y, truth, rtol=0.01)


@pytest.mark.parametrize("units", [(1e9, 1), (1, 1e-7), (3.7e-30, 6.1e25), (1e250, 1e-250)])
def test_units_and_order_do_not_matter(units):
    random = np.random.default_rng(2)
    x = EVEN * 100
    y = (0.3 + x**-0.4) * np.exp(0.02 * random.normal(size=len(x)))
    known, order = x <= 50, random.permutation(20)
    found = curves.forecast(x[known], y[known], x[~known])
    other = curves.forecast(x[known][order] * units[0], y[known][order] * units[1], x[~known] * units[0])
    for name in ("y", "low", "high"):
        np.testing.assert_allclose(getattr(other, name), getattr(found, name) * units[1], rtol=1e-6)
    assert other.tested == pytest.approx(found.tested)


def test_a_spike_hardly_moves_it():
    x = np.arange(1, 81) / 80
    y = (0.3 + 0.4 * x**-0.4) * np.exp(0.003 * np.random.default_rng(1).normal(size=80))
    clean, _ = halved(x, y)
    spiked = y.copy()
    spiked[[18, 34]] *= [1.5, 0.7]
    found, _ = halved(x, spiked)
    assert found.notes == ("2 points far from the neighbours left out",)
    np.testing.assert_allclose(found.y, clean.y, rtol=5e-3)


def test_a_peak_is_where_it_begins():
    x = np.arange(1, 41.0)
    y = np.where(x < 6, 0.5 + 0.1 * x, 1.1 * (x / 6) ** -0.5)
    found, truth = halved(x, y)
    assert found.notes == ("5 points before the peak left out",)
    np.testing.assert_allclose(found.y, truth, rtol=1e-3)


def test_a_rise_at_the_end_is_told():
    x = np.arange(1, 41.0)
    found = curves.forecast(x, 0.5 + 0.02 * (np.log(x / 20)) ** 2 + 0.1 * np.maximum(0, x / 30 - 1), np.array([60.0]))
    assert "since its lowest" in found.notes[0]
    assert found.high > 0.54


def test_several_rows_of_one_x_are_their_mean():
    x, y = EVEN[:20], 0.3 + EVEN[:20] ** -0.4
    once = curves.forecast(x, y, [1])
    twice = curves.forecast(np.repeat(x, 2), np.ravel([y * 1.1, y / 1.1], "F"), [1])
    assert twice.y == pytest.approx(once.y)
    assert twice.notes == ("20 x in several rows, whose mean is taken",)


def test_the_farther_the_wider_until_refused():
    x = np.geomspace(1, 1000, 20)
    y = (0.3 + x**-0.4) * np.exp(0.01 * np.random.default_rng(1).normal(size=20))
    found = curves.forecast(x, y, np.array([500, 1500, 5000, 9999, 10001, 99999, 100001]))
    assert np.isfinite(found.y).tolist() == [False, True, True, True, True, True, False]
    assert found.speculative[1:6].tolist() == [False, False, False, True, True]
    assert (np.diff(np.log(found.high / found.low)[1:6]) > 0).all()


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([], [], "0 points to fit; at least 4 different x"),
        ([1], [1], "1 point to fit"),
        ([1, 2, 3, 3], [4, 3, 2, 1], "3 points to fit"),
        ([1, 2, 3, 4], [0.5] * 4, "y is the same at all 4 points"),
        ([1, 2, 3, 4], [1, 2, 3, 4], "y rises with x; an error or a loss is expected"),
        (np.arange(1, 30), 0.1 + np.arange(1, 30) ** 0.5, "1 - accuracy"),
        ([1e-300, 1, 2, 3], [4, 3, 2, 1], "apart; one unit"),
    ],
)
def test_refusals(x, y, reason):
    with pytest.raises(curves.Refusal, match=reason):
        curves.forecast(np.array(x, float), np.array(y, float) if len(y) else np.array([]), np.array([10.0]))


def test_whatever_comes_there_is_a_number_or_a_reason():
    random = np.random.default_rng(0)
    courses = (
        lambda n: 10 ** random.normal(size=n),
        lambda n: np.exp(-np.arange(n)),
        lambda n: 1 + 1e-8 * random.random(n),
        lambda n: np.where(np.arange(n) > n / 2, 0.1, 1),
    )
    outcomes = set()
    for n in range(1, 24, 2):
        for course in courses:
            x, y = np.sort(random.lognormal(size=n)), course(n)
            try:
                found = curves.forecast(x, y, x.max() * np.array([1.001, 2, 90]))
            except curves.Refusal:
                outcomes.add("refused")
                continue
            outcomes.add("forecast")
            assert (found.low > 0).all() and (found.low <= found.y).all() and (found.y <= found.high).all()
            assert np.isfinite(found.high).all()
    assert outcomes == {"forecast", "refused"}


@pytest.fixture
def run(program, tmp_path, capsys):
    """Runs the program on the text of a file; its output as a table of text."""

    def run(text, *arguments, x="n", y="loss"):
        (tmp_path / "curves.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        out = tmp_path / "out.csv"
        program(forecast_curves, tmp_path / "curves.csv", "--x", x, "--y", y, "--output", out, *arguments)
        return pd.read_csv(out, dtype=str, keep_default_na=False), capsys.readouterr().out

    return run


def text(models=("a", "b"), n=12):
    lines = [f"{m},{k},{(0.4 + k**-0.5) * (1 + 0.01 * (k % 2)):.6g}" for k in range(1, n + 1) for m in models]
    return "model,n,loss\n" + "\n".join(lines) + "\n"


def test_forecasts_the_rest_in_the_order_of_the_file(run):
    table, said = run(text(), "--by", "model")
    assert list(table) == ["model", "x", "forecast", "low", "high", "verdict"]
    assert table[["model", "x"]].agg("".join, axis=1).tolist() == [f"{m}{k}" for k in range(7, 13) for m in "ab"]
    numbers = table[["low", "forecast", "high"]].astype(float)
    assert (numbers.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    truth = 0.4 + table["x"].astype(float) ** -0.5
    assert ((numbers["forecast"] / truth - 1).abs() < 0.05).all()
    assert table["verdict"].iloc[-1].startswith("forecast: 6 points, 2x beyond the last; past forecasts of this curve")
    assert said.startswith("2 curves, 2 with a forecast; 12 rows in")


def test_groups_and_their_order_do_not_matter(run):
    table, _ = run(text("ab"), "--by", "model")
    shuffled = text("ba").splitlines()
    other, _ = run("\n".join([shuffled[0], *shuffled[:0:-1]]), "--by", "model")
    keys = ["model", "x"]
    pd.testing.assert_frame_equal(
        table.sort_values(keys, ignore_index=True), other.sort_values(keys, ignore_index=True)
    )
    alone, _ = run(text("a"))
    assert alone["forecast"].tolist() == table.loc[table["model"] == "a", "forecast"].tolist()


def test_rows_that_are_no_numbers_are_counted(run):
    bad = "a,nan,1\na,text,1\na,-3,1\na,0,1\na,1.5,\na,1.6,text\na,1.7,-1\na,1.8,0\na,1.9,inf\na,11.5,\na,3,0.99\n"
    table, _ = run(text("a") + bad, "--by", "model")
    assert len(table) == 6 + 4 + 1
    assert (table["verdict"] == "refused: x not a positive number").sum() == 4
    told = table[table["forecast"] != ""]
    assert told["x"].tolist() == ["7", "8", "9", "10", "11", "12", "11.5"]
    end = "; 1 x in several rows, whose mean is taken; 4 rows left out: x not a positive number; 5 rows left out: y not a positive number"
    assert told["verdict"].str.endswith(end).all()


def test_a_refused_curve_keeps_its_rows(run):
    lone = "\nc,5,1\nd,1,3\nd,2,2\n,1,3\ne,x,y\n" + "\n".join(f"up,{k},{k}" for k in range(1, 13))
    table, said = run(text("a").rstrip() + lone, "--by", "model")
    refused = table[table["forecast"] == ""]
    verdicts = refused.drop_duplicates("model").set_index("model")["verdict"]
    assert verdicts["c"] == "refused: 0 points to fit; at least 4 different x are needed"
    assert verdicts["d"] == "refused: 1 point to fit; at least 4 different x are needed"
    assert verdicts[""] == "refused: no value in column model, so it is not known which curve this is"
    assert verdicts["e"] == "refused: x not a positive number"
    assert verdicts["up"].startswith("refused: y rises with x")
    assert refused["low"].eq("").all() and refused["high"].eq("").all()
    assert (refused["model"] == "up").sum() == 6
    assert said.splitlines()[1] == "model c, refused: 0 points to fit; at least 4 different x are needed"


def test_at_forecasts_beyond_the_data(run):
    table, _ = run(text(), "--by", "model", "--at", "24,13,6,2000")
    assert table["x"].tolist() == ["24", "13", "6", "2000"] * 2
    assert table["model"].tolist() == ["a"] * 4 + ["b"] * 4
    assert table["verdict"][2] == "refused: not beyond the last point that was fitted"
    assert table["verdict"][3] == "refused: more than 100x beyond the last point that was fitted"
    assert float(table["forecast"][0]) == pytest.approx(0.4 + 24**-0.5, rel=0.03)
    assert float(table["forecast"][0]) < float(table["forecast"][1])


def test_far_forecasts_are_speculative(run):
    table, _ = run(text("a", 40), "--fit-until", "0.05")
    assert len(table) == 38
    assert table["verdict"].str.startswith("refused: 2 points to fit").all()
    table, _ = run(text("a", 40) + "a,600,\n", "--fit-until", "0.06")
    assert table["verdict"].iloc[-1].startswith("speculative forecast: 36 points, 16.7x beyond the last")


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("", [], r"curves\.csv is empty; expected a CSV file with a header"),
        ("model,n,loss\n", [], "has a header and no rows"),
        (b"\xff\xfe\x00\x01,\n", [], "expected a CSV file with a header"),
        ("model,n,loss\n1,2,3\n1,2,3,4\n", [], "Expected 3 fields in line 3, saw 4"),
        ("model,tokens,loss\na,1,1\n", [], "has no column n; it has model, tokens, loss"),
        (text(), ["--y", "model"], "column model has no positive number .the first value is 'a'"),
        (text(), ["--by", "model,size"], "has no column size; it has model, n, loss"),
        (text(), ["--by", "n"], "column n is given twice"),
        (text().replace("model", "low"), ["--by", "low"], "the output itself has a column low"),
        (text(), ["--fit-until", "1"], "--fit-until 1 leaves nothing to fit or nothing to forecast"),
        (text(), ["--fit-until", "nan"], "expected a share between 0 and 1"),
    ],
)
def test_mistakes_take_one_line(run, content, arguments, message):
    with pytest.raises(Failure, match=message) as failure:
        run(content, *arguments)
    assert "\n" not in str(failure.value)


def test_files_that_cannot_be(program, tmp_path):
    file = tmp_path / "curves.csv"
    file.write_text(text())
    with pytest.raises(Failure, match=r"none\.csv"):
        program(forecast_curves, tmp_path / "none.csv", "--x", "n", "--y", "loss", "--output", tmp_path / "o.csv")
    with pytest.raises(Failure, match="--output"):
        program(forecast_curves, file, "--x", "n", "--y", "loss", "--output", tmp_path / "none" / "o.csv")
    with pytest.raises(Failure, match="is the input file"):
        program(forecast_curves, file, "--x", "n", "--y", "loss", "--output", file)
    with pytest.raises(SystemExit):
        program(forecast_curves, file, "--x", "n", "--y", "loss", "--output", tmp_path / "o.csv", "--at", "-1")
