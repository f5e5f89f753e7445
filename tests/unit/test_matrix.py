from __future__ import annotations

import pytest

from webslm.errors import EnvironmentMismatch
from webslm.matrix import check_wheels, installed


def test_installed_wheels_pass() -> None:
    found = installed(["rich", "pytest"])
    check_wheels({name: version for name, version in found.items() if version}, "row")


def test_wrong_and_absent_wheels_are_named_with_the_command() -> None:
    with pytest.raises(EnvironmentMismatch) as caught:
        check_wheels({"rich": "0.0.1", "no-such-wheel": "1.0"}, "my_row")
    assert "'my_row'" in caught.value.message
    assert "needs 0.0.1" in caught.value.message
    assert "no-such-wheel is not installed" in caught.value.message
    assert "pip install 'rich==0.0.1' 'no-such-wheel==1.0'" in (caught.value.hint or "")
