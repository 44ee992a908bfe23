"""Tests of the image: built with buildah, inspected, and run confined as in a cluster."""
