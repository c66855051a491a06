"""The learning rate's course."""

import math

import pytest

from gridlaw import cli
from gridlaw.training.pretraining import Plan
from gridlaw.training.schedule import SHAPES, Schedule, branch_point, make_schedule


@pytest.mark.parametrize("shape", SHAPES)
def test_course(shape):
    rate = Schedule(warmup=10, decay_from=80, steps=100, shape=shape)
    course = [rate(step) for step in range(101)]
    assert course[0] == 0.1, "the first update is not lost"
    assert course[:10] == sorted(course[:10])
    assert set(course[9:81]) == {1.0}
    assert course[80:] == sorted(course[80:], reverse=True)
    assert 0 < course[99] < 0.1
    assert course[100] == pytest.approx(0)


def test_shapes_in_the_middle():
    middle = {shape: Schedule(0, 0, 100, shape)(50) for shape in SHAPES}
    assert middle == pytest.approx({"linear": 0.5, "cosine": 0.5, "1-sqrt": 1 - math.sqrt(0.5)})


def test_what_comes_before_the_decay_does_not_depend_on_the_end():
    short, long = Schedule(10, 80, 100, "1-sqrt"), Schedule(10, 800, 1000, "1-sqrt")
    assert [short(step) for step in range(81)] == [long(step) for step in range(81)]


def test_branch_point():
    assert branch_point(100, 0.2, 10) == 80
    assert branch_point(100, 1.0, 10) == 10, "from the warm-up on"
    assert branch_point(100, 0.0, 10) == 100


def test_named():
    assert make_schedule("constant", 0.1, 100)(99) == 1.0
    assert make_schedule("linear", 0.1, 100)(55) == pytest.approx(0.5)
    assert make_schedule("cosine", 0.0, 100)(50) == pytest.approx(0.5)


class Text:
    rows = type("Rows", (), {"shape": (100, 32)})

    def __len__(self):
        return 100


RECIPE = {
    "batch_size": 10, "gpus": 2, "passes": 1, "warmup_tokens": 640, "decay_ratio": 0.5,
    "decay_shape": "linear", "schedule": "trunk",
}  # fmt: skip


def test_plan():
    assert Plan.make(RECIPE, Text()) == Plan(10, 10, Schedule(2, 5, 10, "linear"))
    assert Plan.make(RECIPE | {"passes": 3, "schedule": "independent"}, Text()).steps == 30


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"batch_size": 101}, "pretrain.batch_size: 101 is more"),
        ({"warmup_tokens": 2000}, "pretrain.warmup_tokens"),
    ],
)
def test_impossible_plans(change, line):
    with pytest.raises(cli.Failure, match=line):
        Plan.make(RECIPE | change, Text())
