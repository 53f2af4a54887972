"""Rules about the declaration: light to import, whole, documented."""

from __future__ import annotations

import subprocess
import sys

from cpp_framework.declare import Config, load
from cpp_framework.errors import PluginError
from cpp_framework.model import Product
from cpp_framework.testing.base import ContractBrokenError, SuiteBase, require

_HEAVY = ("numpy", "astropy", "scipy", "numba")


class DeclarationRules(SuiteBase):
    """Law 3, and that everything the declaration names is there and says what it is."""

    def test_importing_the_plugin_is_light(self) -> None:
        """The package can be listed by `cpp plugins` without loading a numerical library."""
        package = self.declaration.solve.partition(":")[0].partition(".")[0]
        code = f"import sys, {package}; print(*sorted(set({_HEAVY!r}) & set(sys.modules)))"
        # The test's own import path reaches the child, so that a package beside the tests is found.
        program = f"import sys; sys.path[:] = {sys.path!r}; {code}"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        require(done.returncode == 0, f"importing {package!r} fails: {done.stderr.strip()}")
        loaded = done.stdout.split()
        require(
            not loaded,
            f"importing {package!r} loads {', '.join(loaded)}: a declaration holds import strings only; "
            "import numerical libraries in the modules with the functions",
        )

    def test_import_strings_resolve(self) -> None:
        """Every import string of the declaration names an object that exists."""
        for what in self.declaration.import_strings():
            try:
                load(what, wanted_by=self.declaration.name)
            except PluginError as error:
                raise ContractBrokenError(
                    f"the declaration of {self.declaration.name!r} names {what!r}: {error}"
                ) from error

    def test_product_and_config_have_the_right_base(self) -> None:
        """The product class derives from `Product`, the settings from `Config`."""
        for role, base in (("product", Product), ("config", Config)):
            found = load(getattr(self.declaration, role), wanted_by=self.declaration.name)
            require(
                isinstance(found, type) and issubclass(found, base),
                f"the {role} of {self.declaration.name!r} must be a subclass of {base.__name__}, not {found!r}",
            )

    def test_measure_is_there_where_it_is_needed(self) -> None:
        """A selection whose frames `solve` does not read, and a `pool`, both need `measure`."""
        declaration = self.declaration
        blind = [inputs.name for inputs in declaration.inputs if not inputs.frames]
        require(
            declaration.measure or not blind,
            f"inputs {', '.join(blind)} of {declaration.name!r} have frames=False: then measure must be declared, "
            "or solve would be given nothing",
        )
        require(
            declaration.measure or not declaration.pool,
            f"pool of {declaration.name!r} needs measure: it pools measurements",
        )

    def test_settings_are_documented(self) -> None:
        """Each setting has a description, the step it belongs to and, if it is a number, a unit."""
        config = load(self.declaration.config, wanted_by=self.declaration.name)
        for name, field in config.model_fields.items():
            extra = field.json_schema_extra or {}
            require(
                field.description, f"setting {name!r} has no description: declare it with setting(default, description)"
            )
            require(
                extra.get("used_by"), f"setting {name!r} does not say which step uses it: declare it with setting(…)"
            )
            numeric = isinstance(field.default, int | float) and not isinstance(field.default, bool)
            require(
                extra.get("unit") or not numeric,
                f"setting {name!r} is a number without a unit: give setting(…, unit=…), '1' for a pure number",
            )

    def test_checks_are_declared(self) -> None:
        """A product nobody can judge must not be certified: there is at least one check, each with a title."""
        require(self.declaration.checks, f"type {self.declaration.name!r} declares no check")
        for spec in self.declaration.checks:
            require(spec.title, f"check {spec.name} has no title")
