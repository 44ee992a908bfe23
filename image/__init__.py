"""The image: what builds it, its SBOM, and the audit of what it is made from."""
