"""The baselines, as plugins."""

from vestige.configs import Config
from vestige.hookspecs import hookimpl
from vestige.specs import MethodSpec
from vestige_methods.baselines import configs
from vestige_methods.baselines.spaces import SPACES
from vestige_methods.configs import NoSettings

BASELINES: tuple[tuple[str, str, type[Config], str], ...] = (
    ("gradient_ascent", "GradientAscent", configs.GradientAscentConfig,
     "Climbs the loss of the forgotten until it has risen enough."),
    ("grad_diff", "GradDiff", configs.GradDiffConfig,
     "Climbs the loss of the forgotten, descends on that of the retained."),
    ("npo", "NPO", configs.NPOConfig,
     "Negative preference optimisation: climbs less, the more is forgotten."),
    ("simnpo", "SimNPO", configs.SimNPOConfig,
     "NPO without a reference, length-normalised."),
    ("dpo_alternative", "DPOAlternative", configs.DPOConfig,
     "Prefers another item to the forgotten one."),
    ("undial", "Undial", configs.UndialConfig,
     "Distils the original into itself, with the forgotten item's logit lowered."),
    ("bad_teacher", "BadTeacher", configs.BadTeacherConfig,
     "Learns from the original on R, from an untrained model on F."),
    ("scrub", "Scrub", configs.ScrubConfig,
     "Away from the original on F and back to it on R, by turns."),
    ("random_label", "RandomLabel", configs.RandomLabelConfig,
     "Trains the forgotten transitions on random other items."),
    ("pcgrad", "PCGrad", configs.PCGradConfig,
     "Forgetting and retaining gradients, each without what works against the other."),
    ("ssd", "SSD", configs.SSDConfig,
     "Dampens the weights that matter more to F than to everything."),
    ("noise_repair", "NoiseRepair", configs.NoiseRepairConfig,
     "Damages the weights, repairs them on R."),
    ("task_vector", "TaskVector", configs.TaskVectorConfig,
     "Goes the way that training on F would go, backwards."),
    ("influence", "Influence", configs.InfluenceConfig,
     "One Newton step towards where training without F would have ended."),
    ("e2urec", "E2URec", configs.E2URecConfig,
     "A LoRA adapter, taught on F by the original without what F adds."),
    ("decode_filter", "DecodeFilter", NoSettings,
     "Sanity baseline: filters forgotten items from the answers to F's exact histories."),
)  # fmt: skip
"""Name, class, settings and summary; the module has the method's name."""

VERSIONS = {
    "gradient_ascent": "4",
    "npo": "2",
    "dpo_alternative": "3",
    "scrub": "2",
    "random_label": "2",
    "ssd": "4",
    "influence": "3",
}
"""Of those that give other results than when they came; of all others it is 1."""


@hookimpl
def vestige_methods() -> list[MethodSpec]:
    """The baselines that the literature compares with."""
    return [
        MethodSpec(
            name=name,
            version=VERSIONS.get(name, "1"),
            summary=summary,
            factory=f"vestige_methods.baselines.{name}:{made}",
            config=config,
            search=SPACES.get(name, {}),
        )
        for name, made, config, summary in BASELINES
    ]
