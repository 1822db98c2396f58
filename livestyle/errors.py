"""What can go wrong outside the program. The command line prints these as one line.

LivestyleError
├── SourceError   a camera, video or picture cannot be read
├── SinkError     a window, file or device cannot be written
├── ModelError    a model file is missing, foreign or broken, or a style is not in it
├── DeviceError   the engine or device that was asked for cannot run here
└── RecipeError   a training recipe, its data or its checkpoint is wrong

Each message says what failed, where, and what to type next. A caller's own mistake (wrong dtype or
shape) is a TypeError or ValueError instead.
"""


class LivestyleError(Exception):
    """Base of every error that a user can cause or mend."""


class SourceError(LivestyleError):
    """Frames cannot be read."""


class SinkError(LivestyleError):
    """Frames cannot be shown or written."""


class ModelError(LivestyleError):
    """A model cannot be loaded, or does not have the style that was asked for."""


class DeviceError(LivestyleError):
    """An inference engine cannot run on this machine."""


class RecipeError(LivestyleError):
    """Training cannot start or go on."""
