"""Keys, certificates, an authority of one's own, and the folders that they live in (README.md)."""

from security.pki.authority import Authority, Issued
from security.pki.folder import PkiFolder
from security.pki.keys import KeyKind, load_certificates, load_key
from security.pki.lab import LabPki, create_lab, lab_paths, trust_authority
from security.pki.profiles import Profile, Purpose, profile_of
from security.pki.requests import install_signed, load_request, make_request

__all__ = [
    "Authority",
    "Issued",
    "KeyKind",
    "LabPki",
    "PkiFolder",
    "Profile",
    "Purpose",
    "create_lab",
    "install_signed",
    "lab_paths",
    "load_certificates",
    "load_key",
    "load_request",
    "make_request",
    "profile_of",
    "trust_authority",
]
