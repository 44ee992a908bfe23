"""The closing text: what was shown, or what can be tried on a demo that was kept."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from demo import cast
from demo.background import Places
from demo.simulator import upload_command
from demo.terminal import check_command, exports

GOOD_MODEL = 101
LONG_RUN = '{"status": 2, "script": {"duration": "32h"}}'

SHOWN = """
Shown: a training that succeeded, one that failed and says why, and one that waited for its data.
Nothing is left running. To try things yourself: make demo KEEP=1"""


def next_steps(assets: Path, directory: Path, places: Places, pid: int) -> str:
    """Return shell lines: what to export, what to try, and how to stop."""
    good = f"kubectl patch cmt {cast.GOOD} --type=merge -p"
    config = directory / "prometheus.yml"
    patch_key = "kubectl patch secret scriptix-api-key -p"
    return f"""
The demo keeps running. In any shell:

{exports(assets, directory)}

kubectl get cmt -o wide
kubectl describe cmt {cast.GOOD}
kubectl explain cmt.spec

# Train again, with a longer run: new data, then a new runToken
{upload_command(places.simulator, GOOD_MODEL, LONG_RUN)}
{good} '{{"spec": {{"runToken": "2025-02"}}}}'
kubectl get cmt --watch

# Suspend the training while it runs, and resume it
{good} '{{"spec": {{"suspend": true}}}}'
{good} '{{"spec": {{"suspend": false}}}}'

# Break the API key, see the message in `kubectl get cmt -o wide` after seconds, and fix the key
{patch_key} '{{"stringData": {{"api-key": "wrong"}}}}'
{patch_key} '{{"stringData": {{"api-key": "demo-key"}}}}'

# Wait for success; docs/trainings.md has a function that also ends on failures
kubectl wait --for=condition=Succeeded --timeout=10m cmt/{cast.GOOD}

# Verify the installation
{check_command(directory, places.simulator, os.environ)}

# Script models and faults: open {places.simulator}/admin/ in a browser

# Metrics for the panels of docs/dashboard.md, scraped by a Prometheus that you have
echo '{{"global": {{"scrape_interval": "5s"}}, "scrape_configs": [{{"job_name": "demo", \
  "static_configs": [{{"targets": ["{urlsplit(places.metrics).netloc}"]}}]}}]}}' >{config}
prometheus --config.file={config} --storage.tsdb.path={directory}/prometheus

# Behind the scenes
curl {places.simulator}/admin/summary
curl {places.metrics}
less {directory}/operator.log

# Stop everything and remove {directory}
kill {pid}"""
