{{- define "scriptix-operator.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "scriptix-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "scriptix-operator.labels" -}}
{{ include "scriptix-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: scriptix-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "scriptix-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Settings by the names of their variables. */ -}}
{{- define "scriptix-operator.settings" -}}
SCRIPTIX_WATCH_NAMESPACES: {{ join "," .Values.watchNamespaces | quote }}
{{- range $key, $value := .Values.settings }}
SCRIPTIX_{{ $key | snakecase | upper }}: {{ kindIs "slice" $value | ternary (join "," $value) (toString $value) | quote }}
{{- end -}}
{{- end }}
