//go:build tools

// Package pins keeps in go.mod what is not compiled: the module whose CRDs tools.py takes.
package pins

import _ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
