"""Words of the trade that no patient meets on the Predict page."""

import re
from typing import Final

FOREIGN_TO_PATIENTS: Final = re.compile(
    r"\b(dice|deletion|insertion|logits?|blobs?|rank correlation|conformal|class-conditional|gradients?"
    r"|channels?|softmax|random weights|forward pass|calibrated|temperature|operating point|prior|sensitivity"
    r"|specificity|auc|cielab|perimeter|positive evidence|median colour|checkpoint|mask|network"
    r"|prediction set|bias|class activation)\b",
    re.IGNORECASE,
)
