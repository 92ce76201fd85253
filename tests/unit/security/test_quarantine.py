import shutil
from pathlib import Path

import pytest

from security.errors import SecurityError
from security.pki.lab import create_lab
from security.trust import TrustStore


def test_a_copy_that_was_left_behind_while_a_person_approved_waits_for_nothing(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab", machines=["mill"])
    other = create_lab(tmp_path / "other", machines=["mill"])
    store = TrustStore(other.gateway_opcua)
    with pytest.raises(SecurityError):
        store.check(lab.machines["mill"].certificate_der.read_bytes(), purpose="server")
    (waiting,) = store.rejected()
    copy = tmp_path / waiting.path.name
    shutil.copy(waiting.path, copy)
    store.approve(waiting.thumbprint)
    shutil.copy(copy, waiting.path)
    assert waiting.path.exists()
    assert store.rejected() == []
