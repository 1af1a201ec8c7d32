"""What a "what if" costs, against one bare forward pass."""

import numpy as np
import torch

from core.data.changes import Applied
from core.data.facts import Facts
from core.data.synthetic import draw_lesion
from core.models.checkpoint import Checkpoint
from core.predict.predictor import answer, look
from core.predict.whatif import BRIGHTER, curve, look_at_variants, nearest_fact_flip, vary
from tests.bench.measuring import in_turns, print_times

FORWARD = "bare forward pass"


def compare(checkpoint: Checkpoint, *, rounds: int) -> None:
    """Print what each view of "What if?" costs."""
    pixels, facts = draw_lesion(0, kind="mel"), Facts(60, "male", "back")
    looked = look(checkpoint, pixels)
    before = answer(checkpoint, looked, facts)
    normalised = checkpoint.manifest.preprocessing.normalise(looked.seen)[None]
    batch = torch.from_numpy(normalised).to(memory_format=torch.channels_last)

    def forward() -> object:
        with torch.no_grad():
            return checkpoint.network.backbone(batch)

    def changed() -> object:
        return answer(checkpoint, look(checkpoint, Applied("brightness", 0.75)(pixels)), facts)

    times = in_turns(
        {
            FORWARD: forward,
            "another fact": lambda: answer(checkpoint, looked, facts),
            "a curve over age": lambda: curve(checkpoint, looked, facts, "age"),
            "nearest flip of facts": lambda: nearest_fact_flip(checkpoint, looked, before),
            "one changed picture, from pixels": changed,
            "twelve variants, one batch": lambda: vary(
                checkpoint, look_at_variants(checkpoint, pixels), before
            ),
            "fourteen brightnesses, one batch": lambda: look_at_variants(checkpoint, pixels, BRIGHTER),
        },
        rounds=rounds,
    )
    height, width = np.shape(looked.seen)[:2]
    print(f"{checkpoint.manifest.model}, input {width} × {height} px, {rounds} rounds in turns")
    print_times(times, unit=FORWARD)
