"""A training imports only the libraries that it needs; the light modules become whole when something else uses them."""

import subprocess
import sys

import pytest

HEAVY = ("pandas", "scipy", "sklearn", "sympy", "tensorboard", "torchvision", "torch.distributed.fsdp", "umap")
TRAINING = f"""
import sys
import vae_cli.commands.train, vae_cli.training.loading
import pytorch_lightning, torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(2)).sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
heavy = {HEAVY!r}
print("imported:", *(name for name in heavy if name in sys.modules))
"""
LATER = {
    "a class of torchmetrics": """
from torchmetrics import Accuracy
import torchmetrics
assert issubclass(Accuracy, object) and issubclass(torchmetrics.MeanMetric, torchmetrics.Metric)
assert float(torchmetrics.MeanMetric()(torch.tensor([1.0, 3.0]))) == 2 and torchmetrics.__version__
""",
    "a module of torchmetrics": """
from torchmetrics.classification import BinaryAccuracy
assert float(BinaryAccuracy()(torch.tensor([1, 0]), torch.tensor([1, 1]))) == 0.5
""",
    "the compiler": """
from pytorch_lightning.utilities.compile import OptimizedModule
import torch._dynamo.utils
from torch._dynamo import utils
assert utils is torch._dynamo.utils is sys.modules["torch._dynamo.utils"]
assert not isinstance(model, OptimizedModule) and isinstance(torch.compile(model), OptimizedModule)
compiled = torch.compile(lambda x: x.sin() + 1, backend="eager", fullgraph=True)
assert torch.equal(compiled(torch.ones(3)), torch.ones(3).sin() + 1)
optimizer.step()
""",
}


def test_a_training_imports_no_library_that_it_does_not_need() -> None:
    _check(TRAINING)


@pytest.mark.slow
@pytest.mark.parametrize("later", LATER.values(), ids=LATER.keys())
def test_a_light_package_becomes_whole_on_use(later: str) -> None:
    _check(TRAINING + later)


def _check(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "imported:"), done.stderr
