"""An attack that learns: logistic regression, cross-fitted, so that no user is judged by an attack that saw them.

The labels are the true ones, not those of shadow models (Shokri et al., "Membership Inference Attacks against Machine
Learning Models", S&P 2017): the strongest case. Outputs are compared within a fold only: comparing those of attacks
trained on different folds pushes the AUC of no signal below ½.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vestige import seeds
from vestige.data.sequences import IntArray
from vestige.measuring.statistics import Floats
from vestige_metrics.memory import Sides

FOLDS = 5


def folds(users: IntArray, seed: int) -> IntArray:
    """[pairs]: the fold of each pair; pairs of the same user share one, and folds have equally many users ± 1.

    Users are numbered as they first appear, so what they are called does not matter.
    """
    _, first, user = np.unique(users, return_index=True, return_inverse=True)
    by_appearance = np.argsort(np.argsort(first))[user]
    fold: IntArray = (seeds.generator(seed, "folds").permutation(len(first)) % FOLDS)[by_appearance]
    return fold


def cross_fitted(evidence: Sides, seed: int, strength: float) -> Sides:
    """The attack's output for every unit.

    Args:
        evidence: With values [pairs, features].
        seed: Of the folds.
        strength: scikit-learn's C, the inverse of the L2 penalty.
    """
    fold = folds(evidence.forget, seed)
    forget, unseen = np.zeros(len(fold)), np.zeros(len(fold))
    for held_out in range(FOLDS):
        train, test = fold != held_out, fold == held_out
        attack = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        attack.fit(
            np.concatenate([evidence.forget_values[train], evidence.unseen_values[train]]),
            np.repeat([1, 0], train.sum()),
        )
        forget[test] = attack.decision_function(evidence.forget_values[test])
        unseen[test] = attack.decision_function(evidence.unseen_values[test])
    return Sides(evidence.forget, evidence.unseen, forget, unseen, fold)


def judged(evidence: Sides, seed: int, strength: float) -> Sides:
    """One value a unit: the evidence itself where it is one, else what an attack trained on the features says."""
    values: Floats = evidence.forget_values
    return evidence if values.ndim == 1 else cross_fitted(evidence, seed, strength)
