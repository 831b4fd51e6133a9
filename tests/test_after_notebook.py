"""What notebook 10 takes from the package: a fair search and its records, and what it says."""

import ast
import inspect
import random

import numpy as np
import pytest
import torch
from torch import nn

from gnet_utils import experiments
from gnet_utils.counting import count_macs, count_parameters
from gnet_utils.course.notebooks import NOTEBOOKS, read
from gnet_utils.exercises import mistake_in
from gnet_utils.experiments import search
from gnet_utils.models import GOOGLENET_BLOCKS, separable_conv

BUDGETS = (200_000, 400_000, 1_600_000)
NOTEBOOK = NOTEBOOKS / "10_after_inception.ipynb"


def some_data(count: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 10


# The search ---------------------------------------------------------------------------------------


def test_the_formula_counts_what_the_network_does():
    chance = random.Random(0)
    for budget in BUDGETS:
        widths = search.random_widths(chance, budget)
        counted = count_macs(search.TinyInception(widths), (1, 1, 28, 28))
        assert search.macs_of(widths) == counted


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_candidate_uses_its_budget_and_never_more(budget):
    chance = random.Random(1)
    widths = search.hand_made(budget)
    for _ in range(30):
        assert 0.94 * budget < search.macs_of(widths) <= budget
        assert min(widths) >= search.NARROWEST
        widths = search.mutate(widths, chance, budget)
        drawn = search.random_widths(chance, budget)
        assert 0.94 * budget < search.macs_of(drawn) <= budget


def test_a_budget_too_small_for_any_network_is_refused():
    with pytest.raises(ValueError, match="too small"):
        search.fit_to_budget([1.0] * 12, 20_000)


def test_a_child_keeps_most_of_its_parent():
    parent = search.hand_made(1_600_000)
    child = search.mutate(parent, random.Random(0), 1_600_000)
    assert child != parent
    ratios = sorted(c / p for c, p in zip(child, parent, strict=True))
    assert ratios[9] / ratios[2] < 1.5  # eight in the middle stay in proportion


def test_evolution_climbs_a_clear_slope_further_than_chance():
    def broad_1x1(widths):
        return widths[0] / sum(widths)

    best = {}
    for look in (search.evolve, search.random_search):
        found = [
            max(score for _, score in look(broad_1x1, 400_000, 40, random.Random(seed)))
            for seed in range(5)
        ]
        best[look.__name__] = sum(found) / 5
    assert best["evolve"] > best["random_search"] + 0.02


def test_both_searches_begin_with_the_same_candidates_and_try_equally_many():
    tried = [
        look(lambda widths: 0.0, 400_000, 12, random.Random(3))
        for look in (search.evolve, search.random_search)
    ]
    assert [len(found) for found in tried] == [12, 12]
    assert tried[0][:8] == tried[1][:8] and tried[0][8:] != tried[1][8:]


def test_the_same_seed_gives_the_same_score():
    widths = search.hand_made(200_000)
    scores = [
        search.trained_accuracy(widths, some_data(), some_data(64), 2, seed) for seed in (0, 0)
    ]
    assert scores[0] == scores[1]


# What is recorded ---------------------------------------------------------------------------------


def test_the_recorded_searches_kept_the_rules():
    runs = experiments.recorded("search")
    for kind in ("evolve", "random"):
        for run in runs[f"{kind}_400k"]:
            assert len(run["candidates"]) == search.CANDIDATES
            for candidate in run["candidates"]:
                assert search.macs_of(candidate["widths"]) == candidate["macs"] <= run["budget"]
            assert run["hand"]["widths"] == list(search.hand_made(run["budget"]))


def test_the_finals_train_the_winners_of_their_own_search():
    runs = experiments.recorded("search")
    for final in runs["final_400k"]:
        for kind in ("evolve", "random"):
            tried = next(r for r in runs[f"{kind}_400k"] if r["seed"] == final["seed"])
            best = max(c["accuracy"] for c in tried["candidates"])
            winners = [c["widths"] for c in tried["candidates"] if c["accuracy"] == best]
            assert final["widths"][kind] in winners
        assert not set(final["seeds"]) & {0, 1, 2}  # not the beginnings of the search


def test_the_methods_share_eight_candidates_and_one_winner_was_bred():
    runs = experiments.recorded("search")
    pairs = zip(runs["evolve_400k"], runs["random_400k"], strict=True)
    assert all(e["candidates"][:8] == r["candidates"][:8] for e, r in pairs)
    bred, same = 0, 0
    for final in runs["final_400k"]:
        tried = next(r for r in runs["evolve_400k"] if r["seed"] == final["seed"])["candidates"]
        widths = [candidate["widths"] for candidate in tried]
        bred += widths.index(final["widths"]["evolve"]) >= 8
        same += final["widths"]["evolve"] == final["widths"]["random"]
    assert (bred, same) == (1, 1)


def test_the_lead_of_the_winners_in_standard_errors():
    finals = experiments.recorded("search")["final_400k"]
    kinds = ("evolve", "random", "hand")
    shares = {k: np.array([a for run in finals for a in run["accuracy"][k]]) for k in kinds}
    apart, paired = [], []
    for kind in ("evolve", "random"):
        lead = shares[kind] - shares["hand"]
        spread = (shares[kind].var(ddof=1) + shares["hand"].var(ddof=1)) / len(lead)
        apart.append(round(lead.mean() / spread**0.5, 1))
        paired.append(round(lead.mean() / (lead.std(ddof=1) / len(lead) ** 0.5), 1))
    assert (apart, paired) == ([1.5, 2.2], [1.2, 1.7])
    assert mistake_in("10.lead", apart[0]) is None


def test_a_search_is_recorded_with_every_candidate(monkeypatch):
    monkeypatch.setattr(search, "judged", lambda widths, *_: widths[0] / 100)
    found = search.run_search("random", seed=0)
    assert len(found["candidates"]) == search.CANDIDATES
    assert all(c["accuracy"] == c["widths"][0] / 100 for c in found["candidates"])


# What the notebook says ---------------------------------------------------------------------------


def weights(kernel: tuple[int, int], channels: int = 64) -> int:
    return nn.Conv2d(channels, channels, kernel, bias=False).weight.numel()


@pytest.mark.parametrize(
    ("large", "small", "saving"),
    [
        ((5, 5), [(3, 3), (3, 3)], 0.28),
        ((3, 3), [(3, 1), (1, 3)], 1 / 3),
        ((7, 7), [(1, 7), (7, 1)], 1 - 2 / 7),
    ],
)
def test_savings_of_split_windows_at_equal_widths(large, small, saving):
    assert 1 - sum(map(weights, small)) / weights(large) == pytest.approx(saving)


@pytest.mark.parametrize(("place", "pair", "split"), [("3a", 1.08, 0.6), ("4e", 1.8, 1.0)])
def test_split_windows_cost_what_the_notebook_says(place, pair, split):
    reduce, out = GOOGLENET_BLOCKS[place].reduce_5x5, GOOGLENET_BLOCKS[place].out_5x5
    five = 25 * reduce * out
    assert (9 * reduce * out + 9 * out * out) / five == pytest.approx(pair)
    assert (5 * reduce * out + 5 * out * out) / five == pytest.approx(split)


def test_xceptions_layer_is_nearly_nine_times_cheaper():
    assert count_parameters(separable_conv(256, 256, 3)) == 67_840
    assert 9 * 256 * 256 == 589_824


def test_the_search_shown_is_the_search_recorded():
    shown = "\n".join(c["source"] for c in read(NOTEBOOK)["cells"] if c["cell_type"] == "code")
    bodies = {
        node.name: ast.unparse(node.body[-3:])
        for node in ast.walk(ast.parse(shown))
        if isinstance(node, ast.FunctionDef)
    }
    names = {"score_of": "score", "search.fit_to_budget": "fit_to_budget"}
    names["search.random_search"] = "random_search"
    for function in (search.mutate, search.evolve):
        body = bodies[function.__name__]
        for there, here in names.items():
            body = body.replace(there, here)
        package = ast.parse(inspect.getsource(function)).body[0].body[-3:]
        assert body == ast.unparse(package)


TEXT = "\n".join(cell["source"] for cell in read(NOTEBOOK)["cells"])


def test_a_narrower_inner_layer_lets_two_3x3_save_28_percent_in_4e_too():
    reduce, out = GOOGLENET_BLOCKS["4e"].reduce_5x5, GOOGLENET_BLOCKS["4e"].out_5x5
    inner = round(2 * reduce * out / (reduce + out))
    assert inner == 51 and "51 channels in 4e" in TEXT
    assert 9 * inner * (reduce + out) / (25 * reduce * out) == pytest.approx(0.72, abs=0.005)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("2.76 ± 0.09 against 3.29 ± 0.15%", "both with about 3.3 million"),
        ("evolution was hardly tested", "evolution is better than chance"),
        ("\\sqrt{\\text{lost} + \\text{won}}", "by less than the standard error of 1,000 pictures"),
        (
            "the same pooling takes many times less",
            "each number fetched is used only 9 or 25 times",
        ),
        ("in our runs", "exactly three times"),
    ],
)
def test_claims_are_as_strong_as_their_evidence(right, wrong):
    assert right in TEXT and wrong not in TEXT
