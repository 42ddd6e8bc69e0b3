"""The attacks that come with Vestige, as plugins."""

from vestige.hookspecs import hookimpl
from vestige.specs import AttackSpec
from vestige_metrics.attacks.configs import (
    CHANGES,
    STEPS,
    WORST,
    EvasionConfig,
    LatencyConfig,
    NoSettings,
    RelearnConfig,
)


@hookimpl
def vestige_attacks() -> list[AttackSpec]:
    """`bypass`, `evasion`, `relearn`, `quantise`, `probe` and `latency`."""
    return [
        AttackSpec(
            name="bypass",
            version="2",
            summary="Takes the router away: the main memory alone answers.",
            factory="vestige_metrics.attacks.bypass:Bypass",
            config=NoSettings,
            track="weights",
            recovers=("bypass",),
        ),
        AttackSpec(
            name="evasion",
            version="2",
            summary="Asks with changed histories, until what recognises the forgotten misses them.",
            factory="vestige_metrics.attacks.evasion:Evasion",
            config=EvasionConfig,
            track="api",
            recovers=(*CHANGES, WORST),
        ),
        AttackSpec(
            name="relearn",
            version="2",
            summary="Trains for a few steps on a tenth of F, or on as many of T, and asks about the rest of F and T.",
            factory="vestige_metrics.attacks.relearn:Relearn",
            config=RelearnConfig,
            track="weights",
            recovers=(*(f"relearn_{n}" for n in STEPS), *(f"relearn_benign_{n}" for n in STEPS)),
        ),
        AttackSpec(
            name="quantise",
            version="2",
            summary="Rounds every weight matrix to int8 per channel and back.",
            factory="vestige_metrics.attacks.quantise:Quantise",
            config=NoSettings,
            track="weights",
            recovers=("int8",),
        ),
        AttackSpec(
            name="probe",
            version="1",
            summary="Reads the model's states of a history, on which a linear classifier tells F from T.",
            factory="vestige_metrics.attacks.probe:Probe",
            config=NoSettings,
            track="weights",
            tells=("probe",),
        ),
        AttackSpec(
            name="latency",
            version="1",
            summary="Times single queries: what answers the forgotten may take longer.",
            factory="vestige_metrics.attacks.latency:Latency",
            config=LatencyConfig,
            track="api",
            tells=("latency",),
        ),
    ]
