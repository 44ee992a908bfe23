"""The image: its build, its SBOM, and the audit of its dependencies."""
