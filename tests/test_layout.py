"""Traps of the layout that must stay closed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("root", ["harness", "methods", "datasets", "metrics"])
def test_source_roots_are_no_packages(root: str) -> None:
    assert not (ROOT / root / "__init__.py").exists()


def test_a_trainer_works_from_the_repository_root() -> None:
    """transformers believes that Hugging Face `datasets` is installed where a folder of that name stands."""
    code = (
        "import torch\n"
        "from transformers import T5Config, T5ForConditionalGeneration, Trainer, TrainingArguments\n"
        "import tempfile\n"
        "m = T5ForConditionalGeneration(T5Config(vocab_size=12, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2,"
        " decoder_start_token_id=0))\n"
        "rows = [{'input_ids': torch.tensor([3, 4, 1]), 'labels': torch.tensor([5, 1])}] * 4\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    a = TrainingArguments(folder, max_steps=1, report_to=[], use_cpu=True, disable_tqdm=True)\n"
        "    print(Trainer(model=m, args=a, train_dataset=rows).train().global_step)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1" in done.stdout.split()


def test_nothing_is_ever_unpickled() -> None:
    # Spelled in halves, so that this file does not find itself.
    for needle in ("pick" + "le", "trust_remote" + "_code", "torch." + "load("):
        for folder in ("harness", "methods", "datasets", "metrics"):
            for file in (ROOT / folder).rglob("*.py"):
                assert needle not in file.read_text().replace("never a pickle", ""), (needle, file)
