"""The datasets that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import DatasetSpec
from vestige_datasets.configs import (
    AmazonBeautyConfig,
    InteractionsConfig,
    MovieLens1MConfig,
    MovieLens100KConfig,
    SyntheticConfig,
)


@hookimpl
def vestige_datasets() -> list[DatasetSpec]:
    """`amazon-beauty`, `interactions`, `ml-100k`, `ml-1m` and `synthetic`."""
    return [
        DatasetSpec(
            name="amazon-beauty",
            version="1",
            summary="Amazon Beauty of S3-Rec: 198,502 interactions of 22,363 users with 12,101 items, from a file.",
            factory="vestige_datasets.amazon:AmazonBeauty",
            config=AmazonBeautyConfig,
            licence="none stated, no redistribution (Amazon reviews up to 2014, McAuley; sequences of S3-Rec)",
            homepage="https://github.com/aHuiWang/CIKM2020-S3Rec",
        ),
        DatasetSpec(
            name="interactions",
            version="1",
            summary="A file of yours: .inter, ratings.dat, S3-Rec sequences or an OpenP5 folder.",
            factory="vestige_datasets.files:InteractionsFile",
            config=InteractionsConfig,
            licence="yours",
        ),
        DatasetSpec(
            name="ml-100k",
            version="1",
            summary="MovieLens-100K: 100,000 ratings of 943 users and 1,682 films.",
            factory="vestige_datasets.movielens:MovieLens100K",
            config=MovieLens100KConfig,
            licence="research use, no redistribution (GroupLens)",
            homepage="https://grouplens.org/datasets/movielens/100k/",
        ),
        DatasetSpec(
            name="ml-1m",
            version="1",
            summary="MovieLens-1M: 1,000,209 ratings of 6,040 users and 3,706 films, from a folder or GroupLens.",
            factory="vestige_datasets.movielens:MovieLens1M",
            config=MovieLens1MConfig,
            licence="research use, no redistribution (GroupLens)",
            homepage="https://grouplens.org/datasets/movielens/1m/",
        ),
        DatasetSpec(
            name="synthetic",
            version="1",
            summary="Generated users with tastes, drift and chance; any size, by seed.",
            factory="vestige_datasets.synthetic:Synthetic",
            config=SyntheticConfig,
            licence="none needed, generated",
        ),
    ]
