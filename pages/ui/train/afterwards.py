"""What comes after a training: its measured worth, and where to go with the checkpoint."""

import math
from collections.abc import Collection

import streamlit as st

from core.evaluate.sheet import interval_words
from core.models.catalog import MANIFEST_FILE, OF_RUN
from core.runs.following import Telling
from core.runs.library import BUNDLED_RUNS, Summary, reference_of
from pages.ui import cache, frame, notices


def draw(run: Summary, telling: Telling, state: str) -> None:
    """Draw the way on from a run that has ended; nothing while it goes on."""
    if state not in ("finished", "stopped"):
        return
    st.subheader("And then", anchor=False)
    best = telling.best_epoch()
    if best is not None:
        st.markdown(
            f"The weights of epoch {best.number} are the checkpoint: balanced accuracy "
            f"{best.get('balanced_accuracy'):.3f} on validation pictures, by which it was chosen. What it is "
            "worth on lesions it never saw is measured apart."
        )
    reference = checkpoint_of(run)
    if reference is None:
        st.caption("No checkpoint of this run lies here.")
        return
    # What was measured before runs had references of their own is told by its folder.
    _draw_measured((reference, f"local:{run.folder / OF_RUN}"))
    with st.container(horizontal=True):
        for title in ("Predict", "Compare"):
            page = frame.PAGES[title]
            query = st.query_params.to_dict() | {"checkpoint": reference}
            st.page_link(page.script, label=f"Open in {title}", icon=page.icon, query_params=query)
    if not run.is_bundled:
        with st.expander("Publish it", icon=":material/publish:"):
            st.code(
                f"python -m train publish {run.name} --repo OWNER/NAME --dry-run",
                language=None,
                wrap_lines=True,
            )


def checkpoint_of(run: Summary) -> str | None:
    """Return the reference of the checkpoint that a run has left; None where there is none."""
    if run.is_bundled:
        name = run.name
        return f"bundled:{name}" if (BUNDLED_RUNS.parent / "checkpoints" / name).is_dir() else None
    return str(reference_of(run.folder)) if (run.folder / OF_RUN / MANIFEST_FILE).is_file() else None


def _draw_measured(references: Collection[str]) -> None:
    for _, evaluation in cache.measured(references):
        one = evaluation.metrics.get("balanced_accuracy")
        if one is not None and math.isfinite(one.value):
            st.markdown(
                notices.plain(
                    f"Measured on {evaluation.n_images:,} pictures of its {evaluation.split} part, "
                    f"calibrated: balanced accuracy {interval_words(one)}. The number above is of another "
                    "kind: it chose the epoch, and was taken before the answers were brought to how often "
                    "each diagnosis is met."
                )
            )
