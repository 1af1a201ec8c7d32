"""A body seen from the front and from the back, as one outline a site of `core.data.facts.SITES`.

Outlines are SVG paths around a figure's own middle line: x 0 is the middle, y 0 the top. Those in SIDES are
drawn twice, the second time mirrored.
"""

import re
from typing import Final

BOX: Final = "22 0 396 452"
FRONT_X: Final = 118
BACK_X: Final = 322
CAPTIONS: Final = (("front", FRONT_X), ("back", BACK_X), ("palms and soles", 220))
CAPTION_Y: Final = 449

_SCALP_FRONT: Final = "M-23,40 C-26,14 -13,7 0,7 C13,7 26,14 23,40 C20,28 12,23 0,23 C-12,23 -20,28 -23,40 Z"
_FACE: Final = "M-22,40 C-19,29 -12,25 0,25 C12,25 19,29 22,40 C22,57 12,74 0,74 C-12,74 -22,57 -22,40 Z"
_SCALP_BACK: Final = "M-23,42 C-26,14 -13,7 0,7 C13,7 26,14 23,42 C22,58 14,69 0,69 C-14,69 -22,58 -23,42 Z"
_EAR: Final = "M24,39 C29,35 32,42 29,49 C28,55 24,57 22,53 C23,49 24,45 24,39 Z"
_NECK: Final = "M-12,70 C-8,76 8,76 12,70 L13,85 C15,90 21,92 28,94 L-28,94 C-21,92 -15,90 -13,85 Z"
_TRUNK: Final = (
    "M-29,96 L29,96 C42,98 49,102 49,113 C48,131 43,150 41,170 C40,188 44,206 47,225 L-47,225 "
    "C-44,206 -40,188 -41,170 C-43,150 -48,131 -49,113 C-49,102 -42,98 -29,96 Z"
)
_CHEST: Final = (
    "M-26,101 L26,101 C37,103 42,107 42,115 C41,129 38,139 36,150 L-36,150 "
    "C-38,139 -41,129 -42,115 C-42,107 -37,103 -26,101 Z"
)
_ABDOMEN: Final = (
    "M-35,153 L35,153 C34,165 33,172 33,182 C34,196 37,206 39,217 L-39,217 "
    "C-37,206 -34,196 -33,182 C-33,172 -34,165 -35,153 Z"
)
_BACK: Final = (
    "M-26,101 L26,101 C37,103 42,107 42,115 C41,133 35,152 34,172 C33,190 37,206 39,217 L-39,217 "
    "C-37,206 -33,190 -34,172 C-35,152 -41,133 -42,115 C-42,107 -37,103 -26,101 Z"
)
_GENITAL: Final = "M-13,227 L13,227 C12,236 6,244 0,246 C-6,244 -12,236 -13,227 Z"
_ARM: Final = (
    "M52,104 C64,107 68,119 68,135 C69,153 72,169 76,187 C79,201 82,213 84,224 L73,228 "
    "C69,215 64,203 60,190 C55,174 52,157 51,140 C53,130 54,116 52,104 Z"
)
_HAND: Final = "M73,231 L84,227 C89,234 92,245 90,253 C88,261 81,262 78,256 C75,249 73,241 73,231 Z"
_LEG_FRONT: Final = (
    "M47,227 C51,251 49,281 44,307 C41,319 41,331 41,343 C42,363 38,386 35,403 L21,403 "
    "C19,386 16,363 16,345 C17,331 17,319 14,305 C8,287 3,268 2,249 C9,245 14,238 15,227 Z"
)
_LEG_BACK: Final = (
    "M47,227 C51,251 49,281 44,307 C41,319 41,331 41,343 C42,363 38,386 35,403 L21,403 "
    "C19,386 16,363 16,345 C17,331 17,319 14,305 C8,287 2,262 1,227 Z"
)
_FOOT: Final = "M21,406 L35,406 C36,414 42,422 43,428 C43,434 22,434 21,428 C20,421 21,413 21,406 Z"
_SOLE: Final = (
    "M10,394 C17,392 21,398 20,407 C19,413 19,418 19,425 C19,433 10,433 9,425 C8,417 5,409 6,401 "
    "C6,397 8,395 10,394 Z"
)
_PALM: Final = (
    "M6,352 C8,346 18,346 20,352 L22,364 C22,372 19,378 13,378 C8,378 5,372 4,366 L1,359 C0,355 4,354 5,358 Z"
)

# Trunk first: chest, abdomen and back are laid upon it, and its rim is left for "trunk" without saying where.
OUTLINES: Final = {
    "trunk": ((_TRUNK, FRONT_X), (_TRUNK, BACK_X)),
    "scalp": ((_SCALP_FRONT, FRONT_X), (_SCALP_BACK, BACK_X)),
    "face": ((_FACE, FRONT_X),),
    "ear": ((_EAR, FRONT_X), (_EAR, BACK_X)),
    "neck": ((_NECK, FRONT_X), (_NECK, BACK_X)),
    "chest": ((_CHEST, FRONT_X),),
    "back": ((_BACK, BACK_X),),
    "abdomen": ((_ABDOMEN, FRONT_X),),
    "upper extremity": ((_ARM, FRONT_X), (_ARM, BACK_X)),
    "hand": ((_HAND, FRONT_X), (_HAND, BACK_X)),
    "lower extremity": ((_LEG_FRONT, FRONT_X), (_LEG_BACK, BACK_X)),
    "genital": ((_GENITAL, FRONT_X),),
    "foot": ((_FOOT, FRONT_X), (_FOOT, BACK_X)),
    "acral": ((_PALM, 220), (_SOLE, 220)),
}
SIDES: Final = {_EAR, _ARM, _HAND, _LEG_FRONT, _LEG_BACK, _FOOT, _SOLE, _PALM}

_POINT: Final = re.compile(r"(-?\d+),(-?\d+)")


def paths(site: str) -> list[str]:
    """Return a site's outlines as SVG paths in the box BOX."""
    return [
        _placed(outline, middle, side)
        for outline, middle in OUTLINES[site]
        for side in ((1, -1) if outline in SIDES else (1,))
    ]


def _placed(outline: str, middle: int, side: int) -> str:
    return _POINT.sub(lambda point: f"{middle + side * int(point[1])},{point[2]}", outline)
