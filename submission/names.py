"""The names under which a bundle's parts go to Kaggle, and which of them it refuses or changes without a word."""

import re

from submission.config import SubmissionConfig

PLACEHOLDER_OWNER = "your-kaggle-name"
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def name_problems(config: SubmissionConfig) -> list[str]:
    """Names that Kaggle refuses, or changes without a word."""
    kaggle = config.kaggle
    problems = []
    for what, slug in (("owner", kaggle.owner), ("slug", kaggle.slug), ("model_slug", kaggle.model_slug)):
        if not _SLUG.fullmatch(slug):
            problems.append(f"{what} '{slug}': Kaggle takes small letters, digits and single dashes")
        elif what != "owner" and not 6 <= len(slug) <= 43:  # 50 with "-wheels"
            problems.append(f"{what} '{slug}' has {len(slug)} characters, and must have 6 to 43")
    if not 6 <= len(kaggle.title) <= 43:
        problems.append(f"title '{kaggle.title}' has {len(kaggle.title)} characters, and must have 6 to 43")
    if not kaggle.title.isascii():
        problems.append(f"title '{kaggle.title}': write it in ASCII, or Kaggle's slug of it is not the one made here")
    problems += title_problems(kaggle.title, kaggle.slug)
    source = kaggle.model_source
    if source is not None and (source.count("/") != 4 or not source.rpartition("/")[2].isdigit()):
        problems.append(f"model source '{source}': write owner/model/framework/variation/version, a number last")
    return problems


def title_problems(title: str, slug: str) -> list[str]:
    if slugify(title) == slug:
        return []
    return [f"Kaggle makes '{slugify(title)}' of the title, not the slug '{slug}': match them"]


def slugify(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def wheels_dataset(config: SubmissionConfig) -> str:
    return f"{config.kaggle.slug}-wheels"


def model_source(config: SubmissionConfig) -> str:
    """As the notebook's metadata names it."""
    kaggle = config.kaggle
    own = f"{kaggle.owner}/{kaggle.model_slug}"
    if kaggle.model_source is not None:
        return kaggle.model_source
    return own if kaggle.model_kind == "dataset" else f"{own}/{kaggle.framework}/default/1"
