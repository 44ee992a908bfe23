"""Tests of the image itself: built with buildah, looked into, and run closed as in a cluster."""
