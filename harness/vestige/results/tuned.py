"""How a study is shown: its trials when it was made, and under the tables of a board that uses it."""

from collections.abc import Mapping
from typing import Any

from vestige.pipeline.board import ChosenMethod
from vestige.pipeline.study import Study, Trial, defaults, describe_portably
from vestige.results.cells import plain
from vestige.results.pooling import Results
from vestige.search import Scalar


def trial_rows(study: Study) -> list[list[str]]:
    """One row a trial: number, score, fidelity, utility, seconds, settings; the chosen one is marked with ★."""
    rows = []
    for trial in study.trials:
        number = f"{trial.number} ★" if trial.number == study.best else str(trial.number)
        values = (trial.score, trial.fidelity, trial.utility)
        scores = [trial.status, "", ""] if trial.score is None else [_score(value) for value in values]
        rows.append([number, *scores, f"{trial.seconds:.1f}", settings_text(trial.settings)])
    return rows


def summary(study: Study) -> list[str]:
    """What came out, and what it cost, in two sentences; and why trials failed."""
    own, best = study.trials[0], study.chosen
    lines = [f"trial {t.number}: {t.status}: {t.message}" for t in study.trials if t.score is None]
    if best is None:
        lines.append(f"{study.name}: every trial failed, so there is nothing to choose.")
    elif best is own:
        lines.append(f"{study.name}: no trial did better than its own settings ({_score(own.score)}).")
    else:
        lines.append(
            f"{study.name}: trial {best.number} scores {_score(best.score)}, its own settings {_default(own)}."
        )
    ratio = f" ({study.seconds / study.retrain_seconds:.2f} of it)" if study.retrain_seconds > 0 else ""
    plural = "s" if len(study.seeds) > 1 else ""
    lines.append(
        f"The trials took {study.seconds:.1f} s, retraining {study.retrain_seconds:.1f} s{ratio}; "
        f"seed{plural} {', '.join(map(str, study.seeds))}."
    )
    return lines


def about_study(method: ChosenMethod) -> dict[str, Any]:
    """What `board.json` keeps of the study of a row; `settings` are those that the row has, whoever said them.

    `set` are the settings that the board itself gives another value than the study, or than its trials stood on;
    `versions` those of the method, when it was tuned and now.
    """
    study = method.study
    assert study is not None and study.chosen is not None
    config = method.config.model_dump(mode="json")
    settings = {name: config[name] for name in study.settings}
    stood = {**defaults(method.spec), **study.method.config, **study.settings}
    own = describe_portably(method.spec, method.config).config
    return {
        "label": method.label,
        "seeds": list(study.seeds),
        "trials": len(study.trials),
        "failed": study.failed,
        "seconds": study.seconds,
        "retrain_seconds": study.retrain_seconds,
        "default": study.trials[0].score,
        "chosen": study.chosen.score,
        "settings": settings,
        "set": [name for name, value in own.items() if value != stood.get(name)],
        "versions": [study.method.version, method.spec.version],
        **({"stood_in": True} if study.list_digest else {}),
    }


TUNED_HEADERS = ("", "trials", "seconds", "× retrain", "own settings", "chosen settings", "seed", "settings")

TUNED_TEXT = (
    "Settings chosen on seeds that are not the board's, by the harmonic mean of fidelity and of utility on validation "
    "items, here for the row's or the method's own settings and for the chosen ones. What the trials took is no part "
    "of the cost above; × retrain is what retraining on the study's own seeds took when it was made."
)


def tuned_rows(results: Results) -> tuple[tuple[str, ...], ...]:
    """A row of text, under `TUNED_HEADERS`, for each row of the board that was tuned."""
    return tuple(
        (
            plain(one["label"]),
            str(one["trials"]) + (f" ({one['failed']} failed)" if one["failed"] else ""),
            f"{one['seconds']:.1f}",
            f"{one['seconds'] / one['retrain_seconds']:.2f}" if one["retrain_seconds"] > 0 else "—",
            "failed" if one["default"] is None else _score(one["default"]),
            _score(one["chosen"]),
            ", ".join(map(str, one["seeds"])),
            settings_text(one["settings"])
            + (f"; set by the board: {', '.join(one['set'])}" if one["set"] else "")
            + _of_another_version(*one.get("versions", ("", "")))
            + ("; tuned on another list" if one.get("stood_in") else ""),
        )
        for one in results.about.get("tuned", [])
    )


def _of_another_version(tuned: str, run: str) -> str:
    return f"; tuned as version {tuned}, run as {run}" if tuned != run else ""


def settings_text(settings: Mapping[str, Scalar]) -> str:
    """`learning_rate 0.00032, steps 110`."""
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: Scalar) -> str:
    if value is None:
        return "unset"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _default(own: Trial) -> str:
    return "failed" if own.score is None else _score(own.score)


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
