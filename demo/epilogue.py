"""The last words: what was shown, or what can be tried on the demo that was kept."""

import os
from pathlib import Path

from demo import cast
from demo.background import Places
from demo.simulator import upload_command
from demo.terminal import check_command, exports

GOOD_MODEL = 101
LONG_RUN = '{"status": 2, "script": {"duration": "32h"}}'

SHOWN = """
Shown: a training that succeeded, one that failed and says why, and one that waited for its data.
Nothing is left running. To try things yourself: make demo KEEP=1"""


def how_to_go_on(assets: Path, directory: Path, places: Places, pid: int) -> str:
    """Return what to export, to try and to run in the end, as lines for a shell."""
    good = f"kubectl patch cmt {cast.GOOD} --type=merge -p"
    patch_key = "kubectl patch secret scriptix-api-key -p"
    return f"""
It stays up. In any shell:

{exports(assets, directory)}

kubectl get cmt -o wide
kubectl describe cmt {cast.GOOD}
kubectl explain cmt.spec

# Train again, longer this time, to have time for what follows: new data, then a new runToken
{upload_command(places.simulator, GOOD_MODEL, LONG_RUN)}
{good} '{{"spec": {{"runToken": "2025-02"}}}}'
kubectl get cmt --watch

# Suspend it while it runs, and go on
{good} '{{"spec": {{"suspend": true}}}}'
{good} '{{"spec": {{"suspend": false}}}}'

# Break the API key, see it told by `kubectl get cmt -o wide` some seconds later, and mend it
{patch_key} '{{"stringData": {{"api-key": "wrong"}}}}'
{patch_key} '{{"stringData": {{"api-key": "demo-key"}}}}'

# Wait for its success; README.md has a function that ends on failures, too
kubectl wait --for=condition=Succeeded --timeout=10m cmt/{cast.GOOD}

# Has the operator all that it needs?
{check_command(directory, places.simulator, os.environ)}

# Script models and faults: open {places.simulator}/admin/ in a browser

# Behind the scenes
curl {places.simulator}/admin/summary
curl {places.metrics}
less {directory}/operator.log

# Stop all of it and remove {directory}
kill {pid}"""
