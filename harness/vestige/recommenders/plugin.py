"""The recommenders that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.recommenders.popularity_config import PopularityConfig
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig
from vestige.specs import RecommenderSpec


@hookimpl
def vestige_recommenders() -> list[RecommenderSpec]:
    """`t5`, `sasrec` and `popularity`."""
    return [
        RecommenderSpec(
            name="t5",
            version="1",
            summary="T5, from scratch or pretrained; items of one token or several, all of them scored exactly.",
            factory="vestige.recommenders.t5:T5Recommender",
            config=T5RecommenderConfig,
            presets=PRESETS,
        ),
        RecommenderSpec(
            name="sasrec",
            version="1",
            summary="A causal transformer over item embeddings, with the cross-entropy of the whole catalogue.",
            factory="vestige.recommenders.sasrec:SASRec",
            config=SASRecConfig,
        ),
        RecommenderSpec(
            name="popularity",
            version="1",
            summary="The list of the most frequent items, the same for everybody.",
            factory="vestige.recommenders.popularity:Popularity",
            config=PopularityConfig,
        ),
    ]
