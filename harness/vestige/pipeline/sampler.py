"""Chooses the next settings to try: Optuna's TPE sampler, seeded and in memory.

Tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization",
NeurIPS 2011). The first `STARTUP` settings are drawn at random; what follows is drawn where good trials are denser than
others.
"""

import importlib.util
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from vestige.errors import MissingExtra
from vestige.search import Choice, Float, Integer, Scalar, Search, Space

if TYPE_CHECKING:
    import optuna

STARTUP = 3
"""So many settings do not depend on how others did, and so can be tried at once."""


def require() -> None:
    """Raises a `MissingExtra` that says how to install Optuna, where it is not."""
    if importlib.util.find_spec("optuna") is None:
        raise MissingExtra(
            "tuning needs the extra 'tune' (no optuna here); run, where Vestige lies: pip install -e '.[tune]'."
        )


class Sampler:
    """One search: ask for settings, and tell how they did, in an order that does not change.

    Args:
        search: Between which values.
        seed: The same seed and the same answers give the same questions.

    Raises:
        MissingExtra: Optuna is not installed.
    """

    def __init__(self, search: Search, seed: int) -> None:
        require()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._search = search
        self._distributions = {name: _distribution(space) for name, space in search.items()}
        tpe = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=False)
        self._study = optuna.create_study(direction="maximize", sampler=tpe)

    @property
    def name(self) -> str:
        """What it is, for the record."""
        return f"Optuna {version('optuna')}, TPE, {STARTUP} settings at random"

    def ask(self) -> tuple[int, dict[str, Scalar]]:
        """The next settings, and the number under which their score is told."""
        trial = self._study.ask(self._distributions)
        return trial.number, dict(trial.params)

    def tell(self, number: int, score: float | None) -> None:
        """How the settings of that number did; None where they failed."""
        from optuna.trial import TrialState

        if score is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, score)

    def add(self, settings: Mapping[str, Scalar], score: float | None) -> None:
        """Settings that were not asked for; what lies outside the space, or failed, teaches nothing."""
        from optuna.trial import create_trial

        if score is None or not all(settings[name] in space for name, space in self._search.items()):
            return
        self._study.add_trial(create_trial(params=dict(settings), distributions=self._distributions, value=score))


def _distribution(space: Space) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    match space:
        case Float(low, high, log):
            return distributions.FloatDistribution(low, high, log=log)
        case Integer(low, high, log):
            return distributions.IntDistribution(low, high, log=log)
        case Choice(values):
            return distributions.CategoricalDistribution(values)
