{{- define "scriptix-operator.name" -}}
{{- /* A release may have dots in its name, a Service may not. */ -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if contains .Chart.Name $release -}}
{{- $release | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "scriptix-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "scriptix-operator.labels" -}}
{{ include "scriptix-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: scriptix-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "_" }}
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

{{- /* Where the mounted CA is, and what the operator's HTTP client reads it from. */ -}}
{{- define "scriptix-operator.ca" -}}
{{- if or .Values.customCA.configMap .Values.customCA.secret -}}
/etc/scriptix/ca/{{ .Values.customCA.key }}
{{- end -}}
{{- end }}

{{- /* Variables by name: settings, and what the HTTP client knows by itself. */ -}}
{{- define "scriptix-operator.variables" -}}
SCRIPTIX_WATCH_NAMESPACES: {{ join "," .Values.watchNamespaces | quote }}
{{- range $key, $value := .Values.settings }}
SCRIPTIX_{{ $key | snakecase | upper }}: {{ kindIs "slice" $value | ternary (join "," $value) (toString $value) | quote }}
{{- end }}
{{- with include "scriptix-operator.ca" . }}
SSL_CERT_FILE: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.https }}
HTTPS_PROXY: {{ . | quote }}
{{- end }}
{{- with .Values.tracing.endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- /* Kubernetes fills it in. The clients of the API server go by HTTPS_PROXY too, wherever it is from. */}}
NO_PROXY: {{ prepend .Values.proxy.exclude "$(KUBERNETES_SERVICE_HOST)" | join "," | quote }}
{{- end }}

{{- define "scriptix-operator.mounts" -}}
{{- if include "scriptix-operator.ca" . }}
- name: custom-ca
  mountPath: /etc/scriptix/ca
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "scriptix-operator.volumes" -}}
{{- with .Values.customCA.configMap }}
- name: custom-ca
  configMap:
    name: {{ . | quote }}
{{- end }}
{{- with .Values.customCA.secret }}
- name: custom-ca
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The label job of everything that is scraped; alerts select by it. */ -}}
{{- define "scriptix-operator.job" -}}
{{ .Release.Namespace }}/{{ include "scriptix-operator.name" . }}
{{- end }}

{{- /* How either monitor scrapes. The namespace of a training is its own, not the operator's. */ -}}
{{- define "scriptix-operator.endpoint" -}}
port: http
path: /metrics
honorLabels: true
relabelings:
  - targetLabel: job
    replacement: {{ include "scriptix-operator.job" . }}
{{- end }}

{{- /* The port of a URL. */ -}}
{{- define "scriptix-operator.port" -}}
{{- $url := urlParse . -}}
{{- if regexMatch ":[0-9]+$" $url.host -}}
{{ regexFind "[0-9]+$" $url.host }}
{{- else -}}
{{ ternary 443 80 (eq $url.scheme "https") }}
{{- end -}}
{{- end }}
