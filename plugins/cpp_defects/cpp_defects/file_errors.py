"""What can be wrong with a file of defects."""

from __future__ import annotations

from cpp_framework.errors import UserError


class DefectFileError(UserError):
    """A file of defects cannot be read: no form we know, a column missing, or a box that is none."""
