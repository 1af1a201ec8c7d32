"""Distillation: besides the truth, the network learns what teachers answer to the very input it is shown.

Teachers see the same augmented picture with the same facts, mixed pictures too, anew at every step (Beyer et
al., Knowledge distillation: a good teacher is patient and consistent, CVPR 2022). Answers stored once for the
plain pictures would teach little: a teacher knows most of its own training pictures by heart.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads
from torch import Tensor

from core.data.preprocessing import Preprocessing
from core.errors import RecipeError
from core.models.catalog import folder_of
from core.models.checkpoint import Checkpoint, load_checkpoint
from core.models.reference import parse_reference


def checkpoint_of(reference: str, split_hash: str) -> Checkpoint:
    """Load a checkpoint by its reference, from the Hub too, for a run on a split.

    Raises:
        CheckpointError: there is none, or it is broken.
        RecipeError: it learned from another split: it may know this run's validation and test pictures.
    """
    checkpoint = load_checkpoint(folder_of(parse_reference(reference)), reference=reference)
    if checkpoint.manifest.split_hash != split_hash:
        raise RecipeError(
            f"{reference} was trained on another split ({checkpoint.manifest.split_hash[:12]}, this run has "
            f"{split_hash[:12]}), so it may have learned from this run's test pictures. Use one that was "
            "trained on the same dataset with the same seed."
        )
    return checkpoint


class Teachers:
    """Checkpoints whose answers are averaged.

    Args:
        checkpoints: at least one.
        preprocessing: the pupil's, whose inputs the teachers are given.
        prior: the mix of diagnoses the pupil is drawn from, shape (7,). A checkpoint answers for its own
            data's mix, so log(prior) - log(its class frequencies) is added to its logits.
        temperature: the teachers' and the pupil's logits are divided by it, so that small probabilities
            count too (Hinton et al., Distilling the knowledge in a neural network, 2015).
    """

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        *,
        preprocessing: Preprocessing,
        prior: np.ndarray,
        temperature: float,
        device: torch.device,
    ) -> None:
        self.temperature = temperature
        self._members = []
        for checkpoint in checkpoints:
            theirs = checkpoint.manifest.preprocessing
            if theirs.gray != preprocessing.gray:
                raise RecipeError(
                    f"distil.teachers: {checkpoint.reference} has gray = {theirs.gray}, and this recipe has "
                    f"gray = {preprocessing.gray}: it would judge pictures it never saw the like of. "
                    "Set gray alike, or choose another teacher."
                )
            scale, offset = _between(preprocessing, theirs)
            shift = np.log(prior) - np.log(np.array(checkpoint.manifest.class_frequencies))
            self._members.append(
                (
                    checkpoint.network.to(device),
                    torch.tensor(scale, device=device).view(1, 3, 1, 1),
                    torch.tensor(offset, device=device).view(1, 3, 1, 1),
                    torch.tensor(shift, dtype=torch.float32, device=device),
                )
            )

    @torch.no_grad()
    def __call__(self, inputs: Tensor, facts: Tensor) -> Tensor:
        """Return softened probabilities (n, 7) for the pupil's input (n, 3, h, w) and facts (n, 3)."""
        answers = [
            F.softmax((network(inputs * scale + offset, facts).float() + shift) / self.temperature, dim=1)
            for network, scale, offset, shift in self._members
        ]
        return torch.stack(answers).mean(dim=0)

    def loss(self, logits: Tensor, inputs: Tensor, facts: Tensor) -> Tensor:
        """Return each picture's Kullback-Leibler divergence from the teachers, times temperature², (n,).

        The square keeps the gradient's size alike at every temperature (Hinton et al. 2015, section 2.1).
        """
        taught = self(inputs, facts)
        learnt = F.log_softmax(logits / self.temperature, dim=1)
        return F.kl_div(learnt, taught, reduction="none").sum(dim=1) * self.temperature**2


def _between(pupil: Preprocessing, teacher: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and offset per channel that turn the pupil's normalised pixels into the teacher's."""
    mean, std = np.array(pupil.mean), np.array(pupil.std)
    scale = std / np.array(teacher.std)
    offset = (mean - np.array(teacher.mean)) / np.array(teacher.std)
    return scale.astype(np.float32), offset.astype(np.float32)
