"""How far a run is; saved with every training state."""

from dataclasses import dataclass


@dataclass
class Progress:
    """How far a run is.

    epoch, step: whole epochs and steps that are done; best, best_epoch: the best balanced accuracy and where.
    within: steps done of the epoch that is not whole yet; steps: how many an epoch has.
    loss_sum: sum of these steps' losses.
    elapsed_s: time spent on training and validation, pauses left out; images: pictures shown.
    """

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = 0
    elapsed_s: float = 0.0
    images: int = 0
    within: int = 0
    steps: int = 0
    loss_sum: float = 0.0

    def in_epochs_of(self, steps: int) -> "Progress":
        """Count in epochs of `steps` steps, in case the run goes on with another number of processes."""
        if self.steps and self.steps != steps:
            self.loss_sum *= steps / self.steps
            self.within = self.within * steps // self.steps
        self.steps = steps
        self.step = self.epoch * steps + self.within
        return self

    def count(self, loss: float, images: int) -> None:
        """Count one step."""
        self.step += 1
        self.within += 1
        self.images += images
        self.loss_sum += loss

    def end_epoch(self, balanced_accuracy: float) -> bool:
        """Count a whole epoch; returns whether it was the best so far."""
        self.epoch += 1
        self.within, self.loss_sum = 0, 0.0
        improved = balanced_accuracy > self.best
        if improved:
            self.best, self.best_epoch = balanced_accuracy, self.epoch
        return improved
