"""Train: watching a model learn, live or again, and starting another."""

from pages.ui import frame
from pages.ui.train import page

reader = frame.page("Train")
page.draw(reader)
