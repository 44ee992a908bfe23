{{- /* What a schema cannot say in words: values that contradict each other. */ -}}
{{- define "scriptix-operator.checks" -}}
{{- with .Values -}}
{{- if and $.Chart.IsRoot (hasKey . "enabled") (not .enabled) -}}
{{- fail "enabled is false, which is for a condition of a parent chart, and this chart is installed without one: leave it out" -}}
{{- end -}}
{{- if and (gt (int .replicaCount) 1) (not .settings.leaderElection) -}}
{{- fail "replicaCount is above 1 without settings.leaderElection: two processes would start trainings twice; turn it on, or keep one replica" -}}
{{- end -}}
{{- if and .settings.defaultKeyNamespaces (not .settings.defaultSecret) -}}
{{- fail "settings.defaultKeyNamespaces needs settings.defaultSecret: the name of a Secret in the release's namespace with the key api-key" -}}
{{- end -}}
{{- if and (has "*" .settings.defaultKeyNamespaces) (gt (len .settings.defaultKeyNamespaces) 1) -}}
{{- fail "settings.defaultKeyNamespaces has *, which is all namespaces, beside others; take one of the two" -}}
{{- end -}}
{{- if hasPrefix "http://" .settings.baseUrl -}}
{{- if not (or .settings.allowInsecureHttp (regexMatch "^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:|/|$)" .settings.baseUrl)) -}}
{{- fail "settings.baseUrl is plain http, which shows the API key to the network; use https, or accept that with settings.allowInsecureHttp" -}}
{{- end -}}
{{- if .proxy.https -}}
{{- fail "proxy.https has no effect on a settings.baseUrl of plain http: a proxy would read the key, and could repeat a start" -}}
{{- end -}}
{{- end -}}
{{- range $name, $url := dict "settings.baseUrl" .settings.baseUrl "proxy.https" .proxy.https "tracing.endpoint" .tracing.endpoint -}}
{{- if and $url (gt (int (include "scriptix-operator.port" $url)) 65535) -}}
{{- fail (printf "%s names a port above 65535" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .customCA.configMap .customCA.secret -}}
{{- fail "customCA.configMap and customCA.secret are both set; the CAs come from one of them" -}}
{{- end -}}
{{- if and .metrics.podMonitor.enabled .metrics.serviceMonitor.enabled -}}
{{- fail "metrics.podMonitor and metrics.serviceMonitor are both enabled: each pod would be scraped twice; take one" -}}
{{- end -}}
{{- if and .metrics.prometheusRule.enabled (not (or .metrics.podMonitor.enabled .metrics.serviceMonitor.enabled)) -}}
{{- fail "metrics.prometheusRule is enabled without metrics.podMonitor or metrics.serviceMonitor: its alerts query what these monitors scrape, and would always fire" -}}
{{- end -}}
{{- end -}}
{{- /* By the label that a dependency's alias does not change, and that deploy/ has too. */ -}}
{{- $part := "app.kubernetes.io/part-of" -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- if and (eq (dig "labels" $part "" .metadata) "scriptix-operator") (ne .metadata.name (include "scriptix-operator.name" $)) -}}
{{- fail (printf "the operator %s is in the namespace %s already; both would use one Lease and one start ledger, so this one would never become leader; install it in a namespace of its own" .metadata.name $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- $ours := concat (list "SCRIPTIX_HTTP_PORT" "POD_NAMESPACE" "POD_NAME") (include "scriptix-operator.variables" . | fromYaml | keys) -}}
{{- range .Values.extraEnv -}}
{{- if has (upper .name) $ours -}}
{{- fail (printf "extraEnv sets %s, which the chart sets too; change the value of the chart instead (settings.…, watchNamespaces, customCA, proxy, tracing)" .name) -}}
{{- end -}}
{{- end -}}
{{- end }}
