"""Networks answer without torch's compiler, and whoever wants it still gets the whole of it."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from core.libraries import without_first_weights
from core.models.network import build_network
from core.models.registry import MODELS
from core.settings import REPOSITORY


def run(program: str) -> None:
    """Run a program in a process of its own, where nothing was imported before."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_answering_imports_no_compiler():
    run(
        "import sys\n"
        "from core.explain.lesion_mask import bundled_masks\n"
        "import core.data.transforms, core.explain.cam, core.models.foreign\n"
        "from core.models.catalog import BUNDLED_FOLDER\n"
        "from core.models.checkpoint import load_checkpoint\n"
        "from core.models.weights import _plain_names\n"
        "from core.models.registry import MODELS\n"
        "bundled_masks()\n"
        "folder = BUNDLED_FOLDER / 'checkpoints' / 'lesionlens-lite0'\n"
        "load_checkpoint(folder, reference='bundled:lesionlens-lite0')\n"
        "assert _plain_names(MODELS['resnet18'])\n"
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules)"
    )


@pytest.mark.parametrize(
    "asking",
    [
        "import torch\ntorch._dynamo.optimize",
        "import torch._dynamo\nimport torch._dynamo.backends.registry",
        "import torch._dynamo.decorators",
        "from torch._dynamo import config\nfrom torch._dynamo.config import recompile_limit",
        "import torch._dynamo.config",
        "from torch._dynamo.utils import counters",
        "from torch._dynamo.utils import is_compile_supported\nis_compile_supported('cpu')",
    ],
)
def test_who_asks_for_more_gets_the_compiler_itself(asking):
    body = "".join(f"    {line}\n" for line in asking.splitlines())
    run(
        "import sys\n"
        "from core.libraries import without_compiler\n"
        f"with without_compiler():\n{body}"
        "import torch\n"
        "import torch._dynamo\n"
        "assert sys.modules['torch._dynamo'] is torch._dynamo\n"
        "assert torch._dynamo.__file__ and torch._dynamo.utils.__file__\n"
        "assert torch._dynamo.eval_frame.config is sys.modules['torch._dynamo.config']\n"
        "assert torch._dynamo.config.__spec__.origin\n"
        "assert torch.compiler.disable(lambda: 7)() == 7"
    )


def test_where_the_compiler_is_already_nothing_stands_in_for_it():
    run(
        "import torch._dynamo as compiler, sys\n"
        "from core.libraries import without_compiler\n"
        "with without_compiler():\n"
        "    assert sys.modules['torch._dynamo'] is compiler\n"
        "assert sys.modules['torch._dynamo'] is compiler"
    )


def test_first_weights_are_drawn_only_outside():
    with without_first_weights():
        nn.init.constant_(kept := torch.zeros(3), 7.0)
        nn.init.constant_(tensor=kept, val=7.0)
        nn.init.kaiming_normal_(drawn := torch.full((3, 3), 2.0))
        drawn.uniform_()
    assert (kept == 0).all()
    assert (drawn == 2).all()
    assert (nn.init.constant_(kept, 7.0) == 7).all()


@pytest.mark.parametrize("name", MODELS)
def test_all_that_is_not_loaded_is_there_without_first_weights(name):
    def unloaded() -> dict[str, torch.Tensor]:
        network = build_network(name)
        loaded = set(network.state_dict())
        assert {key for key, _ in network.named_parameters()} <= loaded
        return {key: buffer for key, buffer in network.named_buffers() if key not in loaded}

    expected = unloaded()
    with without_first_weights():
        found = unloaded()
    assert found.keys() == expected.keys()
    for key, buffer in found.items():
        assert torch.equal(buffer, expected[key]), key
