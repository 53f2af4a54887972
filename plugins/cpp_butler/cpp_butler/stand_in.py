"""Classes of ours as the Python types of Rubin's storage classes, where Rubin's own cannot be imported.

Butler's default configuration says that an ``ExposureF`` is an ``lsst.afw.image.ExposureF``, and refuses repositories
that say otherwise. The definition is therefore left as it is; only the class it looks up when a dataset is read is
given, and only if looking it up fails. It is one private attribute of `lsst.daf.butler.StorageClass`.
"""

from __future__ import annotations

from collections.abc import Mapping

from lsst.daf.butler import StorageClassFactory

from cpp_framework.errors import IncompatibleError

_ATTRIBUTE = "_pytype"


def stand_in(classes: Mapping[str, type]) -> None:
    """Let each class be the Python type of the storage class of that name, unless its own can be imported.

    Raises
    ------
    IncompatibleError
        This version of lsst-daf-butler keeps the type elsewhere.
    """
    factory = StorageClassFactory()
    for name, ours in classes.items():
        storage_class = factory.getStorageClass(name)
        try:
            storage_class.pytype  # noqa: B018  looking it up imports it
        except ImportError:
            if hasattr(storage_class, _ATTRIBUTE):
                setattr(storage_class, _ATTRIBUTE, ours)
            if getattr(storage_class, _ATTRIBUTE, None) is not ours or storage_class.pytype is not ours:
                raise IncompatibleError(
                    f"storage class {name}: this version of lsst-daf-butler has no StorageClass.{_ATTRIBUTE}",
                    hint="install the newest cpp-butler, or an older lsst-daf-butler",
                ) from None
