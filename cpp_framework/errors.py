"""Every exception a user can meet, under one root, with the exit code it means and a hint that helps."""

from __future__ import annotations

_LONGEST_LINE = 4000
"""Characters of a line of a message: values it quotes can be whole files."""


def printable(text: str) -> str:
    """The text as it may be shown: control codes and other unprintable characters as escapes, endless lines cut.

    File names, headers and YAML can hold terminal codes; shown as they are, they could hide or fake a message.
    """
    lines = [line[:_LONGEST_LINE] + " …" if len(line) > _LONGEST_LINE else line for line in text.split("\n")]
    return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines)


class CppError(Exception):
    """Root of all errors raised on purpose.

    Parameters
    ----------
    message : str
        What happened, to which object, and what was looked at.
    hint : str, optional
        A command or an edit that would help; printed on a line of its own after ``hint:``.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(printable(message))
        self.hint = printable(hint)

    def __reduce__(self) -> tuple[type[CppError], tuple[str, str]]:
        # Exceptions cross process boundaries; without this the hint would be lost on the way.
        return type(self), (str(self), self.hint)


class UserError(CppError):
    """Something the user can mend: a wrong option, file or name."""

    exit_code = 2


class ConfigError(UserError):
    """A setting has an unknown name or an impossible value."""


class InstrumentError(UserError):
    """An instrument file is wrong, or does not fit the raw file it is used on."""


class RawFileError(UserError):
    """A raw file cannot be read: not FITS, truncated, or without a needed keyword."""


class BundleError(UserError):
    """A folder to import is no bundle, or is damaged, incomplete or not to be trusted."""


class PluginError(UserError):
    """A plugin is missing, broken, or breaks the contract."""


class ContractError(CppError):
    """A calibration type returned something the contract of the framework does not allow."""


class NotFoundError(UserError):
    """A name or identifier matches nothing."""


class AmbiguousError(UserError):
    """An identifier's prefix matches several objects; the message lists them."""


class InputsMissingError(UserError):
    """There are no exposures, too few, or a needed product is missing."""

    exit_code = 3


class IncompatibleError(UserError):
    """Two things do not go together: binning, detector, readout mode, unit or gain differ."""


class ConflictError(UserError):
    """What is stored already contradicts what was asked for."""

    exit_code = 5


class StoreError(CppError):
    """The repository cannot be read or written (full disk, permission, lock, damaged file)."""


class FormatVersionError(UserError):
    """A file was written by a newer version than this one can read."""

    exit_code = 5
