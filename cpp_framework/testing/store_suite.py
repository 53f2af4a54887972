"""The contract of a store as an inheritable test class.

The whole conformance test of a store that keeps itself in a folder::

    from cpp_framework.testing import StoreSuite

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def make_store(self, tmp_path):
            number = itertools.count()
            return lambda: MyStore.create(tmp_path / f"store{next(number)}")

What a store cannot do it declares (`StoreSuiteBase`); the tests of it are then skipped, by name.
"""

from __future__ import annotations

from cpp_framework.testing.store_certification import CertificationRules
from cpp_framework.testing.store_exposures import ExposureRules
from cpp_framework.testing.store_products import ProductRules
from cpp_framework.testing.store_races import RaceRules


class StoreSuite(ProductRules, CertificationRules, ExposureRules, RaceRules):
    """Every promise of `cpp_framework.store.Store`. Override the fixture `make_store`."""
