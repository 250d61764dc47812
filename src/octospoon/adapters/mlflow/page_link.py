"""The description of a run in MLflow, which leads to octospoon's own page."""

from __future__ import annotations

PORT = 8188
"""The port of `octospoon ui`, unless it is taken or another is asked for."""
DESCRIPTION_TAG = "mlflow.note.content"
"""MLflow shows the value of this tag as the description of a run, as Markdown."""


def description(version: int) -> str:
    """Return the description of the run that made a version.

    The page runs on the machine of whoever looks at it. So the address is the same for every deployment, and
    holds no token: the browser that opened the page with its token has a cookie.
    """
    return (
        f"[octospoon's page](http://127.0.0.1:{PORT}/#/model?version={version}) shows version {version}: its "
        "mistakes, and what it changes image by image. Start the page first: `octospoon ui`, or for a stack "
        f"on AWS `octospoon ui --stack NAME`. If it prints another port than {PORT}, put that into the link."
    )
