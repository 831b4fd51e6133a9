"""What notebook 02 says about its stored run, and what stands in for the learner's functions."""

import re

import pytest

from gnet_utils.counting import count_macs, count_parameters
from gnet_utils.course.notebooks import code_cells, find_notebooks, read, said
from gnet_utils.exercises import check
from gnet_utils.exercises.n02 import bottleneck, break_even

(PATH,) = find_notebooks(["02"])


def printed(words: str) -> str:
    """What the one cell printed whose output holds these words."""
    (found,) = [text for text in map(said, code_cells(read(PATH))) if words in text]
    return found


@pytest.fixture(scope="module")
def by_rank() -> dict[int, tuple[float, float]]:
    """Rank of the copy: percent that its weights are off by, and percent of accuracy."""
    rows = re.findall(r"^ *(\d+) +(\d+)% +([\d.]+)%$", printed("weights off by"), re.MULTILINE)
    return {int(rank): (float(error), float(accuracy)) for rank, error, accuracy in rows}


def test_down_to_rank_12_the_accuracy_loses_less_than_a_point(by_rank):
    whole = by_rank[64][1]
    assert all(accuracy > whole - 1 for rank, (_, accuracy) in by_rank.items() if rank >= 12)
    assert by_rank[1][1] < whole - 1  # of the four ranks in question only this one costs more


def test_at_rank_12_more_than_half_is_gone_and_rank_4_costs_points(by_rank):
    assert by_rank[12][0] > 50
    assert by_rank[64][1] - by_rank[12][1] < 1 < by_rank[64][1] - by_rank[4][1]


def test_the_waist_of_16_saves_less_time_than_work_in_the_stored_run():
    said = r"([\d.]+) times fewer MACs, ([\d.]+) times faster"
    fewer, faster = re.search(said, printed("times f")).groups()
    assert fewer == "9.7" and 1 < float(faster) < 9.7


def test_the_rank_of_a_product_is_its_waist():
    assert re.findall(r"rank (\d+)$", printed("with a waist of 96"), re.MULTILINE) == ["128", "96"]


def test_while_blank_the_courses_own_functions_take_the_place_of_the_learners(capsys):
    assert check("02.bottleneck", lambda *sizes: ...) is bottleneck
    assert check("02.breakeven", lambda *sizes: ...) is break_even
    assert capsys.readouterr().out.count("In use from here on: the course's own") == 2


def test_the_courses_bottleneck_is_the_branch_of_3a_and_pays_up_to_164():
    assert count_parameters(bottleneck(192, 96, 128, 3)) == 129_248
    assert count_macs(bottleneck(192, 16, 32, 5), (1, 192, 28, 28)) == 12_443_648
    assert break_even(192, 128, 3) == 164
