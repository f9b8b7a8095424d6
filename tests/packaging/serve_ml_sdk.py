"""Serve LabelQueueModel by label-studio-ml's own application on PORT, as its users do.

A file, because label-studio-ml 1.0.9 handles each event in a process of its own, which imports it again.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    from label_studio_ml.api import init_app
    from werkzeug.serving import run_simple

    from backend.label_studio_ml import LabelQueueModel

    app = init_app(LabelQueueModel, model_dir=sys.argv[1])
    run_simple("127.0.0.1", int(os.environ["PORT"]), app, threaded=True)


if __name__ == "__main__":
    main()
