"""What may be wrong with an installation or a repository, and an index made anew."""

from cpp_framework.doctor.examine import examine
from cpp_framework.doctor.finding import Finding, State
from cpp_framework.doctor.rebuild import rebuild_repository

__all__ = ["Finding", "State", "examine", "rebuild_repository"]
