"""How large a request's body may be, known from its headers alone, and how much may stand in one.

Nothing is kept or parsed for a stranger.

"Signed" is a request with the password or the webhook's secret: it may be as large as MAX_BODY_MB says. On loopback
without BASIC_AUTH_USER any local program may call; what Label Studio itself sends has room:

- /webhook: only START_TRAINING comes without the secret. It holds the project with its label config three times (as
  text, parsed, and a weight a class). Label Studio 1.23.2 sent 512 kB for 5,000 classes called "class 0001", 1.02 MB
  for 10,000, 2.09 MB for 20,000 (3.65 times the config), and 3.16 MB for 5,000 Russian names of 27 letters (each letter
  is six bytes there). 4 MB. Events carry the secret.
- /setup: the label config, at most `protocol.SCHEMA_LIMIT` characters, and extra params. 4 MB.
- /predict: the tasks picked in the Data Manager, with data and annotations, 1 to 2 kB each. 16 MB: 8,000 to 16,000.
- our own API: settings, or at most 10,000 task ids. 1 MB.

Small things cost much more as Python objects than as text, and a task much more to answer than to name. So a body, of
whoever it is, has no more tasks than the largest one could hold of Label Studio's, and no more lists and objects than
one in `BYTES_A_VALUE` of these bytes (a task of Label Studio has some 12 in 1.5 kB); and only one stranger's body above
`ELSEWHERE` is parsed and answered at a time.
"""

from __future__ import annotations

MB = 2**20
UNSIGNED = {"/setup": 4 * MB, "/webhook": 4 * MB, "/predict": 16 * MB}
ELSEWHERE = MB
BYTES_A_TASK = 1000
BYTES_A_VALUE = 32


def most_bytes(path: str, *, signed: bool, max_body_mb: int) -> int:
    """The largest body, in bytes, that is taken at `path`."""
    most = max_body_mb * MB
    return most if signed else min(most, UNSIGNED.get(path, ELSEWHERE))
