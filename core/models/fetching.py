"""A checkpoint of the Hub, brought here and tried before it is offered: the work behind a page's button."""

from dataclasses import dataclass

from core.errors import BrokenCheckpoint
from core.jobs import Report
from core.models import kept
from core.models.hub.access import Access
from core.models.hub.pulling import pull, pull_evaluation
from core.models.reference import Reference


@dataclass(frozen=True)
class Fetched:
    """What came.

    Attributes:
        reference: with its commit, so that using it asks nobody.
        notice: a sentence for the reader when the Hub was out of reach and an earlier copy serves.
        lacks: what a foreign checkpoint does not bring along, as sentences.
    """

    reference: Reference
    notice: str | None = None
    lacks: tuple[str, ...] = ()


def fetch(reference: Reference, access: Access, report: Report) -> Fetched:
    """Pull a checkpoint, load it and let it answer what it answered when it was saved.

    A checkpoint that does not pass is taken out of the cache again.

    Raises:
        CheckpointError: the Hub did not give it, or it cannot be used.
    """
    from core.models.checkpoint import load_checkpoint

    pulled = pull(
        reference.name,
        reference.revision,
        access,
        progress=lambda done, total: report(done, total, unit="bytes", note=str(reference)),
    )
    pinned = Reference("hf", reference.name, pulled.commit)
    report(0, None, note="trying it out")
    try:
        checkpoint = load_checkpoint(pulled.folder, reference=str(pinned))
    except BrokenCheckpoint:
        _drop(pinned, access)
        raise
    return Fetched(pinned, pulled.notice, checkpoint.lacks)


def fetch_evaluation(reference: Reference, access: Access, report: Report) -> Fetched:
    """Pull a checkpoint's evaluation without its weights, and read it once.

    Raises:
        CheckpointError: the Hub did not give it.
        EvaluationError: what came is no evaluation.
    """
    from core.evaluate.artifact import Evaluation

    pulled = pull_evaluation(
        reference.name,
        reference.revision,
        access,
        progress=lambda done, total: report(done, total, unit="bytes", note=str(reference)),
    )
    Evaluation.load(pulled.folder / kept.EVALUATION_FOLDER)
    return Fetched(Reference("hf", reference.name, pulled.commit), pulled.notice)


def _drop(pinned: Reference, access: Access) -> None:
    cache_dir = access.storage(pinned.name).parent
    for one in kept.all_kept(cache_dir):
        if one.reference == pinned:
            kept.remove(one)
