"""The commands that talk to the Hugging Face Hub: pull a checkpoint to this machine, publish one."""

from typing import TYPE_CHECKING, Annotated

import typer

from train.display import TerminalDisplay

if TYPE_CHECKING:
    from core.models.hub.publishing import Comparison


def pull(
    reference: Annotated[str, typer.Argument(help="hf:OWNER/NAME[@REVISION].")],
    evaluation: Annotated[
        bool, typer.Option("--evaluation", help="Only what it was measured to, without its weights.")
    ] = False,
) -> None:
    """Bring a checkpoint of the Hub to this machine and try it out; the app then uses it without the Hub."""
    from core.errors import UnknownReference
    from core.models.fetching import fetch, fetch_evaluation
    from core.models.hub.access import Access
    from core.models.reference import parse_reference

    wanted = parse_reference(reference)
    if wanted.kind != "hf":
        raise UnknownReference(
            f"{reference} lies on this machine already; expected hf:OWNER/NAME[@REVISION]."
        )
    display = TerminalDisplay()

    def report(done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
        if total and unit == "bytes":
            display.step(int(done), int(total), f"bytes of {note}")

    fetched = (fetch_evaluation if evaluation else fetch)(wanted, Access.of_settings(), report)
    for sentence in (fetched.notice, *fetched.lacks):
        if sentence:
            typer.echo(sentence, err=True)
    typer.echo(f"{fetched.reference}")


def publish(
    source: Annotated[str, typer.Argument(help="A run's name or folder, bundled:NAME or local:FOLDER.")],
    repo: Annotated[str, typer.Option("--repo", help="Where to: OWNER/NAME on the Hub.")],
    private: Annotated[
        bool,
        typer.Option("--private", help="Make a new repository private; an old one stays as it is."),
    ] = False,
    tag: Annotated[
        str | None, typer.Option("--tag", help="The version's name. Default: v1, v2 and so on.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")
    ] = False,
) -> None:
    """Publish a checkpoint on the Hub, as timm loads it: with its card, its evaluation and its run log.

    Only what has changed is sent, as one commit. HF_TOKEN has to be a token with write access.
    """
    from core.models.hub.access import Access
    from core.models.hub.publication import material_of, put_together
    from core.models.hub.publishing import compare
    from core.models.hub.publishing import publish as send
    from core.settings import settings

    access = Access.of_settings()
    publication = put_together(material_of(source, settings().runs_dir), repo)
    for sentence in publication.absent:
        typer.echo(sentence, err=True)
    if dry_run:
        _show(compare(publication, access))
        return
    done = send(publication, access, private=private, tag=tag, report=TerminalDisplay().counting("bytes"))
    if done.commit is None:
        typer.echo(f"Nothing has changed since the last time: {done.page}")
        return
    typer.echo(f"{done.n_sent} files, {done.n_bytes / 1e6:.1f} MB, published as {done.tag}: {done.page}")
    typer.echo(f"Use it with --checkpoint hf:{repo}@{done.tag}")


def _show(comparison: "Comparison") -> None:
    if comparison.notice:
        typer.echo(f"Compared with nothing. {comparison.notice}", err=True)
    sizes = {item.path: f"{item.size:12,}" for item in comparison.publication.items}
    for path, change in comparison.changes.items():
        typer.echo(f"{change:10} {sizes.get(path, ''):>12}  {path}")
    total = sum(item.size for item in comparison.sent)
    typer.echo(
        f"{len(comparison.sent)} files, {total:,} bytes would be sent to {comparison.publication.repo}."
    )
