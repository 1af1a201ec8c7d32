"""Publishing a checkpoint from a page: choose it, see exactly what would be sent, send it."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core import jobs
from core.data.getting.workplace import in_words
from core.errors import UnknownReference
from core.models.catalog import MANIFEST_FILE, bundled_names
from core.models.reference import check_repository
from core.settings import settings
from pages.ui import jobs as job_panel
from pages.ui import notices

if TYPE_CHECKING:
    from core.models.hub.publishing import Comparison, Published


def draw() -> None:
    """Draw what publishing needs, and why it cannot be done where it cannot."""
    if not settings().allow_training:
        st.info(
            "This server is shared (`LESIONLENS_ALLOW_TRAINING` is off), so who runs it publishes: "
            "`python -m train publish RUN --repo owner/name`.",
            icon=":material/lock:",
        )
        return
    if settings().hub_token is None:
        st.info(
            "Publishing needs an access token with write access. Set `HF_TOKEN` to one, and start the app "
            "again.",
            icon=":material/key_off:",
        )
        return
    source = st.selectbox("Checkpoint to publish", _sources(), key="publish_source")
    name = source.rpartition(":")[2]
    repo = st.text_input(
        "Repository",
        value=f"{settings().hub_owner}/{name}" if settings().hub_owner else "",
        placeholder="owner/name",
        help="It is made if it is not there. Otherwise only what has changed is sent.",
        key=f"publish_repo_{source}",
    ).strip()
    private = st.checkbox(
        "Private, if it is made now", key="publish_private", help="One that is there stays as it is."
    )
    if not repo:
        st.caption("Name the repository to see what would be sent.")
        return
    try:
        check_repository(repo)
    except UnknownReference as problem:
        notices.refuse(problem)
        return
    _draw_steps(source, repo, private=private)


def _sources() -> list[str]:
    """Return the runs that have a checkpoint, the newest first, and the bundled checkpoints."""
    found = settings().runs_dir.glob(f"*/checkpoint/{MANIFEST_FILE}")
    runs = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent.parent.name for path in runs] + [f"bundled:{name}" for name in bundled_names()]


def _draw_steps(source: str, repo: str, *, private: bool) -> None:
    dry_key, key = f"publish dry {source} {repo}", f"publish {source} {repo}"
    job: jobs.Job[Published] | None = jobs.find(key)
    if job is not None and job.state == "done" and job.result is not None:
        _draw_published(job.result, repo)
        st.button("Close", key="publish_close", on_click=_forget, args=(dry_key, key))
        return

    def look(report: jobs.Report) -> "Comparison":
        from core.models.hub.access import Access
        from core.models.hub.publication import material_of, put_together
        from core.models.hub.publishing import compare

        report(0, None, note="putting it together")
        publication = put_together(material_of(source, settings().runs_dir), repo)
        report(0, None, note="asking the Hub what it has")
        return compare(publication, Access.of_settings())

    compared = job_panel.draw(
        dry_key,
        "Looking what would be sent",
        look,
        button="Show what would be sent",
        about="Tries the checkpoint, writes its card from the measured values, and compares with the Hub. "
        "Sends nothing.",
    )
    if compared is None:
        return
    _draw_comparison(compared)
    if not compared.sent and not compared.removed:
        st.success("Nothing has changed since the last time.", icon=":material/task_alt:")
        st.button("Look again", key="publish_again", on_click=jobs.forget, args=(dry_key,))
        return

    def send(report: jobs.Report) -> "Published":
        from core.models.hub.access import Access
        from core.models.hub.publishing import publish

        return publish(
            compared.publication,
            Access.of_settings(),
            private=private,
            report=lambda done, total: report(done, total, unit="bytes"),
        )

    job_panel.draw(
        key,
        f"Publishing {notices.plain(repo)}",
        send,
        button="Publish",
        about="Sends the files above as one commit, and tags it as the next version.",
    )


def _draw_comparison(compared: "Comparison") -> None:
    if compared.notice:
        st.info(f"Compared with nothing. {notices.plain(compared.notice)}", icon=":material/cloud_off:")
    for sentence in compared.publication.absent:
        st.caption(notices.plain(sentence))
    sizes = {item.path: item.size for item in compared.publication.items}
    total = sum(item.size for item in compared.sent)
    st.dataframe(
        pd.DataFrame(
            {
                "file": list(compared.changes),
                "what happens": list(compared.changes.values()),
                "size": pd.array([sizes.get(path) for path in compared.changes], dtype="Int64"),
            }
        ),
        hide_index=True,
        column_config={"size": st.column_config.NumberColumn(format="bytes")},
        alt="Every file, whether it is sent, and its size",
    )
    st.markdown(f"{len(compared.sent)} files, {in_words(total)} would be sent.")


def _draw_published(done: "Published", repo: str) -> None:
    if done.commit is None:
        st.success("Nothing had changed since the last time.", icon=":material/task_alt:")
        return
    st.success(
        notices.plain(
            f"{done.n_sent} files, {in_words(done.n_bytes)}, published as {done.tag}. It is called "
            f"hf:{repo}@{done.tag}, and its page is {done.page}"
        ),
        icon=":material/task_alt:",
    )


def _forget(*keys: str) -> None:
    for key in keys:
        jobs.forget(key)
