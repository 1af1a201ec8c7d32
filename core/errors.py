"""Every error a person can cause or meet, as one tree.

    LesionLensError
    ├── SettingsError          a setting in the environment or secrets.toml is wrong
    ├── DataError
    │   ├── MetadataError      a table of facts cannot be read or is not what it should be
    │   ├── SplitError         a split manifest is broken or belongs to other data
    │   ├── PictureError       one picture cannot be read
    │   ├── OutlineError       what a person drew round a lesion encloses nothing to measure
    │   ├── StoreError         the image store cannot be built or opened
    │   └── GettingError       a dataset could not be brought to this machine
    ├── CheckpointError
    │   ├── UnknownReference   a checkpoint's name cannot be understood or nothing is there
    │   ├── BrokenCheckpoint   a checkpoint folder is incomplete, altered or made for other labels
    │   └── HubError           the Hugging Face Hub did not give what was asked for
    ├── WeightsError           ImageNet weights were asked for and could not be had
    ├── RecipeError            a training recipe or an override of it is wrong
    ├── RunError               a run folder is missing, busy or not resumable
    ├── EvaluationError        an evaluation artifact cannot be read or compared
    └── LayerError             a network has no such layer, or no map can be made there

Each message names the thing and the cure; a page shows it as it stands.
"""


class LesionLensError(Exception):
    """The root: catch this to show a message, and let everything else surface as a bug."""


class SettingsError(LesionLensError):
    """A setting has a value that cannot be used."""


class DataError(LesionLensError):
    """A dataset, or a part of one, cannot be used."""


class MetadataError(DataError):
    """A metadata table names its file, the row, the offender and what was expected."""


class SplitError(DataError):
    """A split manifest is broken, altered, or made for other pictures."""


class PictureError(DataError):
    """One picture cannot be read; the message says why and what to do."""


class OutlineError(DataError):
    """What a person drew round a lesion makes no mask; the message says why and how to draw it."""


class StoreError(DataError):
    """The image store cannot be built or opened."""


class GettingError(DataError):
    """A dataset could not be brought to this machine; the message says why, what is kept, and what to do."""


class CheckpointError(LesionLensError):
    """A checkpoint cannot be used."""


class UnknownReference(CheckpointError):
    """A checkpoint reference cannot be understood, or nothing lies where it points."""


class BrokenCheckpoint(CheckpointError):
    """A checkpoint folder is incomplete, altered, or made for other labels."""


class HubError(CheckpointError):
    """The Hugging Face Hub did not give what was asked for."""


class WeightsError(LesionLensError):
    """ImageNet weights were asked for and could not be had."""


class RecipeError(LesionLensError):
    """A training recipe, or an override of one of its values, is wrong."""


class RunError(LesionLensError):
    """A run folder is missing, in use, or cannot be resumed."""


class EvaluationError(LesionLensError):
    """An evaluation artifact cannot be read, or two of them cannot be compared."""


class LayerError(LesionLensError):
    """A map was asked for at a layer that a network does not have, or that gives none."""
