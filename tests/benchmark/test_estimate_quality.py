"""Which guess of runtimes is best: by rows, by a power of them, or a random forest? Made-up runtimes; opt-in.

Each learner takes seconds that are a power of rows and columns, with an exponent of its own and noise per cell; some of
the (learner, task) pairs have been measured, the others are guessed. The error is the factor by which the guess of a
pair is wrong (median over pairs), and that of the total of all guessed pairs.
"""

from __future__ import annotations

import numpy as np
import pytest

from batchml.registry.runtimes import at_rows, growth

LEARNERS, TASKS, ROUNDS = 10, 20, 20


def world(rng):
    rows, columns = 10 ** rng.uniform(2.0, 5.0, TASKS), 10 ** rng.uniform(0.7, 2.5, TASKS)
    scale, power = 10 ** rng.uniform(-6, -3, (LEARNERS, 1)), rng.uniform(0.8, 2.0, (LEARNERS, 1))
    noise = np.exp(rng.normal(0, 0.4, (LEARNERS, TASKS)))
    return rows, columns, scale * rows**power * columns ** rng.uniform(0.2, 1.2, (LEARNERS, 1)) * noise


def medians(rows, _columns, seconds, known):
    guess = np.empty_like(seconds)
    for number in range(LEARNERS):
        seen = known[number]
        pace = np.median(seconds[number][seen] / rows[seen]) if seen.any() else np.median(seconds[known] / 1.0)
        guess[number] = pace * rows if seen.any() else pace
    return guess


def powers(rows, _columns, seconds, known):
    """As `batchml.registry.runtimes` does: a power of the rows, of each learner."""
    guess = np.empty_like(seconds)
    for number in range(LEARNERS):
        points = [(float(rows[task]), float(seconds[number, task])) for task in np.flatnonzero(known[number])]
        pace = growth(points) if points else (float(np.median(seconds[known])), 0.0)
        guess[number] = [at_rows(pace, float(n)) for n in rows]
    return guess


def forest(rows, columns, seconds, known):
    from sklearn.ensemble import RandomForestRegressor

    learner, task = np.indices(seconds.shape)
    hot = np.eye(LEARNERS)[learner.ravel()]
    features = np.column_stack([hot, np.log(rows)[task.ravel()], np.log(columns)[task.ravel()]])
    target, seen = np.log(seconds).ravel(), known.ravel()
    model = RandomForestRegressor(200, random_state=1).fit(features[seen], target[seen])
    return np.exp(model.predict(features)).reshape(seconds.shape)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_medians_against_a_forest(share):
    errors = {medians: [], powers: [], forest: []}
    totals = {way: [] for way in errors}
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        rows, columns, seconds = world(rng)
        known = rng.random(seconds.shape) < share
        for way, found in errors.items():
            guess = way(rows, columns, seconds, known)
            found.append(np.median(np.abs(np.log(guess / seconds)[~known])))
            totals[way].append(abs(np.log(guess[~known].sum() / seconds[~known].sum())))
    for way, found in errors.items():
        pair, total = np.exp(np.median(found)), np.exp(np.median(totals[way]))
        print(f"{share:4.0%} measured  {way.__name__:8s} a pair is wrong by x{pair:.2f}, the total by x{total:.2f}")
