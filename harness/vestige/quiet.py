"""Keeps libraries quiet. Imports nothing heavy."""

import os
import warnings

QUIET = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
"""Environment in which libraries print no bars and no chatter, and look for nothing on the network."""


def quiet_libraries() -> None:
    """No bars and no chatter of libraries between what is printed; to be called before they are imported."""
    os.environ |= QUIET
    quiet_warnings()


def quiet_warnings() -> None:
    """None of what libraries say to their own developers, or about adapters that are merged, which ours never are."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")
    warnings.filterwarnings("ignore", message=r"Model has `tie_word_embeddings=True`", module=r"peft\.")
