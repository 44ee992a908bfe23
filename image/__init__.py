"""The image: what builds it, and its SBOM."""
