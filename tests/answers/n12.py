"""Right answers of many forms to lesson 12, and wrong ones with words of what they are told."""

import numpy as np
import torch

from answers.forms import Calling, forms
from gnet_utils.exercises.n12 import calibration_table, mean_and_error


def measured(error, mean=lambda values: 100 * values.mean()):
    """The function that exercise 12.1 asks for, its two lines made otherwise."""
    return lambda values: (mean(values), error(values))


def by_share(values):
    share = values.mean()
    return 100 * (share * (1 - share) / len(values)) ** 0.5


def table(
    inside=lambda c, low, high: (c > low) & (c <= high), mean=torch.mean, share=torch.mean, turn=1
):
    """The function that exercise 12.3 asks for, its three lines made otherwise."""

    def rows_of(confidence, hits, bins=10):
        rows = []
        for k in range(bins):
            chosen = inside(confidence, k / bins, (k + 1) / bins)
            if chosen.any():
                means = mean(confidence[chosen]), share(hits[chosen])
                rows.append((chosen.sum(), *means[::turn]))
        return rows

    return rows_of


def without_brackets(c, low, high):
    return c > low & c <= high


def stub_of_error(values):
    return ..., ...


RIGHT = {
    "12.error": [
        mean_and_error,
        measured(lambda values: 100 * values.std(correction=0) / len(values) ** 0.5),
        measured(lambda values: 100 * (values.var() / len(values)).sqrt()),
        Calling(
            lambda values: [values.mean() * 100, float(values.std() * 100 / values.numel() ** 0.5)]
        ),
    ],
    "12.sides": [*forms(2.49), 2.4914, 2.5, np.float32(2.491), torch.tensor(2.4921)],
    "12.bins": [
        calibration_table,
        table(),
        table(lambda c, low, high: (low < c).logical_and(c <= high)),
        Calling(lambda c, hits, bins=10: tuple(table()(c, hits, bins))),
    ],
}

WRONG = {
    "12.error": [
        (stub_of_error, "the two places"),
        (measured(lambda values: ...), "still to fill in: error"),
        (measured(lambda v: v.std() / len(v) ** 0.5), "give it in points too"),
        (measured(lambda v: 100 * v.std()), "spread of one value"),
        (measured(lambda v: v.std()), "as a share"),
        (measured(lambda v: 100 * v.std() / len(v)), "root of their number"),
        (measured(lambda v: 100 * v.var() / len(v) ** 0.5), "made of the variance"),
        (measured(lambda v: 100 * v.var() / len(v)), "its root is the error"),
        (measured(lambda v: (100 * v.var() / len(v)) ** 0.5), "multiply by it outside"),
        (measured(by_share), "Values may also be -1"),
        (measured(by_share, mean=torch.mean), "the mean is a share"),
        (measured(by_share, mean=torch.sum), "the mean is 80 points"),
        (lambda values: values.mean(), "return mean, error"),
        (0.3, "a function is asked for"),
    ],
    "12.sides": [(2, "too small"), ((2, 5), "without a comma")],
    "12.bins": [
        (lambda c, hits, bins=10: (...).any(), "the three places"),
        (table(mean=lambda part: ...), "the mean confidence"),
        (table(share=lambda part: ...), "the share of right answers"),
        (table(lambda c, low, high: (c >= low) & (c < high)), "exactly 1 is in no bin"),
        (table(lambda c, low, high: c > low), "in several bins"),
        (table(lambda c, low, high: low < c <= high), "join two comparisons with &"),
        (table(without_brackets), "brackets"),
        (table(turn=-1), "changed places"),
        (table(mean=torch.sum), "the confidence is a sum"),
        (table(share=torch.sum), "the share of right answers is a sum"),
        (table(share=lambda part: 1 - part.mean()), "of the last bin should be 0.80"),
        (lambda c, hits, bins=10: table(share=lambda _: hits.mean())(c, hits, bins), "of all"),
        (lambda c, hits, bins=10: table()(c, hits, 10), "another number of bins"),
        (lambda c, hits, bins=10: [], "all bins are empty"),
        (lambda c, hits, bins=10: None, "the list of rows"),
        ([], "a function is asked for"),
    ],
}
