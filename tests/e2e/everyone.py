"""Whether everyone can use a page: what axe finds on it, and whether a phone holds it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.e2e.conftest import wait_for_elements

# What Streamlit's own markup does and a page cannot change.
STREAMLITS_OWN = {
    "presentation-role-conflict": "the uploader's drop zone",
    "svg-img-alt": "the image role on a chart's inner svg, beside the alt text that we give",
}

# Resolves once the page has stayed as it is for a while; after 5 s for one that plays or follows a run.
_STAYED = """() => new Promise(resolve => {
    let quiet
    const done = () => { watch.disconnect(); clearTimeout(quiet); clearTimeout(limit); resolve() }
    const again = () => { clearTimeout(quiet); quiet = setTimeout(done, 300) }
    const watch = new MutationObserver(again)
    const limit = setTimeout(done, 5000)
    watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
    again()
})"""


def violations(page: Page) -> list[str]:
    """Return what axe finds on a page, but for what Streamlit itself does."""
    page.mouse.move(1, 1)  # Streamlit tints what is pointed at.
    return _faults(page, {"resultTypes": ["violations"]})


def faults_on_a_phone(page: Page) -> list[str]:
    """Return what a page does not hold on a phone: what is cut off, or scrolled where no keyboard reaches."""
    page.set_viewport_size({"width": 390, "height": 800})
    rule = "scrollable-region-focusable"
    found = _faults(page, {"runOnly": {"type": "rule", "values": [rule]}})
    wide = page.get_by_test_id("stMain").evaluate(
        "main => main.scrollWidth - Math.min(main.clientWidth, innerWidth)"
    )
    return [*found, *([f"{wide} px wider than the screen"] if wide > 0 else [])]


def _faults(page: Page, options: dict[str, object]) -> list[str]:
    page.evaluate(_STAYED)
    wait_for_elements(page)
    page.evaluate(_STAYED)
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in Axe().run(page, options=options).response["violations"]
        if violation["id"] not in STREAMLITS_OWN
        for node in violation["nodes"]
    ]
