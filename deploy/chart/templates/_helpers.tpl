{{/* The name of all objects: the release's, with what it is a release of unless that is in it already. */}}
{{- define "oarlock.name" -}}
{{- $default := ternary .Release.Name (printf "%s-oarlock" .Release.Name) (contains "oarlock" .Release.Name) -}}
{{- .Values.fullnameOverride | default $default | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "oarlock.account" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "oarlock.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* What tells its pods from those of other releases. */}}
{{- define "oarlock.selector" -}}
app.kubernetes.io/name: oarlock
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "oarlock.labels" -}}
{{ include "oarlock.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "oarlock.subjects" -}}
- kind: ServiceAccount
  name: {{ include "oarlock.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* What no container here can do without under the Pod Security Standard `restricted`. */}}
{{- define "oarlock.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
