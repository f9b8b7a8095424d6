"""Certificates that do not hold: what is wrong with them and what to do. Every client here trusts by SSL_CERT_FILE.

httpx brings the public authorities along and urllib3 takes the system's, but both, as Python and OpenSSL do, put the
file that SSL_CERT_FILE names in their place. REQUESTS_CA_BUNDLE is read by neither.
"""

from __future__ import annotations

import os
import ssl

UNKNOWN_AUTHORITY = {18, 19, 20, 21}  # OpenSSL's codes: self-signed, its authority unknown or not sent along
WRONG_NAME = {62, 64}


def tls_trouble(error: BaseException) -> str:
    """The cure where `error` comes of a certificate that does not hold, else ""."""
    found = _certificate_error(error)
    if found is None:
        return ""
    if found.verify_code in WRONG_NAME:
        return "use the name that its certificate is for"
    if found.verify_code not in UNKNOWN_AUTHORITY:
        return "its certificate must be renewed or this machine's clock set"
    given = os.environ.get("SSL_CERT_FILE")
    if given:
        return f"add the certificate of the authority that signed its certificate to SSL_CERT_FILE={given}"
    return "set SSL_CERT_FILE to a file with the certificate of the authority that signed its certificate"


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """What `error` wraps, however clients wrap it."""
    while error is not None:
        for part in (error, *error.args):
            if isinstance(part, ssl.SSLCertVerificationError):
                return part
        error = error.__cause__ or error.__context__
    return None
