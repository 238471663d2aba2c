{{/* What pods are selected by: it never changes. */}}
{{- define "offmesh.selector" -}}
app.kubernetes.io/name: offmesh
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "offmesh.labels" -}}
{{ include "offmesh.selector" . }}
{{ include "offmesh.versionLabels" . }}
{{- end }}

{{- define "offmesh.versionLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: offmesh
{{- end }}

{{/* Labels of pods, beside those: the mesh is not to carry the traffic of what it gets its orders from. */}}
{{- define "offmesh.outsideLabels" -}}
istio.io/dataplane-mode: none
sidecar.istio.io/inject: "false"
{{- end }}

{{/* Objects outside the release's namespace carry its name, so that two releases do not meet. */}}
{{- define "offmesh.clusterName" -}}
offmesh-{{ .Release.Namespace }}
{{- end }}

{{- define "offmesh.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "offmesh.placementNamespace" -}}
{{ .Values.placement.configMap.namespace | default .Release.Namespace }}
{{- end }}

{{- define "offmesh.leaseNamespace" -}}
{{ .Values.liveness.leaseNamespace | default .Release.Namespace }}
{{- end }}

{{/* Binds the servers' account to a Role: (list $ NAMESPACE NAME). */}}
{{- define "offmesh.roleBinding" -}}
{{- $root := index . 0 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ index . 2 }}
  namespace: {{ index . 1 | quote }}
  labels:
    {{- include "offmesh.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ index . 2 }}
subjects:
  - kind: ServiceAccount
    name: offmesh
    namespace: {{ $root.Release.Namespace | quote }}
{{- end }}
